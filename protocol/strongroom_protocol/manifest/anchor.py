"""Anchors: what a person carries to a device that has no pin yet (spec chapter 16).

A fresh device can be shown an old state by its relay, and nothing it holds contradicts that. An anchor is a state that
another device of the account has accepted; whatever the fresh device accepts must be that state or descend from it.
Nothing in an anchor is secret; whoever can change it on its way can only make a good state look wrong.
"""

from __future__ import annotations

import base64
import hashlib
import string
from collections.abc import Sequence
from dataclasses import dataclass

from strongroom_protocol.errors import Failure, InvalidArgument, UntrustedDataError
from strongroom_protocol.manifest.account import require_account
from strongroom_protocol.manifest.head import Head
from strongroom_protocol.manifest.keyring import Keyring
from strongroom_protocol.manifest.pin import Pin
from strongroom_protocol.wire import cbor, merkle
from strongroom_protocol.wire.parse import Fields

PREFIX = "strongroom-anchor:"
TEXT_MAX = 1024
"""Characters of an anchor as text, blanks included; one has about 290."""

_CHECK = 4
_ALPHABET = frozenset("abcdefghijklmnopqrstuvwxyz234567")
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase, string.whitespace)
"""Lower case and no blanks, of ASCII alone: other letters stay what they are, and are refused."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """An accepted state: keyring and head by version and hash, and the root of the log that ends in that head.

    `time` (ms) is when the anchor was made, by the clock of the device that made it; shown, never compared.
    """

    account: bytes
    keyring_version: int
    keyring_hash: bytes
    head_version: int
    head_hash: bytes
    log_root: bytes
    time: int

    @classmethod
    def of(cls, pin: Pin, time: int) -> Anchor:
        """What `pin` has accepted. Raises InvalidArgument while it has accepted no head."""
        if pin.head_version == 0:
            raise InvalidArgument("this device has seen no state yet", hint="run `strongroom status` once first")
        _, peaks = pin.log()
        return cls(
            pin.account, pin.keyring_version, pin.keyring_hash, pin.head_version, pin.head_hash,
            merkle.root_of(peaks), time,
        )  # fmt: skip

    def encode(self) -> bytes:
        return cbor.encode(
            {
                1: 1,
                2: self.account,
                3: self.keyring_version,
                4: self.keyring_hash,
                5: self.head_version,
                6: self.head_hash,
                7: self.log_root,
                8: self.time,
            }
        )

    @classmethod
    def parse(cls, data: bytes) -> Anchor:
        fields = Fields(cbor.decode(data, subject="anchor"), "anchor")
        fields.format()
        found = cls(
            fields.fixed(2), fields.version(3), fields.fixed(4), fields.version(5), fields.fixed(6), fields.fixed(7),
            fields.time(8),
        )  # fmt: skip
        fields.done()
        return found

    def to_text(self) -> str:
        """One line that can be copied, printed or put into a QR code."""
        data = self.encode()
        return PREFIX + _to_base32(data + _check(data))

    @classmethod
    def from_text(cls, text: str) -> Anchor:
        """The anchor in a text as `to_text` makes it: any case, blanks and line ends anywhere.

        Raises UntrustedDataError: CODE for a typo, else what `parse` raises.
        """
        letters = text[: TEXT_MAX + 1].translate(_LOWER)
        if len(text) > TEXT_MAX or not letters.startswith(PREFIX):  # spec: ANCH-1
            raise _typo(f"an anchor begins with {PREFIX} and has at most {TEXT_MAX} characters")
        data = _from_base32(letters.removeprefix(PREFIX))
        body, check = data[:-_CHECK], data[-_CHECK:]
        if check != _check(body):  # spec: ANCH-2
            raise _typo("the anchor has a typo or is not whole")
        return cls.parse(body)


def check_anchored_keyrings(anchor: Anchor, chain: Sequence[Keyring]) -> None:
    """The verified chain, complete from version 1 on, holds the anchor's keyring; else ROLLBACK or FORK."""
    require_account(anchor.account, chain[-1].account, "anchor")
    if chain[-1].version < anchor.keyring_version:  # spec: ANCH-3
        raise UntrustedDataError(Failure.ROLLBACK, "older than the anchor's", subject="keyring")
    if chain[anchor.keyring_version - 1].hash != anchor.keyring_hash:  # spec: ANCH-4
        raise UntrustedDataError(Failure.FORK, "not the anchor's", subject="keyring")


def check_anchored_head(anchor: Anchor, head: Head, consistency: Sequence[bytes]) -> None:
    """`head` is the anchor's or descends from it; else ROLLBACK, FORK or LOG.

    `consistency` is the RFC 9162 proof from the log that ends in the anchor's head to the log of `head`: what a relay
    gives out for `since` = the anchor's head version.
    """
    require_account(head.account, anchor.account, "head")
    if head.version < anchor.head_version:  # spec: ANCH-5
        raise UntrustedDataError(Failure.ROLLBACK, "older than the anchor's", subject="head")
    if head.version == anchor.head_version:
        if head.hash != anchor.head_hash:  # spec: ANCH-6
            raise UntrustedDataError(Failure.FORK, "not the anchor's", subject="head")
        return
    size, root = anchor.head_version, anchor.log_root
    merkle.check_consistency(size, root, head.version - 1, head.log_root, consistency)  # spec: ANCH-7


def _from_base32(letters: str) -> bytes:
    found = b""
    if len(letters) % 8 not in (1, 3, 6) and _ALPHABET.issuperset(letters):
        found = base64.b32decode(letters.upper() + "=" * (-len(letters) % 8))
    if _to_base32(found).lower() != letters:  # spec: ANCH-8
        raise _typo("the anchor has a character, a length or a last character that no anchor has")
    return found


def _to_base32(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=")


def _check(data: bytes) -> bytes:
    """Finds typos; proves nothing."""
    return hashlib.sha256(data).digest()[:_CHECK]


def _typo(message: str) -> UntrustedDataError:
    return UntrustedDataError(Failure.CODE, message, hint="copy it again from `strongroom status --anchor`, whole")
