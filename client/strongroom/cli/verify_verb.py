"""`strongroom verify`: every byte, from the relay."""

from __future__ import annotations

from typing import Any

import click

from strongroom.cli.context import Context, accepted, common, context
from strongroom.cli.errors import EXIT_UNTRUSTED
from strongroom.cli.progress import Meter


@click.command("verify")
@common
@accepted
def command(**given: Any) -> int:
    """Fetch everything from the relay, check every digest and open every seal. Changes nothing."""
    called = context(**given)
    return called.run(_verify(called))


async def _verify(given: Context) -> int:
    async with await given.open() as vault:
        with Meter("verifying", "bytes") as meter:
            found = await vault.verify(progress=meter.on)
        damaged = {name: str(kind) for name, kind in found.damaged.items()}
        given.emit(
            {
                "objects": found.objects,
                "bytes": found.bytes,
                "frames": found.frames,
                "records": found.rows,
                "frames_lost": found.frames_lost,
                "records_lost": found.rows_lost,
                "damaged": damaged,
            },
            f"{found.objects:,} objects, {found.bytes:,} bytes, {found.rows:,} records: "
            + ("all good" if not damaged else f"{len(damaged)} damaged"),
        )
        for name, kind in damaged.items():
            given.note(f"{kind}: {name}")
        return EXIT_UNTRUSTED if damaged else 0
