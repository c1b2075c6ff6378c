"""Recovery kits: reading one back, and trying whether it still opens its account (`Vault.recovery_kit` makes one).

The text and its fields are spec chapter 17. A kit holds the recovery code; treat one as the key to everything.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from strongroom.cache import Cache
from strongroom.engine.source import ObjectSource
from strongroom.fetching import Newest, fetch_keyrings
from strongroom.freshness import FirstState
from strongroom.session import DeviceKeys, now_ms
from strongroom.transport import open_transport
from strongroom.transport.base import Transport
from strongroom.unlocking import unlock_at, with_secrets
from strongroom_protocol.engine.body import Body
from strongroom_protocol.engine.refs import ObjectRef
from strongroom_protocol.errors import Failure, UntrustedDataError, WrongSecret
from strongroom_protocol.keys.epochs import open_epochs
from strongroom_protocol.keys.kit import PREFIX, TEXT_MAX, Kit
from strongroom_protocol.keys.private import KeyringPrivate
from strongroom_protocol.keys.root import Root
from strongroom_protocol.keys.secrets import KemSeed, Passphrase, SigningSeed
from strongroom_protocol.seal.objects import ObjectType

__all__ = ["MARK", "Kit", "Tried", "holds_kit", "read_kit", "try_kit"]

MARK = '<code id="strongroom-kit">'
"""What a printed page has before the kit's text. Nothing else on it can say that: all else is escaped."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What opening an account by its kit has shown. Times in ms since 1970.

    `anchor_ms` is the age of the kit's anchor: what a relay could hide from a device that starts from this kit is no
    older. `version` is the newest state there, `saved` its time; `since` counts the versions after the anchor's.
    """

    name: str
    relay: str
    version: int
    saved: int
    since: int
    keyring_version: int
    epochs: int
    devices: int
    anchor_ms: int
    made: int


def holds_kit(found: str) -> bool:
    """Whether a file has anything that looks like a kit in it."""
    return PREFIX in "".join(found.split()).lower()


def read_kit(found: str) -> Kit:
    """The kit in a file: its line of text, or the printed page that holds it.

    Raises UntrustedDataError CODE when there is none, or it has a typo; else what is wrong with its content.
    """
    marked = found.find(MARK)
    if marked >= 0:
        return Kit.from_text(found[marked + len(MARK) : marked + len(MARK) + TEXT_MAX].partition("<")[0])
    if not holds_kit(found):
        raise UntrustedDataError(
            Failure.CODE, "there is no recovery kit in it",
            hint=f"give the page that `strongroom recovery-kit` made, or its line that begins with {PREFIX}",
        )  # fmt: skip
    return Kit.from_text(found)


async def try_kit(kit: Kit, *, passphrase: Passphrase | None = None, relay: str | None = None) -> Tried:
    """Open the account by its kit as a fresh device would, with a key that is thrown away; nothing is stored.

    `passphrase` is for an account that needs both; `relay` for one that has moved. Raises WrongSecret when the code was
    replaced since, UntrustedDataError (ROLLBACK when the relay hides what the kit's anchor has seen), RelayError.
    """
    address = relay or kit.relay
    transport = await open_transport(address)
    try:
        return await _tried(kit, address, transport, passphrase)
    except WrongSecret as error:
        error.hint = (
            "the account's code was replaced since this kit was made, or the account is not on this relay; "
            "`strongroom recovery-kit` on one of its devices makes a new kit"
        )
        raise
    finally:
        await transport.close()


async def _tried(kit: Kit, relay: str, transport: Transport, passphrase: Passphrase | None) -> Tried:
    device = DeviceKeys(SigningSeed(secrets.token_bytes(32)), KemSeed(secrets.token_bytes(96)))
    first = FirstState(transport, kit.anchor)
    unlocked = await unlock_at(transport, device, kit.name, with_secrets(passphrase, kit.code))
    keyrings = await fetch_keyrings(transport, unlocked.account, None, [], first.shown)
    unlocked.root_for(keyrings[-1])
    newest = await first.fetch(unlocked.account, keyrings)
    root = unlocked.root_for(newest.keyrings[-1])  # again: another may have come with the head
    epochs = await _opened(newest, root, transport)
    keyring, head = newest.keyrings[-1], newest.head
    return Tried(
        name=kit.name, relay=relay, version=head.version, saved=head.time, since=head.version - kit.anchor.head_version,
        keyring_version=keyring.version, epochs=epochs, devices=len(keyring.devices),
        anchor_ms=max(0, now_ms() - kit.anchor.time), made=kit.time,
    )  # fmt: skip


async def _opened(newest: Newest, root: Root, transport: Transport) -> int:
    """Open every epoch, and under the current one what the account's devices have sealed; how many epochs there are."""
    keyring, head = newest.keyrings[-1], newest.head
    epochs = open_epochs(keyring, root.kem)
    KeyringPrivate.read(keyring.private, epochs, keyring.account)
    source = ObjectSource(transport, Cache(Path()), keyring.account, epochs, fresh=True)  # no cache is read or written
    Body.parse(await source.object(ObjectRef(head.body, head.body_size), ObjectType.BODY))
    return len(epochs)
