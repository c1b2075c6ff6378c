"""What a message says, as imports compare it: its kind and detail without what changes from export to export."""

from __future__ import annotations

from strongroom_protocol.rows.detail import ATTACHMENTS
from strongroom_protocol.rows.media_refs import MEDIA, attachments, with_attachments
from strongroom_protocol.rows.model import Detail, Op

SHA256, STATE = 1, 7
_ABSENT = frozenset(("omitted", "too_large", "unavailable", "not_downloaded", "expired"))
"""Why one export lacks a file that another may have; `deleted` says something of the message itself."""

_SENDER_NAME, _FORWARD, _TALLIES, _POLL = 2, 6, 8, 21
_PASSING = frozenset((_SENDER_NAME, _FORWARD, _TALLIES, _POLL))
_WHERE = frozenset((SHA256, 2, 3, 5, 7, 8, 17, MEDIA))
"""Fields that tell of a file's bytes and where they are: hash, size, types, path, state, reason, descriptor."""


class Said:
    """A kind and a detail with files: what they say, and the files whose bytes are in the vault.

    `known == new` holds when `new` says the same and brings no bytes that `known` lacks. One export has a file and the
    next does not; an epoch later the same file has another descriptor. Neither is another version of the message. Of
    one that was exported without its files (`absent`), `new` may also say less: what kind of file it was, its name.
    """

    __slots__ = ("absent", "bytes", "kind", "text")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, kind: int, text: Detail, files: frozenset[bytes], absent: bool) -> None:
        self.kind = kind
        self.text = text
        self.bytes = files
        self.absent = absent

    def __eq__(self, new: object) -> bool:
        if not isinstance(new, Said) or not new.bytes <= self.bytes:
            return False
        return (self.kind, self.text) == (new.kind, new.text) or (new.absent and _says_less(new.text, self.text))


def _says_less(new: Detail, known: Detail) -> bool:
    """Whether all that `new` says is in `known`, file by file."""
    files, there = new.get(ATTACHMENTS, []), known.get(ATTACHMENTS, [])
    rest = [(key, value) for key, value in new.items() if key != ATTACHMENTS]
    return (
        len(files) == len(there)
        and all(known.get(key) == value for key, value in rest)
        and all(file.items() <= other.items() for file, other in zip(files, there, strict=True))
    )


def said(op: int, kind: int, detail: Detail | None) -> Said | tuple[int, Detail | None]:
    """What a row says besides sender and text; equal when it says nothing else."""
    if detail is None:
        return kind, None
    told = _lasting(detail) if op <= Op.EDIT and not _PASSING.isdisjoint(detail) else detail
    if next(attachments(op, detail), None) is None:
        return kind, told or None
    absent = any(item.get(STATE) in _ABSENT for item in attachments(op, detail))
    return Said(kind, with_attachments(op, told, bare), files_in(op, detail), absent)


def _lasting(detail: Detail) -> Detail:
    """What a message's detail says apart from names of people and counts: an export has those of its own day, and a
    person who takes another name has written nothing anew."""
    kept = {key: value for key, value in detail.items() if key not in (_SENDER_NAME, _TALLIES)}  # spec: IMP-45
    if _FORWARD in kept:
        kept[_FORWARD] = {key: value for key, value in kept[_FORWARD].items() if key != 2}
    if _POLL in kept:
        kept[_POLL] = {key: value for key, value in kept[_POLL].items() if key != 6}
        if options := kept[_POLL].get(2):
            kept[_POLL][2] = [{key: value for key, value in option.items() if key != 2} for option in options]
    return kept


def bare(attachment: Detail) -> Detail:
    """What an attachment says of a file, wherever its bytes are."""
    return {key: value for key, value in attachment.items() if key not in _WHERE}


def files_in(op: int, detail: Detail) -> frozenset[bytes]:
    """The hashes of the files whose bytes are in the vault."""
    return frozenset(item[SHA256] for item in attachments(op, detail) if MEDIA in item and SHA256 in item)
