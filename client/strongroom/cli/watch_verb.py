"""`strongroom watch [CHAT]`: what other devices write, as it arrives, until Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from strongroom.cli.context import Context, accepted, common, context
from strongroom.cli.errors import EXIT_PIPE
from strongroom.cli.show_verb import lines, plain
from strongroom.cli.text import json_line, safe
from strongroom_protocol.errors import InvalidArgument

if TYPE_CHECKING:
    from strongroom.records import Update
    from strongroom.vault import Vault


@click.command("watch")
@common
@accepted
@click.argument("chat", required=False)
@click.option("--once", is_flag=True, help="end after the first update")
@click.option("--poll", type=click.IntRange(1, 86_400), metavar="SECONDS",
              help="ask every so many seconds, instead of holding a connection")  # fmt: skip
def command(chat: str | None, once: bool, poll: int | None, **given: Any) -> int:
    """Show what other devices write, in CHAT (id or title) or all chats, from now on. Ctrl-C ends it.

    With --json each update is one line. What this device appends is not shown.
    """
    called = context(**given)
    return called.run(_watch(called, chat, once=once, poll=poll))


async def _watch(given: Context, chat: str | None, *, once: bool, poll: int | None) -> int:
    async with await given.open() as vault:
        if vault.relay.startswith("file:"):
            raise InvalidArgument(
                "a folder has one user at a time: while this one watches, nobody else can write to it",
                hint="strongroom show CHAT shows what is there; to watch, keep the vault on a relay",
            )
        wanted = None if chat is None else (await vault.chat(chat)).conversation
        titles = await _titles(vault)
        given.note("watching; Ctrl-C ends it")
        async with contextlib.aclosing(vault.watch(poll=poll)) as updates:
            async for update in updates:
                if not _concerns(update, wanted, json=given.json):
                    continue
                if not titles.keys() >= set(update.chats) or not update.messages:
                    titles = await _titles(vault)
                if not _show(given, update, titles, wanted):
                    return EXIT_PIPE
                if once:
                    break
    return 0


async def _titles(vault: Vault) -> dict[str, str]:
    return {row.conversation: row.title for row in await vault.chats()}


def _concerns(update: Update, wanted: str | None, *, json: bool) -> bool:
    """Whether it is shown. What names no chat is for programs alone: old messages may have changed, and they keep
    what is shown; a person has read those, and nothing new has come."""
    named = bool(update.chats) if wanted is None else wanted in update.chats
    return named or (json and not update.complete)


def _show(given: Context, update: Update, titles: dict[str, str], wanted: str | None) -> bool:
    """Print it at once; False when nobody reads any more."""
    chats = [chat for chat in update.chats if wanted in (None, chat)]
    messages = [message for message in update.messages if message.chat in chats]
    if given.json:
        data = {
            "version": update.version, "complete": update.complete,
            "chats": [{"chat": chat, "title": titles.get(chat, "")} for chat in chats],
            "messages": [{"chat": message.chat} | plain(message) for message in messages],
        }  # fmt: skip
        shown = [json_line(data)]
    else:
        told = {message.chat for message in messages}
        shown = []
        for chat in chats:
            name = safe(titles.get(chat) or chat)
            if chat not in told:
                shown.append(f"[{name}] has changed")
            shown += [f"[{name}] {line}" for message in messages if message.chat == chat for line in lines(message)]
        if not update.complete:
            shown.append("not everything could be told one by one: strongroom show CHAT shows it")
    try:
        click.echo("\n".join(shown))
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True
