"""`strongroom keep`: how long what is kept; nothing goes before it was shown."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from strongroom.cli import taking_out
from strongroom.cli.context import Context, accepted, common, context
from strongroom.cli.progress import Meter
from strongroom.cli.text import number, safe
from strongroom_protocol.errors import InvalidArgument

if TYPE_CHECKING:
    from strongroom.policies import Policy
    from strongroom.vault import Vault

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kMGT]?)(i?)B?", re.IGNORECASE)


class Size(click.ParamType[int]):
    """Bytes: 2GB, 500 MB, 1.5GiB, or a plain number."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = _SIZE.fullmatch(value.strip())
        if found is None or len(value) > 30:
            self.fail(f"{value!r} is no size: write 2GB, 500MB or a number of bytes")
        number, prefix, binary = found.groups()
        return int(float(number) * (1024 if binary else 1000) ** " kmgt".index(prefix.lower() or " "))


@click.command("keep")
@common
@accepted
@click.argument("chat", required=False)
@click.option("--days", type=int, metavar="N", help="keep messages of the last N days")
@click.option("--bytes", "size", type=Size(), metavar="SIZE",
              help="keep so much, as 2GB: oldest files go first, then oldest messages")  # fmt: skip
@click.option("--media/--no-media", default=None, help="keep files like messages, or keep no files")
@click.option("--media-days", type=int, metavar="N", help="keep files of the last N days")
@click.option("--forever", is_flag=True, help="keep everything (of CHAT, whatever holds for the others)")
@click.option("--as-others", is_flag=True, help="end CHAT's own policy: what holds for all others holds for it again")
@click.option("--dry-run", is_flag=True, help="show exactly what would go; changes nothing")
@click.option("--apply", "apply_", is_flag=True, help="show what goes, ask, and take it out")
@click.option("--yes", is_flag=True, help="do not ask")
def command(chat: str | None, **given: Any) -> int:
    """How long what is kept: list policies, set one for all chats or for CHAT, see what would go, take it out.

    A policy is of this device and does nothing by itself. What --apply takes out is gone on every device.
    """
    wanted = {
        name: given.pop(name)
        for name in ("days", "size", "media", "media_days", "forever", "as_others", "dry_run", "apply_", "yes")
    }
    called = context(**given)
    limits = [wanted[name] for name in ("days", "size", "media", "media_days")]
    sets = any(value is not None for value in limits)
    if (sets + wanted["forever"] + wanted["as_others"] + wanted["dry_run"] + wanted["apply_"]) > 1:
        raise InvalidArgument(
            "one thing at a time: a policy, --forever, --as-others, --dry-run or --apply",
            hint="set the policy first, then see what would go with --dry-run",
        )
    if wanted["media"] is not None and wanted["media_days"] is not None:
        raise InvalidArgument("--media, --no-media and --media-days exclude each other")
    if wanted["as_others"] and chat is None:
        raise InvalidArgument("--as-others needs a CHAT", hint="to end the policy of all chats: --forever")
    if wanted["dry_run"] or wanted["apply_"]:
        return called.run(_go(called, chat, doing=wanted["apply_"], yes=wanted["yes"]))
    if sets or wanted["forever"] or wanted["as_others"]:
        return called.run(_set(called, chat, **{name: wanted[name] for name in _SETTING}))
    return called.run(_list(called, chat))


_SETTING = ("days", "size", "media", "media_days", "forever", "as_others")


async def _set(
    given: Context, chat: str | None, *, days: int | None, size: int | None, media: bool | None,
    media_days: int | None, forever: bool, as_others: bool,
) -> int:  # fmt: skip
    from strongroom.policies import FOREVER

    async with await given.open() as vault:
        known = vault.policies()
        policy: Policy | None = None if as_others else FOREVER
        if not forever and not as_others:
            policy = known.general
            if chat is not None:
                policy = known.own.get(await _key(vault, chat), FOREVER)
            if days is not None:
                policy = replace(policy, days=days)
            if size is not None:
                policy = replace(policy, bytes=size)
            if media is not None:
                policy = replace(policy, media_days=None if media else 0)
            if media_days is not None:
                policy = replace(policy, media_days=media_days)
        await vault.set_policy(policy, chat=chat)
        where = "all chats without a policy of their own" if chat is None else safe(chat)
        what = "what holds for all others" if policy is None else said(policy)
        data = {"chat": chat, "policy": None if policy is None else as_data(policy)}
        given.emit(data, f"{where}: {what}")
        if policy is not None and not policy.forever:
            given.note(
                "nothing was taken out yet: strongroom keep --dry-run shows what would go, keep --apply takes it out"
            )
    return 0


async def _list(given: Context, chat: str | None) -> int:
    async with await given.open() as vault:
        known = vault.policies()
        own = dict(known.own)
        if chat is not None:
            key = await _key(vault, chat)
            own = {key: known.of(key)}
        names = {row.key: row for row in await vault.chats()} if own else {}
        chats, lines = [], []
        for key, policy in sorted(own.items()):
            row = names.get(key)
            title = "a chat that is not there any more" if row is None else row.title or row.conversation
            chats.append({"chat": None if row is None else row.conversation, "policy": as_data(policy)})
            lines.append(f"{safe(title)}: {said(policy)}")
        data = {"all": as_data(known.general), "chats": chats}
        given.emit(data, "\n".join([*([] if chat else [f"all chats: {said(known.general)}"]), *lines]))
    return 0


async def _go(given: Context, chat: str | None, *, doing: bool, yes: bool) -> int:
    async with await given.open() as vault:
        with Meter("looking at", "records") as meter:
            plan = await vault.keep(chat=chat, progress=meter.on)
        data, lines = taking_out.as_data(plan) | {"dry_run": not doing}, taking_out.as_lines(plan)
        if not plan.cuts:
            if doing:
                await vault.forget(plan)  # what an interrupted one left
            given.emit(data, "nothing goes: all there is is within the policies (strongroom keep lists them)")
            return 0
        if not doing:
            given.emit(data, "\n".join(["this would go:", *lines, "nothing was changed"]))
            return 0
        for line in lines:
            given.note(line)
        taking_out.agree(yes, "Take this out, on every device?", "--dry-run to see")
        await taking_out.take_out(given, vault, plan)
        given.emit(data, f"took out {taking_out.counted(plan.messages, plan.files)}")
    return 0


async def _key(vault: Vault, chat: str) -> bytes:
    from strongroom_protocol.rows.ids import conversation_key

    return conversation_key((await vault.chat(chat)).conversation)


def said(policy: Policy) -> str:
    """A policy in words."""
    if policy.forever:
        return "everything is kept"
    parts = []
    if policy.days is not None:
        parts.append(f"messages of the last {number(policy.days, 'days')}")
    if policy.bytes is not None:
        parts.append(f"at most {taking_out.sized(policy.bytes)}")
    if policy.media_days is not None:
        parts.append("no files" if not policy.media_days else f"files of the last {number(policy.media_days, 'days')}")
    return "keep " + ", ".join(parts)


def as_data(policy: Policy) -> dict[str, int | None]:
    """A policy as JSON shows it; null: no limit."""
    return {"days": policy.days, "bytes": policy.bytes, "media_days": policy.media_days}
