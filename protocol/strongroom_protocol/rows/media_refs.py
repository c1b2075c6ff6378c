"""Where a row's detail refers to files: its attachments, and the parts of the sealed ones (spec chapters 05 and 06)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from strongroom_protocol.engine.refs import ObjectRef
from strongroom_protocol.errors import Failure, UntrustedDataError, UpgradeRequired
from strongroom_protocol.rows.detail import ATTACHMENT, struct_of
from strongroom_protocol.rows.model import Detail
from strongroom_protocol.rows.schema import Many, Struct
from strongroom_protocol.seal.media import Media

MEDIA = 22
"""Field of an attachment: the descriptor of the sealed file."""

ROW_PARTS = 16_384
"""Parts of media that one row may refer to: 128 GiB. An entry of an index has room for four times as many."""


def descriptors(detail: Detail | None) -> Iterator[bytes]:
    """Every descriptor in a row's detail, at any depth.

    It goes through fields that this version does not know, too: a part that goes unseen would be deleted.
    """
    left: list[Any] = [detail] if detail else []
    while left:
        item = left.pop()
        if type(item) is list:
            left += item
        elif type(item) is dict:
            left += item.values()
            found = item.get(MEDIA)
            if type(found) is bytes:
                yield found


def part_refs(detail: Detail | None) -> Iterator[ObjectRef]:
    """The parts of media that a row refers to: name and sealed size; one that is used twice comes twice.

    What is no descriptor names nothing that anyone could read, and is passed over. Raises UpgradeRequired for one of a
    newer format: who cannot tell what it needs must not decide what to keep.
    """
    for descriptor in descriptors(detail):
        try:
            yield from Media.decode(descriptor).parts
        except UpgradeRequired:
            raise
        except UntrustedDataError:
            continue


def without_media(item: Any) -> Any:
    """A detail, or a part of one, without any descriptor, wherever `descriptors` would find it."""
    if type(item) is list:
        return [without_media(entry) for entry in item]
    if type(item) is dict:
        return {key: without_media(value) for key, value in item.items() if key != MEDIA or type(value) is not bytes}
    return item


def check_writable(detail: Detail | None) -> None:
    """What a writer asks of a row beyond what a reader does: one row must not keep all others from being merged.

    Raises UntrustedDataError: LIMIT; UpgradeRequired.
    """
    if sum(1 for _ in part_refs(detail)) > ROW_PARTS:  # spec: MEDIA-7
        raise UntrustedDataError(Failure.LIMIT, "refers to too many parts of files", subject="detail")


def attachments(op: int, detail: Detail | None) -> Iterator[Detail]:
    """Every attachment in the detail of a row of operation `op`: files, thumbnails, avatars, images of cards and
    quotes, and those of forwarded messages. They are the detail's own maps."""
    found: list[Detail] = []

    def seen(attachment: Detail) -> Detail:
        found.append(attachment)
        return attachment

    if detail is not None:
        with_attachments(op, detail, seen)
    yield from found


def with_attachments(op: int, detail: Detail, change: Callable[[Detail], Detail]) -> Detail:
    """The detail with `change` applied to each attachment; what has none is not copied."""
    return _changed(struct_of(op), detail, change)


def _changed(struct: Struct, value: Detail, change: Callable[[Detail], Detail]) -> Detail:
    made = value
    for key, item in value.items():
        kind = struct.by_key[key].type if key in struct.by_key else None
        new = item
        if isinstance(kind, Struct) and type(item) is dict:
            new = _changed(kind, item, change)
        elif isinstance(kind, Many) and isinstance(of := kind.of, Struct) and type(item) is list:
            entries = [_changed(of, entry, change) if type(entry) is dict else entry for entry in item]
            new = entries if any(a is not b for a, b in zip(entries, item, strict=True)) else item
        if new is not item:
            made = {**made, key: new}
    return change(made) if struct is ATTACHMENT else made
