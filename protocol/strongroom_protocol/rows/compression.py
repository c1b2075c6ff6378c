"""Compression of frames: one zstd frame without its magic number, bounded inflation (spec chapter 07)."""

from __future__ import annotations

import functools
import hashlib
from importlib import resources

from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.rows.zstd import (
    CompressionParameter,
    DecompressionParameter,
    ZstdCompressor,
    ZstdDecompressor,
    ZstdDict,
    ZstdError,
)

LEVEL = 3  # what is sealed while somebody waits
LEVEL_TIGHT = 9  # merges: about 4.5 % less than at level 3, for three times its time
LEVEL_SMALL = 15  # 100 new messages take 12 % less than at level 3, for 1 ms
SMALL = 8 * 1024  # bytes of plaintext
WINDOW_LOG = 24  # 16 MiB: no window is larger than the largest plaintext
DICTIONARY_FILE = "dictionary-1.zdict"
DICTIONARY_SHA256 = "02703cac79ecfe9d5bb978a9fb95b870251bfc59571afd6dd6cefc1ef81d100a"

_MAGIC = b"\x28\xb5\x2f\xfd"
_DEFLATE: dict[int, int] = {
    CompressionParameter.content_size_flag: 1,
    CompressionParameter.checksum_flag: 0,  # the seal authenticates
    CompressionParameter.dict_id_flag: 0,  # the codec byte names the dictionary
}
_INFLATE: dict[int, int] = {DecompressionParameter.window_log_max: WINDOW_LOG}


def deflate(plain: bytes, *, dictionary: bool, level: int = LEVEL) -> bytes:
    """One zstd frame of `plain`, without the four bytes of its magic number."""
    return deflate_with(plain, static_dictionary().as_digested_dict if dictionary else None, level=level)


def deflate_with(plain: bytes, zstd_dict: ZstdDict | tuple[ZstdDict, int] | None, *, level: int = LEVEL) -> bytes:
    """`deflate` with any dictionary."""
    level = LEVEL_SMALL if len(plain) <= SMALL else level
    options = _DEFLATE | {CompressionParameter.compression_level: level}
    packed = ZstdCompressor(options=options, zstd_dict=zstd_dict).compress(plain, ZstdCompressor.FLUSH_FRAME)
    return packed[len(_MAGIC) :]


def inflate(payload: bytes, length: int, *, dictionary: bool) -> bytes:
    """The `length` bytes of plaintext; nothing is inflated beyond that, whatever the payload says.

    Raises UntrustedDataError(COMPRESSION).
    """
    zstd_dict = static_dictionary().as_digested_dict if dictionary else None
    reader = ZstdDecompressor(zstd_dict=zstd_dict, options=_INFLATE)
    try:
        plain = reader.decompress(_MAGIC + payload, max_length=length + 1)
    except ZstdError as error:
        raise UntrustedDataError(Failure.COMPRESSION, "not one zstd frame", subject="frame") from error
    if not reader.eof or reader.unused_data:  # spec: FRAME-24
        raise UntrustedDataError(Failure.COMPRESSION, "zstd frame is cut short or followed", subject="frame")
    return plain


@functools.cache
def static_dictionary() -> ZstdDict:
    """Dictionary 1 of the specification, read when it is first used."""
    data = resources.files(__package__).joinpath(DICTIONARY_FILE).read_bytes()
    if hashlib.sha256(data).hexdigest() != DICTIONARY_SHA256:  # spec: FRAME-25
        raise UntrustedDataError(Failure.DIGEST, "dictionary 1 is not the specification's", subject="frame")
    return ZstdDict(data)
