"""A new identity in the same folder (spec chapter 11.5): for a device that was cloned, or removed from the account.

The folder's pin stays and is the anchor: a relay that shows an older state than this folder has seen is refused. The
outbox and its files stay too, and are sent when the new device has been confirmed. All that makes the identity changes
in one transaction, so a crash leaves the old device or the new one.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from pathlib import Path

from strongroom import evidence, freshness, witnessing
from strongroom.fetching import fetch_keyrings
from strongroom.journal import ATTEMPTS
from strongroom.linking import STATE as LINK
from strongroom.session import DeviceKeys, Session
from strongroom.state import State
from strongroom.transport.base import Transport
from strongroom.unlocking import SecretsOrUnlock, parameters, unlock_at
from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.keys.epochs import open_epochs
from strongroom_protocol.keys.secrets import KemSeed, SigningSeed


async def relink(
    folder: Path, transport: Transport, *, relay: str, opener: SecretsOrUnlock, watched: bool = True
) -> Session:
    """Make the folder of a device another, read-only device of the same account. `relay` is where it is from now on.

    What waits to be sent, and may have landed already under the old identity, is sent again: merging makes one message
    of both (chapter 10). The folder's witness is asked, unless not `watched`. Raises what a login raises; then the
    folder is what it was, but for a pin that has moved on.
    """
    state = State.open(folder)
    try:
        session = Session.open(state, transport)
        seeds = {"sign-seed": secrets.token_bytes(32), "kem-seed": secrets.token_bytes(96)}
        device = DeviceKeys(SigningSeed(seeds["sign-seed"]), KemSeed(seeds["kem-seed"]))
        name = state.require("name").decode()
        unlocked = await unlock_at(transport, device, name, opener, known=state)
        if unlocked.account != session.account:  # spec: UNDO-6
            raise UntrustedDataError(Failure.ACCOUNT, "slots of another account", subject="slots")
        # The newest keyring is the root's own before anything else of it is believed; `sync` then weighs keyring and
        # head against what this folder has seen, and moves its pin: the old device's until the last line.
        unlocked.root_for((await fetch_keyrings(transport, session.account, session.pin, session.keyrings))[-1])
        since = freshness.asked(session) or session.stored_head().time
        await session.sync()  # spec: UNDO-5
        said = await witnessing.check(session) if watched else None  # spec: FRESH-1
        witnessed = None if said is None else freshness.witnessed(said, evidence.core_of(session.keyrings))
        keyring = session.keyring
        root = unlocked.root_for(keyring)  # again: another may have come with the head
        pin = replace(session.pin, sequence=0)  # the new device has used no sequence yet
        state.put(  # spec: UNDO-7
            seeds
            | parameters(unlocked.slots)
            | {
                "pin": pin.encode(), "relay": relay.encode(), ATTEMPTS: None, LINK: None,
                "guest-epoch": open_epochs(keyring, root.kem)[keyring.epoch].secret.reveal(),
                freshness.FRESHNESS: (witnessed or f"anchor of {freshness.moment(since)}").encode(),
            }
        )  # fmt: skip
        return Session.open(state, transport)
    except BaseException:
        state.close()
        raise
