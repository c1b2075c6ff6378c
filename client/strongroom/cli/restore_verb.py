"""`strongroom restore`: everything onto this device."""

from __future__ import annotations

from typing import Any

import click

from strongroom.cli.context import Context, accepted, common, context
from strongroom.cli.errors import EXIT_INCOMPLETE
from strongroom.cli.progress import Meter
from strongroom.cli.text import number


@click.command("restore")
@common
@accepted
@click.option("--media/--no-media", default=None,
              help="fetch files too, or leave them until they are looked at (default: as in settings)")  # fmt: skip
def command(media: bool | None, **given: Any) -> int:
    """Fetch everything into this device's folder, so that it is readable without the relay."""
    called = context(**given)
    return called.run(_restore(called, media=media))


async def _restore(given: Context, *, media: bool | None) -> int:
    async with await given.open() as vault:
        with Meter("restoring", "bytes") as meter:
            restored = await vault.restore(media=media, progress=meter.on)
        found = restored.audit
        damaged = {name: str(kind) for name, kind in found.damaged.items()}
        given.emit(
            {
                "objects": found.objects,
                "bytes": found.bytes,
                "records": found.rows - found.rows_lost,
                "records_lost": found.rows_lost,
                "frames_lost": found.frames_lost,
                "damaged": damaged,
                "version": restored.version,
                "fallback": restored.fallback,
            },
            f"restored {number(found.rows - found.rows_lost, 'records')} in {number(found.objects, 'objects')} "
            f"({number(found.bytes, 'bytes')})",
        )
        if not damaged:
            return 0
        for name, kind in damaged.items():
            given.note(f"{kind}: {name}")
        if restored.fallback:
            given.note("the newest commit's body is damaged: this is the version before it")
        given.note(f"{number(found.rows_lost, 'records')} could not be restored; everything else was")
        return EXIT_INCOMPLETE
