"""`strongroom edit CHAT ID TEXT`: a new version of a message."""

from __future__ import annotations

from typing import Any

import click

from strongroom.cli.context import Context, accepted, common, context
from strongroom.cli.writing import save, text_of


@click.command("edit")
@common
@accepted
@click.argument("chat")
@click.argument("ident", metavar="ID")
@click.argument("text")
def command(chat: str, ident: str, text: str, **given: Any) -> int:
    """Give a message a new text; earlier versions stay readable. TEXT `-` reads standard input."""
    called = context(**given)
    return called.run(_edit(called, chat, ident, text_of(text)))


async def _edit(given: Context, chat: str, ident: str, text: str | None) -> int:
    async with await given.open() as vault:
        message = await vault.message(chat, ident)
        await vault.edit(message, text)
        await save(given, vault, {"chat": message.chat, "id": ident}, "edited")
    return 0
