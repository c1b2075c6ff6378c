"""`strongroom login`: a fresh device, read-only until the listed devices are confirmed."""

from __future__ import annotations

import platform
import sys
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

import click

from strongroom.cli import ask, context
from strongroom.cli.context import Context
from strongroom.cli.text import number, safe
from strongroom_protocol.errors import InvalidArgument, NotFound
from strongroom_protocol.keys import names

if TYPE_CHECKING:
    from strongroom.records import Status
    from strongroom.vault import Vault

PREFIX = "strongroom-anchor:"


@click.command("login")
@context.common
@context.unlocks
@click.option("--confirm-devices", is_flag=True, help="accept the listed devices: this device may write from then on")
@click.option("--link", is_flag=True, help="ask for the code that `strongroom link` shows on another device")
@click.option(
    "--link-code-file", type=click.Path(), metavar="FILE", help="read that code, or the QR code's text, from FILE"
)
@click.option(
    "--anchor",
    metavar="TEXT|FILE",
    help="what `strongroom status --anchor` says on another device: refuse older states",
)
@click.option(
    "--kit", type=click.Path(), metavar="FILE", help="take account, relay, recovery code and anchor from a recovery kit"
)
@click.option("--no-witness", is_flag=True, help="do not ask the witness that the kit or the folder names")
@click.option("--witness", metavar="URL#KEY", help="ask this witness whether the relay hides newer states")
@click.option("--again", is_flag=True, help="make the folder of a copied or removed device a new device")
@click.option("--device-name", default=None, metavar="NAME", help="how the list of devices calls this one")
def command(
    confirm_devices: bool, link: bool, link_code_file: str | None, device_name: str | None, anchor: str | None,
    witness: str | None, again: bool, kit: str | None, no_witness: bool, **given: Any,
) -> int:  # fmt: skip
    """Open an account on this device, with the passphrase or the recovery code alone, or with a recovery kit.

    The device may read at once. It may write when you have looked at the list of devices and confirmed it, at the
    prompt or with --confirm-devices: only you can tell that all of them are yours and none is missing. An account made
    with --two-secret needs both: --passphrase-file (or --passphrase-command) and --recovery-code-file.

    A relay can show a new device an old state. --anchor and --witness make it refuse that; without either the result
    says "unproven".

    A device that was removed from the account, or whose folder was copied and is in use twice, goes on as a new device
    with --again: what waits in its folder stays, and is sent once the device is confirmed.
    """
    called = context.context(**given)
    if kit is not None:
        if link or link_code_file or again:
            raise InvalidArgument("--kit is for a new login", hint="leave out --link and --again")
        anchor, witness = _from_kit(called, kit, anchor, None if no_witness else witness, ask_it=not no_witness)
    if link or link_code_file:
        from strongroom.cli.linked_login import joined

        if again or anchor is not None or witness is not None:
            raise InvalidArgument("--link brings its own anchor", hint="leave out --again, --anchor and --witness")
        return called.run(_login(called, joined(called, link_code_file, device_name), confirm_devices, device_name))
    if again:
        if anchor is not None or witness is not None:
            raise InvalidArgument("--again has its folder's own anchor and witness", hint="leave out the other option")
        return called.run(_login(called, _relinked(called, not no_witness), confirm_devices, device_name))
    return called.run(_login(called, _opened(called, anchor, witness), confirm_devices, device_name))


async def _login(given: Context, opened: Awaitable[Vault], confirm: bool, device_name: str | None) -> int:
    async with await opened as vault:
        if not vault.writable:
            given.note("devices of this account, as this relay shows them:")
            for device in vault.devices():
                click.echo(f"    {device.id[:8]}  {safe(device.name)}", err=True)
            if confirm or (sys.stdin.isatty() and not given.json and _agreed()):
                await vault.confirm_devices(device_name=device_name or platform.node() or "new device")
        status = await vault.status()
        given.emit(
            {
                "account": status.account,
                "name": status.name,
                "relay": status.relay,
                "device": status.device,
                "writable": status.writable,
                "freshness": status.freshness,
                "version": status.version,
                "devices": [{"id": item.id, "name": item.name} for item in status.devices],
            },
            _summary(status),
        )
    return 0


