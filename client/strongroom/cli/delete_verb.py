"""`strongroom delete CHAT ID`: remove a message's content."""

from __future__ import annotations

from typing import Any

import click

from strongroom.cli.context import Context, accepted, common, context
from strongroom.cli.writing import save


@click.command("delete")
@common
@accepted
@click.argument("chat")
@click.argument("ident", metavar="ID")
@click.option("--keep-content", is_flag=True, help="only mark it as deleted by its sender")
def command(chat: str, ident: str, keep_content: bool, **given: Any) -> int:
    """Remove a message's content, for good and on every device. It stays deleted when an old export is imported."""
    called = context(**given)
    return called.run(_delete(called, chat, ident, keep_content))


async def _delete(given: Context, chat: str, ident: str, keep_content: bool) -> int:
    from strongroom_protocol.rows.model import DeleteKind

    async with await given.open() as vault:
        message = await vault.message(chat, ident)
        await vault.delete(message, how=DeleteKind.BY_SENDER if keep_content else DeleteKind.ERASE)
        await save(given, vault, {"chat": message.chat, "id": ident}, "deleted")
    return 0
