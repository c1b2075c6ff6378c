"""What a chat of an export is called: by its file's name, by what lies around it, or by its first notice."""

from __future__ import annotations

from strongroom.formats.base import ImportOptions
from strongroom.formats.whatsapp.export import ChatFile
from strongroom.formats.whatsapp.titles import is_copy, is_generic, stem, title_in
from strongroom_protocol.errors import ImportRefused


def chat_title(file: ChatFile, options: ImportOptions, notice: str | None) -> str:
    """The title of a chat; its id is made of it, so a wrong one would mix two chats. Raises ImportRefused."""
    if options.title:
        return options.title
    title = title_in(file.name) or (title_in(file.around) if file.around is not None else None)
    if title is not None and notice and is_copy(title) and title.rpartition("(")[0].rstrip() == notice:
        title = notice  # the second download of the same chat
    if title is None and notice:
        title = notice
    if title is None and not is_generic(stem(file.name)):
        title = stem(file.name)
    if title is None and file.around is not None and file.around.lower().endswith(".zip"):
        title = None if is_generic(stem(file.around)) else stem(file.around)
    if title is None and options.chat is not None:
        title = options.chat.removeprefix("whatsapp:")
    if title is None:  # spec: IMP-33
        raise ImportRefused(
            f"{file.name}: neither the file nor its folder names the chat",
            hint="give it a name with --chat whatsapp:NAME, the same for every export of this chat",
        )
    return title[:_TITLE_CHARS]


_TITLE_CHARS = 100
"""Longer than any name that WhatsApp takes; four bytes each, a conversation id may be no longer than 512."""