async def _opened(given: Context, anchor: str | None, witness: str | None) -> Vault:
    """The folder's vault, unlocked when that is still needed, or a new one."""
    from strongroom import link_pending
    from strongroom.account import unfinished
    from strongroom.vault import Vault

    try:
        if unfinished(given.vault):
            raise NotFound("the folder holds a login that was never finished")
        vault = await Vault.open(given.vault, relay=given.relay)
    except NotFound:
        if (given.vault / "device.db").exists() and not unfinished(given.vault):
            raise
        relay = ask.required(given.relay, "--relay")
        name = names.account_name(ask.required(given.account, "--account"))
        phrase, code = ask.unlocking(given)
        link_pending.forget(given.vault)  # of a link that was given up for this login
        return await Vault.login(
            given.vault, relay=relay, name=name, passphrase=phrase, code=code,
            anchor=None if anchor is None else ask.text_or_file(anchor, PREFIX), witness=witness,
        )  # fmt: skip
    try:
        if anchor is not None:
            raise InvalidArgument("this folder has its vault already", hint="--anchor is for a new login")
        if witness is not None:
            await vault.use_witness(witness)
        if given.account is not None and names.account_name(given.account) != vault.name:
            raise NotFound("the vault in that folder is of another account", hint="use another --vault")
        if not vault.writable:
            phrase, code = ask.unlocking(given)
            await vault.refresh_login(passphrase=phrase, code=code)
    except BaseException:
        await vault.close()
        raise
    return vault


def _from_kit(
    given: Context, file: str, anchor: str | None, witness: str | None, *, ask_it: bool
) -> tuple[str | None, str | None]:
    """Fill in what the kit says and the command line does not; anchor and witness of a new login."""
    from strongroom.account import unfinished

    kit = ask.kit(file)
    if given.account is not None and names.account_name(given.account) != kit.name:
        raise InvalidArgument("the kit is of another account", hint="leave out --account, or take the other kit")
    given.account = kit.name
    given.secrets["recovery_code_file"] = file
    if (given.vault / "device.db").exists() and not unfinished(given.vault):
        return anchor, witness  # this folder has seen a newer state than the kit
    if not ask.on_command_line("relay"):
        given.relay = kit.relay  # not one that the environment names for some other account
    if witness is None and kit.witness is not None and ask_it:
        given.note(f"the kit's witness is asked too: {safe(kit.witness)} (not with --no-witness)")
        witness = kit.witness
    return anchor or kit.anchor.to_text(), witness


async def _relinked(given: Context, ask_witness: bool) -> Vault:
    """The folder's vault as a new device; which one it was is said, since that one stays listed."""
    from strongroom.vault import Vault

    old = await given.open()
    ident = old.device_id
    await old.close()
    phrase, code = ask.unlocking(given)
    vault = await Vault.relink(given.vault, relay=given.relay, passphrase=phrase, code=code, ask_witness=ask_witness)
    if any(device.id == ident for device in vault.devices()):
        given.note(
            f"until now this was device {ident[:8]}, which stays listed: remove it, unless a copy of it is still in use"
        )
    return vault


def _agreed() -> bool:
    return click.confirm("Are these all your devices, and nobody else's?", default=False, err=True)


def _summary(status: Status) -> str:
    what = f"{number(status.chats, 'chats')} with {number(status.rows, 'records')}"
    if status.writable:
        devices = ", ".join(safe(device.name) for device in status.devices)
        return (
            f"logged in to {safe(status.name)} at {safe(status.relay)}; {what}\n"
            f"devices   {devices}\nthis device may write"
        )
    known = (
        "nothing proves yet that the relay shows the newest state"
        if status.freshness == "unproven"
        else f"nothing older than what other devices have seen is shown: {status.freshness}"
    )
    return (
        f"logged in to {safe(status.name)} at {safe(status.relay)}, read-only; {what}\n"
        f"{known}; check the devices listed above, then run\n"
        "`strongroom login --confirm-devices`"
    )
