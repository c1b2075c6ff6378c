"""`strongroom login`: a fresh device, read-only until the listed devices are confirmed."""

from __future__ import annotations

import platform
import sys
from typing import TYPE_CHECKING, Any

import click

from strongroom.cli import ask
from strongroom.cli.main import Context, common, context
from strongroom_protocol.errors import NotFound

if TYPE_CHECKING:
    from strongroom.vault import Vault


@click.command("login")
@common
@click.option("--confirm-devices", is_flag=True, help="accept the listed devices and make this one writable")
@click.option("--device-name", default=None, help="how this device is called in the list of devices")
def command(confirm_devices: bool, device_name: str | None, **given: Any) -> int:
    """Open an account on this device with the passphrase or the recovery code alone."""
    called = context(**given)
    return called.run(_login(called, confirm_devices, device_name))


async def _login(given: Context, confirm: bool, device_name: str | None) -> int:
    from strongroom.vault import Vault

    phrase, code = ask.unlocking(given)
    try:
        vault = await Vault.open(given.vault, relay=given.relay)
        await _same_account(vault, given)
    except NotFound:
        relay, name = ask.required(given.relay, "--relay"), ask.required(given.account, "--account")
        vault = await Vault.login(given.vault, relay=relay, name=name, passphrase=phrase, code=code)
    async with vault:
        if not vault.writable:
            await vault.refresh_login(passphrase=phrase, code=code)
            _list_devices(given, vault)
            if confirm or (sys.stdin.isatty() and not given.json and _agreed()):
                name = device_name or platform.node() or "new device"
                await vault.confirm_devices(passphrase=phrase, code=code, device_name=name)
        status = await vault.status()
        given.emit(
            {
                "account": status.account,
                "name": status.name,
                "device": status.device,
                "writable": status.writable,
                "freshness": "pinned" if status.writable else "unproven",
                "version": status.version,
                "devices": [{"id": item.id, "name": item.name} for item in status.devices],
            },
            _summary(status.writable, status.chats, status.rows),
        )
    return 0


def _list_devices(given: Context, vault: Vault) -> None:
    given.note("devices of this account, as this relay shows them:")
    for device in vault.devices():
        click.echo(f"    {device.id[:8]}  {click.unstyle(repr(device.name))}", err=True)


def _agreed() -> bool:
    return click.confirm("Are these all your devices, and nobody else's?", default=False, err=True)


async def _same_account(vault: Vault, given: Context) -> None:
    if given.account is not None and given.account != vault.name:
        await vault.close()
        raise NotFound("the vault in that folder is of another account", hint="use another --vault")


def _summary(writable: bool, chats: int, rows: int) -> str:
    if writable:
        return f"logged in; {chats} chats with {rows} records; this device may write"
    return (
        f"logged in, read-only; {chats} chats with {rows} records\n"
        "nothing proves yet that the relay shows the newest state; check the devices listed above, then run\n"
        "`strongroom login --confirm-devices`"
    )
