"""Making the next slot set: slots that stay, with their root record wrapped anew, and one that comes (chapter 04)."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from strongroom_protocol.errors import InvalidArgument
from strongroom_protocol.keys.private import LABEL_BYTES
from strongroom_protocol.keys.root import Root
from strongroom_protocol.keys.slots import Unlock, make_slot, rewrap_slot
from strongroom_protocol.manifest.slots import SLOTS, SlotSet

Reslot = Callable[[Root], tuple[SlotSet, dict[bytes, str]]]
"""Makes the slot set and the labels of its slots, by unlock key, for a root secret."""


@dataclass(frozen=True, slots=True)
class NewSlot:
    """A slot to add: the keys that open it, and what its owner calls it."""

    opener: Unlock
    label: str


def reslot(
    old: SlotSet, labels: Mapping[bytes, str], *, gone: Collection[bytes] = (), added: NewSlot | None = None
) -> Reslot:
    """The set without the slots `gone` (unlock keys) and with `added`.

    Raises InvalidArgument when nothing would be left, or the added secret opens a slot that stays. The secrets of slots
    that stay are not needed: their public keys are in `old`, which the caller has compared with the keyring.
    """
    stay = [slot for slot in old.slots if slot.unlock_key not in gone]
    if added is None and not stay:  # spec: ROOT-5
        raise InvalidArgument("that is the account's last slot: nobody could open it", hint="add another one first")
    if added is not None and len(stay) >= SLOTS:
        raise InvalidArgument(f"an account has at most {SLOTS} passphrases and codes", hint="remove one first")
    if added is not None and any(slot.unlock_key == added.opener.sign.public for slot in stay):
        raise InvalidArgument("that secret opens this account already", hint="choose another one")

    def make(root: Root) -> tuple[SlotSet, dict[bytes, str]]:
        secret, account, salt, kdf = root.secret, old.account, old.salt, old.kdf
        named = {slot.unlock_key: labels[slot.unlock_key] for slot in stay}
        made = [
            rewrap_slot(slot, secret, account=account, salt=salt, kdf=kdf, label=named[slot.unlock_key])
            for slot in stay
        ]  # fmt: skip
        if added is not None:
            label = added.label.encode()[:LABEL_BYTES].decode(errors="ignore")
            named[added.opener.sign.public] = label
            made.append(make_slot(added.opener, secret, account=account, salt=salt, kdf=kdf, label=label))
        return replace(old, version=old.version + 1, blind=secrets.token_bytes(32), slots=tuple(made)), named

    return make
