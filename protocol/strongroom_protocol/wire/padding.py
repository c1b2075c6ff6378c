"""Padding of sealed plaintexts: PADMÉ lengths (Nikitin et al., PETS 2019), ISO/IEC 7816-4 marker (chapter 05).

PADMÉ leaks O(log log n) bits of a length n and costs at most 12 %.
"""

from __future__ import annotations

from strongroom_protocol.errors import Failure, UntrustedDataError


def padme(length: int) -> int:
    """The padded length for `length` bytes, at least `length`."""
    if length < 2:
        return length
    exponent = length.bit_length() - 1
    mask = (1 << (exponent - exponent.bit_length())) - 1
    return (length + mask) & ~mask


def pad(content: bytes, *, floor: int) -> bytes:
    """`content`, the marker 0x80, zeros up to the PADMÉ length or `floor`, whichever is larger."""
    return content + b"\x80" + bytes(max(floor, padme(len(content) + 1)) - len(content) - 1)


def unpad(padded: bytes, *, floor: int, subject: str) -> bytes:
    """The content of exactly what `pad` made; anything else is refused, so a content has one padded form."""
    content = padded.rstrip(b"\0")
    if not content.endswith(b"\x80") or pad(content[:-1], floor=floor) != padded:  # spec: OBJ-9
        raise UntrustedDataError(Failure.PADDING, "padding is not canonical", subject=subject)
    return content[:-1]
