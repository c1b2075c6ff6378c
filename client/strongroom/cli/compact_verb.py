"""`strongroom compact`: the history as small as it gets."""

from __future__ import annotations

from typing import Any

import click

from strongroom.cli.context import Context, accepted, common, context


@click.command("compact")
@common
@accepted
def command(**given: Any) -> int:
    """Pack the history as small as it gets and take out what was deleted. Never needed; other devices go on."""
    called = context(**given)
    return called.run(_compact(called))


async def _compact(given: Context) -> int:
    async with await given.open() as vault:
        changed = await vault.compact()
        given.emit({"changed": changed}, "compacted" if changed else "nothing to do")
    return 0
