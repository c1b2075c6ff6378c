"""What `keep` and `erase` share: showing what goes, asking, doing it, and saying when the bytes are really gone."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from strongroom.cli.progress import Meter
from strongroom.cli.text import moment, safe
from strongroom_protocol.errors import InvalidArgument

if TYPE_CHECKING:
    from strongroom.cli.context import Context
    from strongroom.retention import Cut, Plan
    from strongroom.vault import Vault

WINDOW = (
    "the relay deletes the bytes when its window is over (30 days, unless its operator says otherwise); until then "
    "strongroom undo brings them back"
)
NO_SHREDDING = (
    "this is deletion, not cryptographic erasure: whoever kept a copy of the sealed bytes, a relay that ignores this "
    "included, can read it with this account's keys"
)

_UNITS = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB"))


def sized(count: int) -> str:
    """Bytes as people write them."""
    for unit, name in _UNITS:
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} bytes"


def counted(messages: int, files: int) -> str:
    """How many of both, in words."""
    return f"{messages:,} message{'' if messages == 1 else 's'} and {files:,} file{'' if files == 1 else 's'}"


def as_data(plan: Plan) -> dict[str, Any]:
    """The plan as JSON shows it. Times in ms since 1970, null where nothing has one."""
    return {
        "chats": [
            {"chat": cut.chat, "title": cut.title, "messages": cut.messages, "files": cut.files, "bytes": cut.bytes,
             "first": cut.first if cut.messages or cut.files else None,
             "last": cut.last if cut.messages or cut.files else None}
            for cut in plan.cuts
        ],
        "messages": plan.messages, "files": plan.files, "bytes": plan.bytes,
    }  # fmt: skip


def as_lines(plan: Plan) -> list[str]:
    """The plan as people read it."""
    lines = [_line(cut) for cut in plan.cuts]
    if len(lines) > 1:
        lines.append(f"in all: {counted(plan.messages, plan.files)}, {sized(plan.bytes)}")
    return lines


def _line(cut: Cut) -> str:
    what = f"{safe(cut.title or cut.chat)}: {counted(cut.messages, cut.files)}, {sized(cut.bytes)}"
    if not cut.messages and not cut.files:
        return what
    return f"{what}, {moment(cut.first)} to {moment(cut.last)}"


def agree(yes: bool, question: str, see: str) -> None:
    """Ask, unless --yes was given. Raises InvalidArgument where nobody can be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise InvalidArgument("there is no terminal to ask whether to do this", hint=f"use --yes, or {see}")
    click.confirm(question, default=False, err=True, abort=True)


async def take_out(given: Context, vault: Vault, plan: Plan) -> None:
    """Do what was shown."""
    with Meter("taking out", "chats") as meter:
        meter.to(0, len(plan.cuts))
        await vault.forget(plan)
    if plan.cuts:
        given.note(WINDOW)
        given.note(NO_SHREDDING)
