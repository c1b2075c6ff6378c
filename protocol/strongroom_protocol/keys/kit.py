"""The recovery kit: what opens an account on a new device when all else is lost, as a line of text (spec chapter 17).

It holds the recovery code: whoever has a kit has the account, or half of it when every login needs the passphrase too.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.keys.names import is_normal
from strongroom_protocol.keys.secrets import RecoveryCode
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.manifest.anchor import Anchor
from strongroom_protocol.manifest.slots import SlotKind
from strongroom_protocol.wire import cbor
from strongroom_protocol.wire.parse import Fields, text

PREFIX = "strongroom-kit:"
TEXT_MAX = 4096
"""Characters of a kit as text, blanks included; one has 400 to 600."""

_ADDRESS_BYTES = 1024
_WITNESS_BYTES = 512
_ANCHOR_BYTES = 512
_CHECK = 4
_ALPHABET = frozenset("abcdefghijklmnopqrstuvwxyz234567")


@dataclass(frozen=True, slots=True)
class Kit:
    """Everything a person needs to open an account anywhere, and to notice when it is shown an old state.

    `witness` is `URL#KEY` as text; `kind` is that of the slot which the code opens, alone or with the passphrase;
    `time` (ms) is when the kit was made, by the clock of the device that made it.
    """

    name: str
    relay: str
    code: RecoveryCode
    anchor: Anchor
    witness: str | None
    time: int
    kind: SlotKind

    @property
    def two_secret(self) -> bool:
        """Whether the passphrase is needed too."""
        return self.kind is SlotKind.BOTH

    @property
    def account(self) -> bytes:
        """The account's id."""
        return self.anchor.account

    def encode(self) -> bytes:
        return cbor.encode(
            {
                1: 1,
                2: self.name,
                3: self.relay,
                4: self.account,
                5: self.code.reveal(),
                6: self.anchor.encode(),
                7: self.witness,
                8: self.time,
                9: int(self.kind),
            }
        )

    @classmethod
    def parse(cls, data: bytes) -> Kit:
        """Raises UntrustedDataError."""
        fields = Fields(cbor.decode(data, subject="kit"), "kit")
        fields.format()
        name, relay = fields.text(2, LIMITS.account_name_bytes, 1), fields.text(3, _ADDRESS_BYTES, 1)
        account = fields.fixed(4)
        code, anchor = RecoveryCode(fields.fixed(5, 20)), Anchor.parse(fields.blob(6, _ANCHOR_BYTES, 1))
        witness = fields.optional(7, lambda value: text(value, _WITNESS_BYTES, "kit", 1))
        found = cls(name, relay, code, anchor, witness, fields.time(8), SlotKind(fields.uint(9, 3, 2)))
        fields.done()
        if account != anchor.account:  # spec: KIT-4
            raise UntrustedDataError(Failure.ACCOUNT, "the anchor is of another account", subject="kit")
        if not is_normal(name):  # spec: KIT-5
            raise fields.wrong("an account name that is not in its normal form")
        return found

    def to_text(self) -> str:
        """One line, for paper, a QR code or a password manager. A secret."""
        data = self.encode()
        return PREFIX + base64.b32encode(data + _check(data)).decode().rstrip("=")

    @classmethod
    def from_text(cls, typed: str) -> Kit:
        """The kit in a text as `to_text` makes it: any case, blanks and line ends anywhere.

        Raises UntrustedDataError: CODE for a typo, else what `parse` raises.
        """
        letters = "".join(typed[: TEXT_MAX + 1].split()).lower()
        if len(typed) > TEXT_MAX or not letters.startswith(PREFIX):  # spec: KIT-1
            raise _typo(f"a recovery kit begins with {PREFIX} and has at most {TEXT_MAX} characters")
        letters = letters.removeprefix(PREFIX)
        if len(letters) % 8 in (1, 3, 6) or not _ALPHABET.issuperset(letters):  # spec: KIT-2
            raise _typo("the recovery kit has a character or a length that no kit has")
        data = base64.b32decode(letters.upper() + "=" * (-len(letters) % 8))
        body, check = data[:-_CHECK], data[-_CHECK:]
        if check != _check(body):  # spec: KIT-3
            raise _typo("the recovery kit has a typo or is not whole")
        return cls.parse(body)


def _check(data: bytes) -> bytes:
    """Finds typos; proves nothing."""
    return hashlib.sha256(data).digest()[:_CHECK]


def _typo(message: str) -> UntrustedDataError:
    return UntrustedDataError(Failure.CODE, message, hint="scan it again, or copy the line of the kit whole")
