"""One normal form for what people type: passphrases and account names (spec chapter 04).

Passphrases follow the OpaqueString profile of RFC 8265, account names UsernameCaseMapped's case and width rules, so
that a secret typed on another platform or keyboard gives the same key.
"""

from __future__ import annotations

import unicodedata

from strongroom_protocol.errors import InvalidArgument
from strongroom_protocol.keys.secrets import Passphrase
from strongroom_protocol.limits import LIMITS, Limits


def passphrase(typed: str, *, limits: Limits = LIMITS) -> Passphrase:
    """NFC, every Unicode space as U+0020, one trailing line end dropped. Empty or control characters are refused."""
    line = typed.removesuffix("\n").removesuffix("\r")
    spaced = "".join(" " if unicodedata.category(char) == "Zs" else char for char in line)
    normal = unicodedata.normalize("NFC", spaced)  # spec: KDF-4
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in normal):
        raise InvalidArgument("a passphrase cannot contain control characters", hint="use one line of text")
    encoded = normal.encode()
    if not 0 < len(encoded) <= limits.passphrase_bytes:
        raise InvalidArgument(f"a passphrase has 1 to {limits.passphrase_bytes} bytes")
    return Passphrase(encoded)


def account_name(typed: str, *, limits: Limits = LIMITS) -> str:
    """NFKC and case-folded; letters, digits and `._@+-` only, so a name is the same name everywhere."""
    normal = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", typed).casefold())  # spec: KDF-5
    good = all(char.isalnum() or char in "._@+-" for char in normal)
    if not good or not 0 < len(normal.encode()) <= limits.account_name_bytes:
        raise InvalidArgument("not a possible account name", hint="use letters, digits and . _ @ + - (up to 128 bytes)")
    return normal


def is_normal(name: str) -> bool:
    """Whether an account name is in its normal form, as every name that is stored or handed on is."""
    try:
        return account_name(name) == name
    except InvalidArgument:
        return False
