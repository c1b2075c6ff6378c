"""`strongroom devices`: which devices read and write, and the log of every change of keys."""

from __future__ import annotations

from typing import Any

import click

from strongroom.cli import ask, context
from strongroom.cli.choosing import device_named
from strongroom.cli.context import Context
from strongroom.cli.text import moment, safe
from strongroom_protocol.errors import InvalidArgument


@click.command("devices")
@context.common
@context.unlocks
@click.option("--log", "log", is_flag=True, help="every change of keys: what, when, by what authority")
@click.option("--rename", metavar="DEVICE", help="call a device otherwise (its name or the start of its id)")
@click.option("--device-name", metavar="NAME", help="the new name, with --rename")
def command(log: bool, rename: str | None, device_name: str | None, **given: Any) -> int:
    """List the devices of this account.

    Each of them reads and writes everything. One that is lost is removed with `strongroom revoke`.
    """
    if (rename is None) != (device_name is None):
        raise InvalidArgument("--rename and --device-name go together")
    called = context.context(**given)
    return called.run(_rename(called, rename, device_name or "") if rename else _devices(called, log))


async def _devices(given: Context, log: bool) -> int:
    async with await given.open() as vault:
        await vault.status()
        devices, events = vault.devices(), vault.key_events() if log else ()
    listed = [{"id": item.id, "name": item.name, "this": item.this, "added": item.added} for item in devices]
    told = [
        {"version": event.version, "time": event.time, "what": event.what, "device": event.device, "name": event.name}
        for event in events
    ]
    lines = [
        f"{item.id[:8]}  {safe(item.name)}{' (this one)' if item.this else ''}"
        f"{'' if item.added is None else '  since ' + moment(item.added)[:10]}"
        for item in devices
    ]
    if log:
        lines = [
            f"{moment(event.time)}  {safe(event.what)}{': ' + safe(event.name) if event.device else ''}"
            f"{' (' + event.device[:8] + ')' if event.device else ''}"
            for event in events
        ]
    given.emit({"devices": listed, **({"log": told} if log else {})}, "\n".join(lines))
    return 0


async def _rename(given: Context, wanted: str, name: str) -> int:
    async with await given.open() as vault:
        await vault.status()
        device = device_named(vault.devices(), wanted)
        phrase, code = ask.unlocking(given)
        async with await vault.unlock(passphrase=phrase, code=code) as owner:
            await owner.rename(bytes.fromhex(device.id), name)
    given.emit({"id": device.id, "name": name}, f"{device.id[:8]} is called {safe(name)} now")
    return 0
