"""Files of messages that wait: sealed into the outbox, brought to the relay before the commit, then removed (13.9)."""

from __future__ import annotations

import contextlib
import mimetypes
from pathlib import Path

from strongroom.attachments import MIME, REASON, SHA256, SIZE, SNIFFED, STATE, Headed
from strongroom.media import Progress, Stream
from strongroom.media_staging import reseal, stage, unstage, upload_staged
from strongroom.outbox import Outbox
from strongroom.session import Session
from strongroom.sniffing import media_type
from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.rows.media_refs import MEDIA, descriptors, with_attachments
from strongroom_protocol.rows.model import Detail
from strongroom_protocol.rows.table import Frame
from strongroom_protocol.seal.media import Media
from strongroom_protocol.seal.objects import HEADER_BYTES, Header

NAME, ROLE = 4, 6

_GONE = (Failure.MISSING, Failure.NAME, Failure.DIGEST, Failure.COMMITMENT, Failure.SEAL, Failure.CONTEXT)

LOST = "damaged on the device that sent it"


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
    `frames`, then name the new parts; the old ones stay until the commit, since the outbox still names them. A file
    that is lost, here and at the relay, is named as unavailable: its message and those after it go on.
    """
    names: set[bytes] = set()
    done: list[Media] = []
    for frame in frames:
        renewed: dict[bytes, bytes | None] = {}
        for descriptor in {found for detail in frame.detail for found in descriptors(detail)}:
            media = _decoded(descriptor)
            if media is None:
                continue
            done.append(media)
            try:
                if _is_older(folder, media, session.keyring.epoch):
                    media = await reseal(session, media, folder, conversation=frame.conversation)
                    renewed[descriptor] = media.encode()
                    done.append(media)
                await upload_staged(session, folder, media)
                names |= media.names
            except UntrustedDataError as error:
                if error.failure not in _GONE:  # spec: CLIENT-34
                    raise  # an answer that makes no sense says nothing of the file
                renewed[descriptor] = None
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


def forget(folder: Path, done: list[Media], outbox: Outbox) -> None:
    """Remove the staged parts of files that a head carries now, but for those that another message waits with."""
    if not outbox.staging:  # a file that is being staged may be one of them; what stays is removed at the next start
        needed = outbox.staged()
        for media in done:
            unstage(folder, media, needed)


def _decoded(descriptor: bytes) -> Media | None:
    """What an app gave for a descriptor; None for what is none, and names nothing that anyone could read."""
    try:
        return Media.decode(descriptor)
    except UntrustedDataError:
        return None


def _is_older(folder: Path, media: Media, epoch: int) -> bool:
    """Whether a part that is staged was sealed in another epoch than `epoch`: any one, others may have gone up."""
    for name in media.names:
        with contextlib.suppress(FileNotFoundError), (folder / name.hex()).open("rb") as file:
            if Header.parse(file.read(HEADER_BYTES), name.hex()).epoch != epoch:
                return True
    return False


def _rename(frame: Frame, renewed: dict[bytes, bytes | None]) -> None:
    def change(attachment: Detail) -> Detail:
        descriptor = attachment.get(MEDIA)
        if descriptor not in renewed:
            return attachment
        rest = {key: value for key, value in attachment.items() if key != MEDIA}
        new = renewed[descriptor]
        return rest | ({STATE: "unavailable", REASON: LOST} if new is None else {MEDIA: new})

    for place, detail in enumerate(frame.detail):
        if detail is not None:
            frame.detail[place] = with_attachments(frame.op[place], detail, change)
