"""`strongroom show CHAT`: its messages: the newest, those before or around one, or a single one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from strongroom.cli.context import Context, accepted, common, context
from strongroom.cli.errors import EXIT_INCOMPLETE
from strongroom.cli.text import moment, number, safe
from strongroom.cli.writing import When
from strongroom_protocol.errors import InvalidArgument

if TYPE_CHECKING:
    from strongroom.records import ChatMessage
    from strongroom.vault import Vault


@click.command("show")
@common
@accepted
@click.argument("chat")
@click.option("--last", default=50, show_default=True, type=click.IntRange(1, 100_000), help="how many messages")
@click.option("--before", metavar="ID", help="those before this message, to page back")
@click.option("--around", type=When(), metavar="TIME", help="as many before TIME and after it (ISO 8601, UTC)")
@click.option("--id", "ident", metavar="ID", help="only this message")
def command(chat: str, last: int, before: str | None, around: int | None, ident: str | None, **given: Any) -> int:
    """Show messages of a chat, by its id or title: the newest unless told otherwise."""
    if sum(choice is not None for choice in (before, around, ident)) > 1:
        raise InvalidArgument("--before, --around and --id exclude each other")
    called = context(**given)
    return called.run(_show(called, chat, last, before, around, ident))


async def _show(given: Context, chat: str, last: int, before: str | None, around: int | None, ident: str | None) -> int:
    async with await given.open() as vault:
        messages = await _read(vault, chat, last, before, around, ident)
        damaged = vault.damage()
        given.emit(
            {"chat": chat, "messages": [plain(message) for message in messages], "damaged": damaged},
            "\n".join(line for message in messages for line in lines(message)) or "no messages",
        )
        if damaged:
            given.note(
                f"{number(len(damaged), 'objects')} damaged or missing, so this is not all: see strongroom verify"
            )
        return EXIT_INCOMPLETE if damaged else 0


async def _read(
    vault: Vault, chat: str, last: int, before: str | None, around: int | None, ident: str | None
) -> list[ChatMessage]:
    if ident is not None:
        return [await vault.message(chat, ident)]
    if before is not None:
        return await vault.older(await vault.message(chat, before), count=last)
    if around is not None:
        return await vault.around(chat, around, count=last)
    return await vault.newest(chat, count=last)


def plain(message: ChatMessage) -> dict[str, Any]:
    """A message as JSON shows it."""
    return {
        "id": message.id, "time": message.time, "sender": message.sender, "sender_name": message.sender_name,
        "text": message.text, "kind": message.kind if message.versions else None, "deleted": message.deleted,
        "versions": len(message.versions), "reactions": [list(item) for item in message.reactions],
        "pending": message.pending,
        "files": [
            {"name": item.name, "mime": item.mime, "size": item.size, "state": item.state, "reason": item.reason}
            for item in message.attachments
        ],
    }  # fmt: skip


def lines(message: ChatMessage) -> list[str]:
    """A message for people: a line, and one for each file."""
    if message.deleted or not message.versions:
        return [f"{moment(message.time)}  (deleted)"]
    who = message.sender_name or message.sender
    said = f"{safe(who)}: {safe(message.text or '')}".rstrip() if who else safe(message.text or "")
    marks = " (edited)" * message.edited + " (not yet at the relay)" * message.pending
    faces = " ".join(sorted({safe(emoji) for _, emoji in message.reactions}))
    named = [
        f"{item.name or item.role or 'file'}{'' if item.state == 'present' else f': {item.state}'}"
        for item in message.attachments
    ]
    files = [f"{'':16}  [{safe(name)}]" for name in named]
    return [f"{moment(message.time)}  {said}{marks}{f'  {faces}' if faces else ''}", *files]
