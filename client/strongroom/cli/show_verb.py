"""`strongroom show CHAT`: its newest messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from strongroom.cli.context import Context, accepted, common, context
from strongroom.cli.errors import EXIT_INCOMPLETE
from strongroom.cli.text import moment, safe

if TYPE_CHECKING:
    from strongroom.records import ChatMessage


@click.command("show")
@common
@accepted
@click.argument("chat")
@click.option("--last", default=50, show_default=True, type=click.IntRange(1, 100_000), help="how many messages")
def command(chat: str, last: int, **given: Any) -> int:
    """Show the newest messages of a chat, by its id or title."""
    called = context(**given)
    return called.run(_show(called, chat, last))


async def _show(given: Context, chat: str, last: int) -> int:
    async with await given.open() as vault:
        messages = await vault.newest(chat, count=last)
        damaged = vault.damage()
        given.emit(
            {"chat": chat, "messages": [_plain(message) for message in messages], "damaged": damaged},
            "\n".join(map(_line, messages)) or "no messages",
        )
        if damaged:
            given.note(f"{len(damaged)} objects are damaged or missing, so this is not all: see strongroom verify")
        return EXIT_INCOMPLETE if damaged else 0


def _plain(message: ChatMessage) -> dict[str, Any]:
    return {
        "id": message.id, "time": message.time, "sender": message.sender, "text": message.text,
        "kind": message.kind if message.versions else None, "deleted": message.deleted,
        "versions": len(message.versions), "reactions": [list(item) for item in message.reactions],
    }  # fmt: skip


def _line(message: ChatMessage) -> str:
    if message.deleted or not message.versions:
        return f"{moment(message.time)}  (deleted)"
    who = f"{safe(message.sender)}: " if message.sender else ""
    return f"{moment(message.time)}  {who}{safe(message.text or '')}"
