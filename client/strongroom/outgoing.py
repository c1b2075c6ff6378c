"""Files of messages that wait: sealed into the outbox, brought to the relay before the commit, then removed (13.9)."""

from __future__ import annotations

import mimetypes
from pathlib import Path

from strongroom.attachments import MIME, SHA256, SIZE, SNIFFED, Headed
from strongroom.media import Progress, Stream
from strongroom.media_staging import reseal, stage, unstage, upload_staged
from strongroom.outbox import Outbox
from strongroom.session import Session
from strongroom.sniffing import media_type
from strongroom_protocol.rows.media_refs import MEDIA, descriptors, with_attachments
from strongroom_protocol.rows.model import Detail
from strongroom_protocol.rows.table import Frame
from strongroom_protocol.seal.media import Media
from strongroom_protocol.seal.objects import HEADER_BYTES, Header

NAME, ROLE = 4, 6


async def stage_attachment(
    session: Session, folder: Path, stream: Stream, *, chat: str, name: str, mime: str | None, role: str | None,
    progress: Progress | None,
) -> Detail:  # fmt: skip
    """Seal a file into the outbox; the attachment that names it. Durable on return."""
    headed = Headed(stream)
    media = await stage(session, headed, folder, conversation=chat, progress=progress)
    sniffed = media_type(headed.head)
    fields: dict[int, object] = {
        SHA256: media.sha256, SIZE: media.size, MIME: mime or mimetypes.guess_type(name)[0] or sniffed, NAME: name,
        ROLE: role, SNIFFED: sniffed, MEDIA: media.encode(),
    }  # fmt: skip
    return {key: value for key, value in fields.items() if value is not None}


async def bring(session: Session, folder: Path, frames: list[Frame]) -> tuple[set[bytes], list[Media]]:
    """Upload the staged files that rows name: the objects for the commit to add, and what to `forget` after it.

    What was sealed in an earlier epoch is sealed again: who was removed meanwhile shall not read it. Its rows, in
    `frames`, then name the new parts; the old ones stay until the commit, since the outbox still names them.
    """
    names: set[bytes] = set()
    done: list[Media] = []
    for frame in frames:
        renewed: dict[bytes, bytes] = {}
        for descriptor in {found for detail in frame.detail for found in descriptors(detail)}:
            media = Media.decode(descriptor)
            done.append(media)
            if (folder / media.parts[0].name.hex()).exists() and _epoch_of(folder, media) != session.keyring.epoch:
                media = await reseal(session, media, folder, conversation=frame.conversation)
                renewed[descriptor] = media.encode()
                done.append(media)
            await upload_staged(session, folder, media)
            names |= media.names
        if renewed:
            _rename(frame, renewed)
    return names, done


def clean(folder: Path, outbox: Outbox) -> None:
    """Remove staged parts that no waiting row names: a process ended between commit and removal, or before append."""
    if folder.exists() and any(folder.iterdir()):
        needed = {name.hex() for name in outbox.staged()}
        for path in folder.iterdir():
            if path.name not in needed:
                path.unlink(missing_ok=True)


def forget(folder: Path, done: list[Media]) -> None:
    """Remove the staged parts of files that a head carries now."""
    for media in done:
        unstage(folder, media)


def _epoch_of(folder: Path, media: Media) -> int:
    name = media.parts[0].name.hex()
    with (folder / name).open("rb") as file:
        return Header.parse(file.read(HEADER_BYTES), name).epoch


def _rename(frame: Frame, renewed: dict[bytes, bytes]) -> None:
    def change(attachment: Detail) -> Detail:
        descriptor = attachment.get(MEDIA)
        return attachment | {MEDIA: renewed[descriptor]} if descriptor in renewed else attachment

    for place, detail in enumerate(frame.detail):
        if detail is not None:
            frame.detail[place] = with_attachments(frame.op[place], detail, change)
