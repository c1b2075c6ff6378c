"""`strongroom undo`: go back to an earlier version, without what a stolen device or a mistake did."""

from __future__ import annotations

import platform
import sys
from typing import TYPE_CHECKING, Any

import click

from strongroom.cli import ask, context
from strongroom.cli.choosing import device_named
from strongroom.cli.context import Context
from strongroom.cli.text import moment, number, safe
from strongroom_protocol.errors import InvalidArgument

if TYPE_CHECKING:
    from strongroom.records import DeviceInfo
    from strongroom.undoing import Undone
    from strongroom.vault import Vault


@click.command("undo")
@context.common
@context.unlocks
@click.option("--list", "listing", is_flag=True, help="list the newest versions")
@click.option("--last", type=click.IntRange(1, 100_000), default=30, metavar="N", help="how many to list (30)")
@click.option("--to", type=click.IntRange(1), metavar="VERSION", help="the version to go back to")
@click.option("--device", "devices", multiple=True, metavar="DEVICE",
              help="take out what this device did since: its name or the start of its id; again for more")  # fmt: skip
@click.option("--all-after", is_flag=True, help="take out what every device did since")
@click.option("--revoke", is_flag=True, help="remove these devices from the account as well")
@click.option("--anyway", is_flag=True, help="go on although parts that should stay cannot be read")
@click.option("--dry-run", is_flag=True, help="only say what would be done")
@click.option("--yes", is_flag=True, help="do not ask")
@click.option("--device-name", default=None, metavar="NAME", help="what this device is called, when it is not listed")
def command(listing: bool, last: int, to: int | None, **given: Any) -> int:
    """Go back to a version, without what some devices did since and with everything that all others wrote.

    For a stolen device that deleted or overwrote messages, or for a mistake; as long as the relay keeps what was
    dropped (30 days, unless its operator says otherwise). Without --device, what was done by devices that were removed
    since. Find the version with --list: the last one before the damage.
    """
    wanted = {name: given.pop(name) for name in ("devices", "all_after", "revoke", "anyway", "dry_run", "yes")}
    name = given.pop("device_name") or platform.node() or "new device"
    called = context.context(**given)
    if listing == (to is not None):
        raise InvalidArgument("give either --list or --to VERSION", hint="see strongroom undo --list")
    if wanted["devices"] and wanted["all_after"]:
        raise InvalidArgument("--device and --all-after exclude each other")
    if wanted["revoke"] and not wanted["devices"]:
        raise InvalidArgument("--revoke needs --device", hint="name the devices to remove")
    return called.run(_list(called, last) if to is None else _undo(called, to, name, **wanted))


async def _list(given: Context, last: int) -> int:
    async with await given.open() as vault:
        found = await vault.versions(count=last)
    lines = [
        f"{item.version:>7}  {moment(item.time)}  "
        + ("   not kept" if item.rows is None else f"{item.rows:>11,}")
        + f"  {safe(item.name) or item.device[:8] or 'nobody of this account'}{'  (undone)' if item.undone else ''}"
        for item in found
    ]
    given.emit(
        {
            "versions": [
                {"version": item.version, "time": item.time, "device": item.device, "name": item.name,
                 "records": item.rows, "undone": item.undone}
                for item in found
            ]
        },
        "\n".join([f"{'version':>7}  {'time (UTC)':<16}  {'records':>11}  by", *lines]),
    )  # fmt: skip
    return 0


async def _undo(
    given: Context, to: int, device_name: str, *, devices: tuple[str, ...], all_after: bool, revoke: bool,
    anyway: bool, dry_run: bool, yes: bool,
) -> int:  # fmt: skip
    async with await given.open() as vault:
        phrase, code = ask.unlocking(given)
        async with await vault.unlock(passphrase=phrase, code=code) as owner:
            known = _known(vault)
            chosen = [bytes.fromhex(device_named(known, name).id) for name in devices]
            plan = await owner.undo(to, *chosen, everyone=all_after, revoke=revoke, anyway=anyway, plan=True)
            _say(given, plan, known)
            done = plan
            if not dry_run:
                _agree(yes)
                done = await owner.undo(
                    to, *chosen, everyone=all_after, revoke=revoke, anyway=anyway, device_name=device_name
                )
    given.emit(
        {
            "to": to,
            "commits": done.commits,
            "kept": done.carried,
            "unreadable": list(done.unreadable),
            "version": done.version or None,
            "dry_run": dry_run,
        },
        "nothing was changed" if dry_run else f"went back to version {to}; this is version {done.version} now",
    )
    return 0


def _known(vault: Vault) -> list[DeviceInfo]:
    """The devices of the account and those that were removed from it, as far as its log remembers them."""
    from strongroom.records import DeviceInfo

    listed = list(vault.devices())
    here = {device.id for device in listed}
    past = {event.device: event.name for event in vault.key_events() if event.device and event.device not in here}
    return listed + [DeviceInfo(ident, name, False) for ident, name in past.items()]


def _say(given: Context, plan: Undone, known: list[DeviceInfo]) -> None:
    names = {device.id: device.name for device in known}
    for ident, count in plan.commits.items():
        given.note(f"taken out: {number(count, 'versions')} by {safe(names.get(ident, '')) or ident[:8]} ({ident[:8]})")
    given.note(
        f"kept: everything up to version {plan.to}, and {number(plan.carried, 'records')} that others wrote since"
    )
    for version in plan.unreadable:
        given.note(f"version {version} of another device cannot be read: what only it has would be lost")


def _agree(yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise InvalidArgument("there is no terminal to ask whether to do this", hint="use --yes, or --dry-run to see")
    click.confirm("Take it out for good?", default=False, err=True, abort=True)
