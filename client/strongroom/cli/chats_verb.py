"""`strongroom chats`: the chat list."""

from __future__ import annotations

from typing import Any

import click

from strongroom.cli.context import Context, accepted, common, context
from strongroom.cli.errors import EXIT_INCOMPLETE
from strongroom.cli.text import moment, number, safe


@click.command("chats")
@common
@accepted
def command(**given: Any) -> int:
    """List chats, newest first."""
    called = context(**given)
    return called.run(_chats(called))


async def _chats(given: Context) -> int:
    async with await given.open() as vault:
        rows = await vault.chats()
        damaged = vault.damage()
        data = {
            "chats": [
                {"id": row.conversation, "title": row.title, "newest": row.newest, "records": row.rows,
                 "preview": row.preview, "sender": row.sender}
                for row in rows
            ],
            "damaged": damaged,
        }  # fmt: skip
        lines = [
            f"{moment(row.newest)}  {row.rows:>9,}  {safe(row.title or row.conversation)}  "
            f"{safe(f'{row.sender}: ' if row.sender else '')}{safe(row.preview)}"
            for row in rows
        ]
        given.emit(data, "\n".join(lines) or "no chats yet: add some with strongroom import PATH…")
        if damaged:
            given.note(
                f"{number(len(damaged), 'objects')} damaged or missing, so this is not all: see strongroom verify"
            )
        return EXIT_INCOMPLETE if damaged else 0
