"""`strongroom append CHAT [TEXT]`: one message, with files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from strongroom.cli.context import Context, accepted, common, context
from strongroom.cli.writing import When, save, text_of
from strongroom_protocol.errors import InvalidArgument


@click.command("append")
@common
@accepted
@click.argument("chat")
@click.argument("text", required=False)
@click.option("--sender", metavar="NAME", help="who wrote it")
@click.option("--time", type=When(), metavar="TIME", help="when: ISO 8601 or milliseconds since 1970 (default: now)")
@click.option("--id", "ident", metavar="ID", help="the platform's id: the same id again is the same message")
@click.option("--file", "files", multiple=True, type=click.Path(path_type=Path), help="attach FILE (again for more)")
@click.option("--title", metavar="TITLE", help="also name the chat")
def command(chat: str, text: str | None, **given: Any) -> int:
    """Add a message to a chat (by its id; a new one is made). TEXT `-` reads standard input."""
    own = {name: given.pop(name) for name in ("sender", "time", "ident", "files", "title")}
    called = context(**given)
    return called.run(_append(called, chat, text_of(text), **own))


async def _append(
    given: Context, chat: str, text: str | None, *, sender: str | None, time: int | None, ident: str | None,
    files: tuple[Path, ...], title: str | None,
) -> int:  # fmt: skip
    from strongroom import compose

    if text is None and not files and title is None:
        raise InvalidArgument("nothing to append", hint="give a TEXT, --file or --title")
    async with await given.open() as vault:
        if title is not None:
            await vault.append(chat, compose.title(title, time=time))
        data: dict[str, Any] = {"chat": chat}
        if files:
            found = await vault.attach(chat, *files, text=text, sender=sender, time=time, id=ident)
            data["id"] = found.id
        elif text is not None:
            (found,) = await vault.append(chat, compose.message(text, sender=sender, time=time, id=ident))
            data["id"] = found.id
        await save(given, vault, data, f"appended {data['id']}" if "id" in data else "named")
    return 0
