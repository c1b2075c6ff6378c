"""`strongroom import`: read exports, commit what is new."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from strongroom.cli.context import Context, accepted, common, context
from strongroom.cli.progress import Meter
from strongroom.cli.text import number, safe
from strongroom_protocol.errors import InvalidArgument

if TYPE_CHECKING:
    from strongroom_protocol.engine.directory import DirectoryRow


@click.command("import")
@common
@accepted
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--format",
    "format_name",
    default=None,
    metavar="NAME",
    help="when not recognised: native, irc, slack, telegram or whatsapp",
)
@click.option("--chat", default=None, metavar="ID", help="id of the conversation, for formats that do not name it")
@click.option(
    "--option",
    "extra",
    multiple=True,
    metavar="NAME=VALUE",
    help="how to read the format, as docs/formats.md lists; repeatable",
)
def command(
    paths: tuple[Path, ...], format_name: str | None, chat: str | None, extra: tuple[str, ...], **given: Any
) -> int:
    """Read chat exports and commit them. Again and again: what is there already is not added twice."""
    called = context(**given)
    return called.run(_import(called, paths, format_name, chat, _named(extra)))


def _named(extra: tuple[str, ...]) -> dict[str, str]:
    """The options of a format by name. Raises InvalidArgument."""
    pairs = [text.partition("=") for text in extra]
    if any(not name or not equals for name, equals, _ in pairs):
        raise InvalidArgument("--option takes NAME=VALUE", hint="such as --option order=mdy")
    return {name: value for name, _, value in pairs}


async def _import(
    given: Context, paths: tuple[Path, ...], format_name: str | None, chat: str | None, extra: dict[str, str]
) -> int:
    from strongroom.formats import ImportOptions

    async with await given.open() as vault:
        timed = vault.writable and _by_time(paths, format_name)
        before = await vault.chats() if timed else []
        options = ImportOptions(chat=chat, extra=extra)
        with Meter("importing", "records") as meter:
            added = await vault.import_(paths, format=format_name, options=options, progress=meter.on)
        report, total = added.report, sum(added.written.values())
        lines = [
            f"{number(total, 'records')} added, {added.known:,} {'was' if added.known == 1 else 'were'} there already",
            f"read {number(report.records, 'records')} of {number(len(report.sources), 'files')}, "
            f"{report.not_understood:,} not understood" + (" (kept as they are)" if report.not_understood else ""),
        ]
        if added.kept_out:
            lines.append(
                f"{number(added.kept_out, 'messages')} kept out: strongroom erase or keep took them out, and only "
                "strongroom undo brings them back, while the relay's window lasts"
            )
        lines += [safe(note) for note in report.notes]
        twice = _twice(before, await vault.chats()) if before and total else []
        for title in twice:
            lines.append(f"warning: {safe(title)}: {_TWICE}")
        lines += [f"warning: {safe(warning)}" for warning in report.warnings]
        data = {"added": total, "written": added.written, "known": added.known, "commits": added.commits}
        data["perhaps_twice"] = twice
        given.emit(data | {"kept_out": added.kept_out, "report": report.to_dict()}, "\n".join(lines))
    return 0


_TWICE = (
    "about as many messages came as there were, and none much newer. If this is a newer export of the same chat, it was"
    " read in another time zone than before, or bears other names, and each message is here twice: `strongroom undo "
    "--list` shows the version before, `strongroom undo --to VERSION --all-after` goes back to it"
)


def _by_time(paths: tuple[Path, ...], format_name: str | None) -> bool:
    """Whether messages without ids are among what is imported. Raises ImportRefused as the import itself would."""
    from strongroom.formats import detect

    return format_name == "whatsapp" if format_name else any(detect(path).name == "whatsapp" for path in paths)


def _twice(before: Sequence[DirectoryRow], after: Sequence[DirectoryRow]) -> list[str]:
    """Titles of WhatsApp chats that seem to be here twice. Such an export has no ids: a message is known by its time,
    so the same chat read in another zone is new in all its messages."""
    had = {chat.conversation: chat for chat in before if chat.conversation.startswith("whatsapp:")}
    return [
        chat.title or chat.conversation
        for chat in after
        if chat.conversation in had
        and chat.rows >= _DOUBLED * had[chat.conversation].rows
        and abs(chat.newest - had[chat.conversation].newest) <= _ZONES_MS
    ]


_DOUBLED = 1.8
_ZONES_MS = 26 * 3_600_000
"""What lies between the two zones that are furthest apart."""
