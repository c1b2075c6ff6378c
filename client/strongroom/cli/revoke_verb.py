"""`strongroom revoke`: remove a lost or stolen device."""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from strongroom.cli import ask, context
from strongroom.cli.choosing import device_named
from strongroom.cli.context import Context
from strongroom.cli.text import safe
from strongroom_protocol.errors import InvalidArgument

if TYPE_CHECKING:
    from strongroom.records import DeviceInfo
    from strongroom.vault import Vault


@click.command("revoke")
@click.argument("devices", nargs=-1, required=True, metavar="DEVICE…")
@context.common
@context.unlocks
@click.option("--yes", is_flag=True, help="do not ask")
@click.option(
    "--device-name", default=None, metavar="NAME", help="what this device is called, when it is not listed yet"
)
def command(devices: tuple[str, ...], yes: bool, device_name: str | None, **given: Any) -> int:
    """Remove devices, by name or by the start of their id.

    From then on they read nothing that is written, and nobody accepts what they write. What they have read already they
    have. What one has damaged is undone with `strongroom undo`.
    """
    called = context.context(**given)
    return called.run(_revoke(called, devices, yes, device_name or platform.node() or "new device"))


async def _revoke(given: Context, wanted: tuple[str, ...], yes: bool, device_name: str) -> int:
    async with await given.open() as vault:
        phrase, code = ask.unlocking(given)
        async with await vault.unlock(passphrase=phrase, code=code) as owner:
            gone = [device_named(vault.devices(), name) for name in wanted]
            if not yes:
                _agree(gone, vault)
            head = await owner.revoke(*(bytes.fromhex(device.id) for device in gone), device_name=device_name)
        left = vault.devices()
    given.emit(
        {
            "removed": [{"id": device.id, "name": device.name} for device in gone],
            "devices": [{"id": device.id, "name": device.name} for device in left],
            "version": head.version,
        },
        "\n".join(f"removed {safe(device.name)} ({device.id[:8]})" for device in gone),
    )
    return 0


def _agree(gone: list[DeviceInfo], vault: Vault) -> None:
    if not sys.stdin.isatty():
        raise InvalidArgument("there is no terminal to ask whether to remove them", hint="use --yes")
    _list("to be removed:", gone)
    if not vault.writable:  # who removes a device confirms the others
        _list(
            "these stay, and this device becomes one of them:", [item for item in vault.devices() if item not in gone]
        )
    click.confirm("Remove from this account for good?", default=False, err=True, abort=True)


def _list(title: str, devices: Sequence[DeviceInfo]) -> None:
    click.echo(title, err=True)
    for device in devices:
        click.echo(f"    {device.id[:8]}  {safe(device.name)}", err=True)
