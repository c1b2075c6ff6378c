"""`strongroom react CHAT ID EMOJI`: add or take back a reaction."""

from __future__ import annotations

from typing import Any

import click

from strongroom.cli.context import Context, accepted, common, context
from strongroom.cli.writing import save


@click.command("react")
@common
@accepted
@click.argument("chat")
@click.argument("ident", metavar="ID")
@click.argument("emoji")
@click.option("--sender", required=True, metavar="NAME", help="who reacts")
@click.option("--remove", is_flag=True, help="take it back")
def command(chat: str, ident: str, emoji: str, sender: str, remove: bool, **given: Any) -> int:
    """Add a reaction to a message, or take it back."""
    called = context(**given)
    return called.run(_react(called, chat, ident, emoji, sender, remove))


async def _react(given: Context, chat: str, ident: str, emoji: str, sender: str, remove: bool) -> int:
    async with await given.open() as vault:
        message = await vault.message(chat, ident)
        await vault.react(message, emoji, sender=sender, remove=remove)
        await save(given, vault, {"chat": message.chat, "id": ident}, "taken back" if remove else "reacted")
    return 0
