"""The recovery code: 160 bits in 8 groups of 5 characters, each group with its own check character (chapter 04).

The alphabet is Crockford's base32 without look-alikes. A group's check character is a weighted sum over GF(32) of its
four characters and its number: any one wrong character and any two swapped neighbours are found, and the group that
holds the typo is named.
"""

from __future__ import annotations

from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.keys.secrets import RecoveryCode

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LOOKALIKES = str.maketrans({"O": "0", "I": "1", "L": "1", "U": "V"})
_GROUPS = 8


def render(code: RecoveryCode) -> str:
    """`XXXXX-XXXXX-…`: 8 groups of 4 data characters and a check character."""
    number = int.from_bytes(code.reveal(), "big")
    symbols = [(number >> (155 - 5 * index)) & 31 for index in range(32)]
    groups = [symbols[4 * index : 4 * index + 4] for index in range(_GROUPS)]
    return "-".join(
        "".join(ALPHABET[symbol] for symbol in [*group, _check(index, group)]) for index, group in enumerate(groups)
    )


def parse(typed: str) -> RecoveryCode:
    """The code as typed: any case, spaces and hyphens ignored, look-alikes accepted.

    Raises UntrustedDataError(CODE) naming the group with the typo.
    """
    cleaned = "".join(typed.split()).replace("-", "").upper().translate(_LOOKALIKES)
    if len(cleaned) != 5 * _GROUPS:  # spec: CODE-1
        raise _typo(f"a recovery code has {5 * _GROUPS} characters, this has {len(cleaned)}")
    number = 0
    for index in range(_GROUPS):
        group = [ALPHABET.find(char) for char in cleaned[5 * index : 5 * index + 5]]
        if min(group) < 0:  # spec: CODE-2
            raise _typo(f"group {index + 1} has a character that is not used in codes")
        if _check(index, group[:4]) != group[4]:  # spec: CODE-3
            raise _typo(f"group {index + 1} has a typo")
        for symbol in group[:4]:
            number = number << 5 | symbol
    return RecoveryCode(number.to_bytes(20, "big"))


def _check(index: int, group: list[int]) -> int:
    total = index
    for symbol in group:
        total = _times_alpha(total ^ symbol)
    return total


def _times_alpha(value: int) -> int:
    value <<= 1
    return value ^ 0x25 if value & 32 else value  # GF(32) modulo x^5 + x^2 + 1


def _typo(message: str) -> UntrustedDataError:
    return UntrustedDataError(Failure.CODE, message, hint="compare that part with what you wrote down and try again")
