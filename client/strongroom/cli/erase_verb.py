"""`strongroom erase CHAT`: take out a whole chat."""

from __future__ import annotations

from typing import Any

import click

from strongroom.cli import taking_out
from strongroom.cli.context import Context, accepted, common, context
from strongroom.cli.progress import Meter
from strongroom.cli.text import safe


@click.command("erase")
@common
@accepted
@click.argument("chat")
@click.option("--dry-run", is_flag=True, help="only say what would go")
@click.option("--yes", is_flag=True, help="do not ask")
def command(chat: str, dry_run: bool, yes: bool, **given: Any) -> int:
    """Take out a whole chat: messages, files, title, members. On this device at once, on others when they next list
    their chats.

    What was written in it up to now never comes back, with no import and from no device; what comes later begins the
    chat anew. `strongroom undo` brings it back while the relay's window lasts (30 days, unless its operator says
    otherwise).
    """
    called = context(**given)
    return called.run(_erase(called, chat, dry_run, yes))


async def _erase(given: Context, chat: str, dry_run: bool, yes: bool) -> int:
    async with await given.open() as vault:
        with Meter("looking at", "records") as meter:
            plan = await vault.erasure(chat, progress=meter.on)
        (cut,) = plan.cuts
        name = safe(cut.title or cut.chat)
        data = taking_out.as_data(plan) | {"dry_run": dry_run}
        if dry_run:
            given.emit(data, "\n".join(["this would go:", *taking_out.as_lines(plan), "nothing was changed"]))
            return 0
        for line in taking_out.as_lines(plan):
            given.note(line)
        taking_out.agree(yes, f"Erase {name}, with all of this?", "--dry-run to see")
        await taking_out.take_out(given, vault, plan)
        given.emit(data, f"erased {name}")
    return 0
