"""What both sides of a link compute alike: identities, the agreed key, the two seals (spec chapter 15).

The relay carries every message and may change any of them. What the two confirm covers all that went before: the
mailbox, the relay's origin, the run, who is the old device and who the new one, the offer, the share and the wrap.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import IntEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from strongroom_protocol.errors import Failure, NotFound, UntrustedDataError
from strongroom_protocol.keys.hpke import wrap
from strongroom_protocol.keys.table import Key, derive
from strongroom_protocol.link import spake2
from strongroom_protocol.link.code import NUMBER_DIGITS, Kind, LinkSecret
from strongroom_protocol.link.messages import SUBJECT, Answer, Offer
from strongroom_protocol.relay_api.links import SLOTS_A_RUN
from strongroom_protocol.wire import cbor
from strongroom_protocol.wire.padding import pad, unpad

NEWCOMER_FLOOR = 1536
WELCOME_FLOOR = 768
"""Whatever a device or an account is called, what is sealed has one length."""

_NONCE = bytes(12)


class Slot(IntEnum):
    """The places of a run in a mailbox; odd ones are written by the new device."""

    OFFER = 0
    ANSWER = 1
    VERDICT = 2
    NEWCOMER = 3
    WELCOME = 4


def slot_number(run: int, slot: Slot) -> int:
    """Where a message lies in its mailbox; runs count from 1."""
    return (run - 1) * SLOTS_A_RUN + slot


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Where two devices meet: the relay's origin as both write it, and the mailbox's number there."""

    origin: str
    number: int

    @property
    def place(self) -> bytes:
        return f"{self.number:0{NUMBER_DIGITS}}".encode() + b"\x00" + self.origin.encode()

    def identities(self, run: int) -> tuple[bytes, bytes]:
        """The parties of a run as SPAKE2 names them: whoever reflects or swaps messages computes another transcript."""
        about = bytes([run]) + self.place
        return b"strongroom/v1/link-old\x00" + about, b"strongroom/v1/link-new\x00" + about

    def password(self, secret: LinkSecret) -> bytes:
        """SPAKE2's w. Not stretched: a guess can only be tried on a living device, which bears three."""
        return spake2.scalar_of(derive(Key.LINK_PASSWORD, secret.reveal(), context=self.place))


@dataclass(frozen=True, slots=True, repr=False)
class Joint:
    """What both sides have after a run with one secret: the confirmations, and what the sealing keys come from."""

    of_old: bytes
    of_new: bytes
    key: bytes


def joint(agreed: spake2.Agreed, shared: bytes) -> Joint:
    # The wrapped secret keeps names in a recorded link unreadable for whoever breaks the group later (chapter 03).
    return Joint(agreed.of_a, agreed.of_b, agreed.key + shared)


def bound(offer: bytes, share: bytes, wrapped: bytes) -> bytes:
    """What is confirmed beside SPAKE2's own transcript: the whole offer, and the wrap that answers it."""
    return hashlib.sha256(cbor.encode([offer, share, wrapped])).digest()


def wrap_info(offer: bytes) -> bytes:
    return b"strongroom/v1/link-wrap\x00" + hashlib.sha256(offer).digest()


def make_answer(
    mailbox: Mailbox, run: int, secret: LinkSecret, offer: bytes, *, scalar: bytes, shared: bytes,
    wrapped: bytes | None = None,
) -> tuple[bytes, Joint]:  # fmt: skip
    """The new device's answer to an offer, and what it has from it. `shared` is fresh, 32 bytes.

    `wrapped` is a wrap of `shared` that was made before (test vectors). Raises UntrustedDataError for a wrong offer.
    """
    asked = Offer.parse(offer)
    if wrapped is None:
        wrapped = wrap(asked.kem_key, shared, info=wrap_info(offer))
    password = mailbox.password(secret)
    share = spake2.share_of_b(scalar, password)
    agreed = spake2.agree_as_b(
        scalar, password, share_a=asked.short if secret.kind is Kind.SHORT else asked.long, share_b=share,
        identities=mailbox.identities(run), bound=bound(offer, share, wrapped),
    )  # fmt: skip
    found = joint(agreed, shared)
    return Answer(int(secret.kind), share, wrapped, found.of_new).encode(), found


def seal(key: Key, found: bytes, content: bytes, *, floor: int) -> bytes:
    """Seal the one message that this direction of this run has; a second one would use up the same nonce."""
    return ChaCha20Poly1305(derive(key, found)).encrypt(_NONCE, pad(content, floor=floor), None)


def unseal(key: Key, found: bytes, sealed: bytes, *, floor: int) -> bytes:
    """The content, once it is known to come from whoever confirmed. Raises UntrustedDataError(LINK)."""
    try:
        padded = ChaCha20Poly1305(derive(key, found)).decrypt(_NONCE, sealed, None)
    except InvalidTag as error:  # spec: LINK-7
        raise broken("a message is not from the device that proved to know the code") from error
    return unpad(padded, floor=floor, subject=SUBJECT)


def broken(what: str) -> UntrustedDataError:
    """The error for a message that is not of this exchange."""
    return UntrustedDataError(Failure.LINK, what, subject=SUBJECT, hint=spake2.HINT)


def over(what: str = "the link is over: a code is good for ten minutes and one device") -> NotFound:
    """The error for a code or a mailbox that is not good any more."""
    return NotFound(what, hint="run `strongroom link` on the old device again and use the new code")
