"""`strongroom`: the command group, exit codes and how errors are shown (spec chapter 14).

Verbs are imported when they are called, so that `--help` and short commands start fast.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from strongroom_protocol.errors import (
    CallError,
    ImportRefused,
    IncompleteError,
    InvalidArgument,
    NotFound,
    RelayError,
    StorageFull,
    StrongroomError,
    UntrustedDataError,
    VaultLocked,
    WrongSecret,
)

VERBS = {
    "init": "make an account and back up into it",
    "login": "open an account on a new device",
    "import": "read chat exports and commit them",
    "chats": "list chats",
    "show": "show the newest messages of a chat",
    "restore": "fetch everything into this device",
    "verify": "check every byte the relay holds",
    "status": "how fresh, how much, which devices",
    "export": "leave with everything",
}

EXIT_INCOMPLETE, EXIT_NOT_FOUND, EXIT_LOCKED, EXIT_SECRET = 3, 10, 11, 12
EXIT_UNTRUSTED, EXIT_RELAY, EXIT_FULL, EXIT_INTERRUPTED = 13, 14, 15, 130


@dataclass(slots=True)
class Context:
    """What every verb is given: where the vault is, how to talk, and the options for secrets."""

    vault: Path
    relay: str | None
    account: str | None
    json: bool
    secrets: dict[str, str | None] = field(default_factory=dict)

    def emit(self, data: dict[str, Any], text: str) -> None:
        """The result, on stdout: one JSON object, or text for people."""
        click.echo(json.dumps(data, ensure_ascii=False, sort_keys=True) if self.json else text)

    def note(self, text: str) -> None:
        """A remark for people, on stderr."""
        click.echo(f"strongroom: {text}", err=True)

    def run(self, action: Coroutine[Any, Any, int | None]) -> int:
        """Run a verb's coroutine."""
        return asyncio.run(action) or 0


class _Verbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"strongroom.cli.{cmd_name}_verb")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


def common(command: Any) -> Any:
    """Options that every verb takes, before or after the verb's own."""
    options = [
        click.option(
            "--vault", envvar="STRONGROOM_VAULT", type=click.Path(path_type=Path), help="this device's folder"
        ),
        click.option("--relay", envvar="STRONGROOM_RELAY", help="https://…, http:// on loopback, or file:///folder"),
        click.option("--account", envvar="STRONGROOM_ACCOUNT", help="account name"),
        click.option("--passphrase-file", envvar="STRONGROOM_PASSPHRASE_FILE", type=click.Path(), help="read it there"),
        click.option("--passphrase-command", envvar="STRONGROOM_PASSPHRASE_COMMAND", help="read it from a command"),
        click.option("--recovery-code-file", type=click.Path(), help="read the recovery code there"),
        click.option("--json", "as_json", is_flag=True, help="results as one JSON object on stdout"),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def context(**given: Any) -> Context:
    """Take the common options out of a verb's arguments."""
    vault = given.pop("vault") or Path.home() / ".strongroom"
    names = ("passphrase_file", "passphrase_command", "recovery_code_file")
    secrets = {name: given.pop(name) for name in names}
    return Context(vault, given.pop("relay"), given.pop("account"), given.pop("as_json"), secrets)


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="strongroom")
def cli() -> None:
    """End-to-end encrypted backup of chat history: keep it, find it, take it with you.

    Start with `strongroom init`, then `strongroom import EXPORT…`. On a new phone or computer: `strongroom login`.
    """


def exit_code(error: BaseException) -> int:
    """The documented exit code of an error."""
    table: list[tuple[type[BaseException], int]] = [
        (NotFound, EXIT_NOT_FOUND), (VaultLocked, EXIT_LOCKED), (WrongSecret, EXIT_SECRET),
        (InvalidArgument, 2), (ImportRefused, 2), (IncompleteError, EXIT_INCOMPLETE),
        (UntrustedDataError, EXIT_UNTRUSTED), (StorageFull, EXIT_FULL), (RelayError, EXIT_RELAY), (CallError, 2),
    ]  # fmt: skip
    return next((code for kind, code in table if isinstance(error, kind)), 1)


def report(error: StrongroomError, *, as_json: bool) -> int:
    """Show an error: on stderr for people, and as JSON on stdout when that was asked for."""
    code = exit_code(error)
    if as_json:
        data = {"error": type(error).__name__, "message": str(error), "hint": error.hint, "exit": code}
        if isinstance(error, UntrustedDataError):
            data["failure"] = str(error.failure)
        click.echo(json.dumps(data, ensure_ascii=False, sort_keys=True))
    click.echo(f"strongroom: error: {error}", err=True)
    if error.hint:
        click.echo(f"hint: {error.hint}", err=True)
    return code


def first_error(error: BaseException) -> BaseException:
    """The error inside a group of concurrent ones."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def main(argv: list[str] | None = None) -> None:
    """Entry point: never a traceback for what a person can mend."""
    arguments = sys.argv[1:] if argv is None else argv
    try:
        code = cli.main(arguments, prog_name="strongroom", standalone_mode=False)
    except (click.Abort, KeyboardInterrupt):
        click.echo("strongroom: interrupted; the same command goes on where it stopped", err=True)
        sys.exit(EXIT_INTERRUPTED)
    except click.ClickException as error:
        click.echo(f"strongroom: error: {error.format_message()}", err=True)
        sys.exit(2)
    except (StrongroomError, BaseExceptionGroup) as raised:
        cause = first_error(raised)
        if not isinstance(cause, StrongroomError):
            raise
        sys.exit(report(cause, as_json="--json" in arguments))
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
