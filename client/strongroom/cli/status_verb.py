"""`strongroom status`: how fresh, how much, who."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from strongroom.cli.context import Context, accepted, common, context
from strongroom.cli.text import moment, safe


@click.command("status")
@common
@accepted
def command(**given: Any) -> int:
    """Show how fresh the backup is, how much it holds and which devices may write."""
    called = context(**given)
    return called.run(_status(called))


async def _status(given: Context) -> int:
    async with await given.open() as vault:
        status = await vault.status()
        hours, minutes = divmod(status.age_ms // 60_000, 60)
        lines = [
            f"account   {safe(status.name)} on {status.relay}",
            f"saved     everything committed up to {moment(status.saved)} UTC ({hours} h {minutes} min ago)",
            f"contents  {status.chats:,} chats, {status.rows:,} records",
            f"relay     {status.stored:,} bytes in {status.objects:,} objects, cap {status.cap:,}",
            f"device    {status.device[:8]}, {'may write' if status.writable else 'read-only: not confirmed yet'}",
        ]
        lines += [
            f"          {item.id[:8]}  {safe(item.name)}{' (this one)' if item.this else ''}" for item in status.devices
        ]
        if status.waiting:
            lines.append(
                f"waiting   {status.waiting:,} records are on this device only: {safe(status.problem or 'soon saved')}"
            )
        if status.waiting_damaged:
            lines.append(f"damaged   {status.waiting_damaged:,} entries of the outbox cannot be read; they are kept")
        if not status.fresh:
            lines.append("relay not reached: this is what the device last saw")
        given.emit(asdict(status), "\n".join(lines))
    return 0
