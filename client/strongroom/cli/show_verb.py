"""`strongroom show CHAT`: its newest messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from strongroom.cli.context import Context, accepted, common, context
from strongroom.cli.errors import EXIT_INCOMPLETE
from strongroom.cli.text import moment, safe

if TYPE_CHECKING:
    from strongroom_protocol.rows.merge import Message


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
        messages = await vault.show(chat, count=last)
        damaged = vault.damage()
        given.emit(
            {"chat": chat, "messages": [_plain(message) for message in messages], "damaged": damaged},
            "\n".join(map(_line, messages)) or "no messages",
        )
        if damaged:
            given.note(f"{len(damaged)} objects are damaged or missing, so this is not all: see strongroom verify")
        return EXIT_INCOMPLETE if damaged else 0


def _plain(message: Message) -> dict[str, Any]:
    row = message.current
    return {
        "id": message.id, "time": message.time, "sender": row.sender if row else None,
        "text": row.text if row else None, "kind": int(row.kind) if row else None,
        "deleted": message.deletion is not None, "versions": len(message.versions),
        "reactions": [[item.sender, item.text] for item in message.reactions],
    }  # fmt: skip


def _line(message: Message) -> str:
    row = message.current
    if row is None or message.deletion is not None:
        return f"{moment(message.time)}  (deleted)"
    who = f"{safe(row.sender)}: " if row.sender else ""
    return f"{moment(message.time)}  {who}{safe(row.text or '')}"
