"""What the old device shows and a person brings to the new one: a short code to type, or a text for a QR code (15.1).

482193-K7Q-M2X                      mailbox number and 30 bits
strongroom-link:AEBAGBAF…           relay, mailbox number and 160 bits
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from enum import IntEnum

from strongroom_protocol.errors import Failure, StrongroomError, UntrustedDataError
from strongroom_protocol.keys.secrets import Secret
from strongroom_protocol.wire import cbor
from strongroom_protocol.wire.parse import Fields

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
SCHEME = "strongroom-link:"
NUMBER_MAX = 999_999
NUMBER_DIGITS = 6
SHORT_CHARS = 6
LONG_BYTES = 20
RELAY_BYTES = 256
TEXT_CHARS = 1024
_LOOKALIKES = str.maketrans({"O": "0", "I": "1", "L": "1", "U": "V"})
_CHECK_BYTES = 4


class Kind(IntEnum):
    """Which of the two secrets of a link somebody has."""

    SHORT = 1
    LONG = 2


class LinkSecret(Secret):
    """What both devices know and the relay does not: the characters of a short code, or 20 bytes."""

    @property
    def kind(self) -> Kind:
        return Kind.LONG if len(self._bytes) == LONG_BYTES else Kind.SHORT


@dataclass(frozen=True, slots=True)
class LinkCode:
    """A code as it was entered: mailbox number, secret, and the relay when the code names it."""

    number: int
    secret: LinkSecret
    relay: str | None = None


def short_secret(uniform: bytes) -> LinkSecret:
    """Six characters from four random bytes, of which two bits are not used."""
    number = int.from_bytes(uniform[:4], "big")
    return LinkSecret("".join(ALPHABET[number >> 5 * index & 31] for index in range(SHORT_CHARS)).encode())


def short_code(number: int, secret: LinkSecret) -> str:
    """`482193-K7Q-M2X`."""
    letters = secret.reveal().decode()
    return f"{number:0{NUMBER_DIGITS}}-{letters[:3]}-{letters[3:]}"


def long_text(relay: str, number: int, secret: LinkSecret) -> str:
    """The text of the QR code."""
    content = cbor.encode({1: 1, 2: relay, 3: number, 4: secret.reveal()})
    return SCHEME + base64.b32encode(content + _check(content)).decode().rstrip("=")


def parse(typed: str) -> LinkCode:
    """A short code (any case, spaces and hyphens as they come, look-alikes accepted) or a QR code's text.

    Raises UntrustedDataError(CODE) that says what is wrong with it.
    """
    entered = "".join(typed.split())
    if entered.lower().startswith(SCHEME):
        return _parse_long(entered[len(SCHEME) :])
    cleaned = entered.replace("-", "").upper().translate(_LOOKALIKES)
    wanted = NUMBER_DIGITS + SHORT_CHARS
    if len(cleaned) != wanted:  # spec: LINK-2
        raise _typo(f"a link code has {wanted} characters, like 482193-K7Q-M2X; this has {len(cleaned)}")
    digits, letters = cleaned[:NUMBER_DIGITS], cleaned[NUMBER_DIGITS:]
    if not (digits.isascii() and digits.isdigit()):  # spec: LINK-3
        raise _typo("a link code begins with six digits")
    if any(char not in ALPHABET for char in letters):  # spec: LINK-4
        raise _typo("the code has a character that is not used in codes")
    return LinkCode(int(digits), LinkSecret(letters.encode()))


def _parse_long(text: str) -> LinkCode:
    try:
        raw = base64.b32decode(text.upper() + "=" * (-len(text) % 8)) if len(text) <= TEXT_CHARS else b""
    except (binascii.Error, ValueError):
        raw = b""
    content, check = raw[:-_CHECK_BYTES], raw[-_CHECK_BYTES:]
    if not content or _check(content) != check:  # spec: LINK-5
        raise _typo("the text of the QR code is not complete")
    try:
        fields = Fields(cbor.decode(content, subject="link code"), "link code")
        fields.format()
        relay, number = fields.text(2, RELAY_BYTES, 1), fields.uint(3, NUMBER_MAX)
        found = LinkCode(number, LinkSecret(fields.fixed(4, LONG_BYTES)), relay)
        fields.done()
    except StrongroomError as error:  # made by something else, or by a later version
        raise _typo("this QR code is not one this version can read") from error
    return found


def _check(content: bytes) -> bytes:
    return hashlib.sha256(b"strongroom/v1/link-text\0" + content).digest()[:_CHECK_BYTES]


def _typo(message: str) -> UntrustedDataError:
    return UntrustedDataError(Failure.CODE, message, hint="compare it with what the other device shows and try again")
