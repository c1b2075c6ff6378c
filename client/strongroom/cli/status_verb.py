"""`strongroom status`: how fresh, how much, who."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from strongroom.cli.context import Context, accepted, common, context
from strongroom.cli.errors import EXIT_UNTRUSTED
from strongroom.cli.taking_out import sized
from strongroom.cli.text import ago, moment, number, safe
from strongroom_protocol.errors import RelayError

if TYPE_CHECKING:
    from strongroom.records import Status


@click.command("status")
@common
@accepted
@click.option("--anchor", is_flag=True, help="print what a new device needs to refuse older states than this one")
def command(anchor: bool, **given: Any) -> int:
    """Show how fresh the backup is, how much it holds and which devices may write."""
    called = context(**given)
    return called.run(_anchor(called) if anchor else _status(called))


async def _anchor(given: Context) -> int:
    async with await given.open() as vault:
        await vault.status()  # the newest state, when the relay can be reached
        anchor = vault.anchor()
        found = {"anchor": anchor.to_text(), "version": anchor.head_version, "keyring_version": anchor.keyring_version}
        given.emit(found, anchor.to_text())
    return 0


async def _status(given: Context) -> int:
    from strongroom import kit_renewal

    async with await given.open() as vault:
        watched = False
        status = await vault.status()
        if status.fresh:
            try:
                watched = await vault.ask_witness()
                status = await vault.status() if watched else status
            except RelayError:
                given.note("the witness cannot be asked now")
        given.emit(asdict(status) | {"witnessed": watched}, "\n".join(_lines(status, watched)))
        if kit_renewal.begun(vault.folder):
            given.note("a new recovery kit was begun here and is not finished: run `strongroom recovery-kit`")
        if status.alarm:
            click.echo(f"strongroom: error: {safe(status.alarm)}", err=True)
            click.echo("hint: see docs/relay.md, restore; do not write here until you know why", err=True)
    return EXIT_UNTRUSTED if status.alarm or status.unread else 0


_FRESHNESS = {
    "pinned": "pinned: whatever is older than what this device has seen would be refused",
    "unproven": "unproven: nothing but the relay says that this is the newest state",
}
"""What the words of `Status.freshness` mean; the others say it themselves."""


def _lines(status: Status, watched: bool) -> list[str]:
    now = int(time.time() * 1000)
    known = _FRESHNESS.get(status.freshness, status.freshness) + (
        "; the witness knows nothing newer" if watched else ""
    )
    lines = [
        f"account   {safe(status.name)} on {status.relay}",
        f"safe      {_safe(status)}",
        f"age       newest state is from {ago(status.age_ms)}, relay last asked {_asked(status, now)}",
        f"freshness {known}",
    ]
    if status.fresh or status.rows:  # no zeros for want of an answer
        lines.append(f"contents  {number(status.chats, 'chats')}, {number(status.rows, 'records')}")
    if status.fresh:
        lines.append(
            f"relay     {sized(status.stored)} in {number(status.objects, 'objects')}, of {sized(status.cap)} at most"
        )
    lines += [
        f"device    {status.device[:8]}, {'may write' if status.writable else 'read-only: not confirmed yet'}",
        *(f"          {item.id[:8]}  {safe(item.name)}{' (this one)' if item.this else ''}" for item in status.devices),
    ]
    if status.alarm:
        lines.append(f"ALARM     {safe(status.alarm)}")
    if status.waiting:
        lines.append(
            f"waiting   {number(status.waiting, 'records')} on this device only, the first since "
            f"{ago(max(0, now - status.waiting_since))}: {safe(status.problem or 'soon saved')}"
        )
    if status.waiting_damaged:
        lines.append(
            f"damaged   {number(status.waiting_damaged, 'entries')} of the outbox cannot be read; they are kept"
        )
    if not status.fresh:
        lines.append("the relay was not reached: this is what the device last saw")
    return lines


def _safe(status: Status) -> str:
    """The freshness receipt in words: up to when, where, and by whose signature."""
    signed = f"which signed for version {status.version:,} at {moment(status.accepted)} UTC"
    if status.unread:  # spec: CLIENT-60
        return (
            f"not known: {number(status.unread, 'objects')} of the newest version cannot be read now, "
            f"though the relay is the one {signed}; strongroom verify says what is lost"
        )
    what = "everything this device appended,"
    if status.waiting or status.waiting_damaged:  # spec: CLIENT-61
        what = "what this device appended, but for what stands below,"
    return f"everything committed up to {moment(status.saved)} UTC, and {what} is at the relay, {signed}"


def _asked(status: Status, now: int) -> str:
    return ago(max(0, now - status.asked)) if status.asked else "at a time that is not known"
