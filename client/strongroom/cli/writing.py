"""What the verbs that write share: times as people type them, and saving what was appended."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from strongroom_protocol.errors import InvalidArgument, RelayUnreachable

if TYPE_CHECKING:
    from strongroom.cli.context import Context
    from strongroom.vault import Vault


class When(click.ParamType[int]):
    """A time: ISO 8601 (UTC where it names no zone) or milliseconds since 1970. Gives milliseconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            if value.isdecimal() and len(value) > 8:
                return int(value)
            at = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no time: write 2024-05-31, 2024-05-31T18:30 or milliseconds since 1970")
        return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


def text_of(given: str | None) -> str | None:
    """The text of an argument; `-` reads stdin. Raises InvalidArgument for bytes that are no text."""
    if given != "-":
        return given
    try:
        return sys.stdin.buffer.read().decode().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise InvalidArgument("what came on stdin is not UTF-8 text") from error


async def save(given: Context, vault: Vault, data: dict[str, Any], text: str) -> None:
    """Commit what was appended and show the result; without the relay it waits on this device, and that is said."""
    try:
        await vault.flush()
        saved = True
    except RelayUnreachable:
        saved = False
        given.note("the relay cannot be reached: kept on this device, and saved by the next command that reaches it")
    given.emit(data | {"saved": saved}, text if saved else f"{text} (not yet at the relay)")
