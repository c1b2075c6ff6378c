"""What every verb shares: its options, where results go, and running a coroutine."""

from __future__ import annotations

import os
import sys
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from strongroom.cli.errors import EXIT_PIPE
from strongroom.cli.text import json_line
from strongroom_protocol.errors import NotFound

if TYPE_CHECKING:
    from strongroom.vault import Vault


@dataclass(slots=True)
class Context:
    """What every verb is given: where the vault is, how to talk, and the options for secrets."""

    vault: Path
    relay: str | None
    json: bool
    account: str | None = None
    secrets: dict[str, Any] = field(default_factory=dict)
    _result: str = ""

    async def open(self) -> Vault:
        """The vault. Raises NotFound also when --account names another one than the vault's."""
        from strongroom.vault import Vault
        from strongroom_protocol.keys import names

        wanted = None if self.account is None else names.account_name(self.account)
        vault = await Vault.open(self.vault, relay=self.relay)
        if wanted not in (None, vault.name):
            await vault.close()
            raise NotFound("the vault in that folder is of another account", hint="use another --vault")
        return vault

    def emit(self, data: dict[str, Any], text: str) -> None:
        """The result, for stdout: one JSON object, or text for people. Shown when the vault is closed again."""
        self._result = json_line(data) if self.json else text

    def note(self, text: str) -> None:
        """A remark for people, on stderr, at once."""
        click.echo(f"strongroom: {text}", err=True)

    def run(self, action: Coroutine[Any, Any, int | None]) -> int:
        """Run a verb's coroutine, then show its result."""
        import asyncio

        code = asyncio.run(action) or 0
        if self._result:
            try:
                click.echo(self._result)
                sys.stdout.flush()
            except BrokenPipeError:  # the reader has seen enough: quiet, as with any command in a pipe
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                return EXIT_PIPE
        return code


def common(command: Any) -> Any:
    """Options that every verb takes."""
    return _with(
        command,
        click.option(
            "--vault", envvar="STRONGROOM_VAULT", type=click.Path(path_type=Path), metavar="FOLDER",
            help="this device's folder (default: ~/.strongroom)",
        ),
        click.option(
            "--relay", envvar="STRONGROOM_RELAY", metavar="URL",
            help="https://HOST, http:// on loopback, or file:///FOLDER; kept after init and login",
        ),
        click.option("--json", "as_json", is_flag=True, help="one JSON object on stdout, for results and errors"),
    )  # fmt: skip


def secrets(command: Any) -> Any:
    """Options of verbs that open an account. A secret itself is never an argument: others could see it."""
    return _with(
        command,
        click.option("--account", envvar="STRONGROOM_ACCOUNT", metavar="NAME", help="the account's name"),
        click.option(
            "--passphrase-file", envvar="STRONGROOM_PASSPHRASE_FILE", type=click.Path(), metavar="FILE",
            help="read the passphrase from FILE instead of asking",
        ),
        click.option(
            "--passphrase-command", envvar="STRONGROOM_PASSPHRASE_COMMAND", metavar="COMMAND",
            help="run COMMAND and read the passphrase from its output",
        ),
    )  # fmt: skip


def unlocks(command: Any) -> Any:
    """Options of verbs that change keys: the account is unlocked again for them, also on a device of it."""
    return _with(
        secrets(command),
        click.option("--recovery-code", is_flag=True, help="ask for the recovery code instead of the passphrase"),
        click.option(
            "--recovery-code-file", type=click.Path(), metavar="FILE",
            help="read the recovery code from FILE, which may be a recovery kit",
        ),
    )  # fmt: skip


def accepted(command: Any) -> Any:
    """The options of `secrets` on verbs that need none, so that a script can give every verb the same ones."""
    return _with(
        command,
        click.option("--account", metavar="NAME", hidden=True, help="must be the vault's, when given"),
        click.option("--passphrase-file", type=click.Path(), metavar="FILE", hidden=True, help="not needed here"),
        click.option("--passphrase-command", metavar="COMMAND", hidden=True, help="not needed here"),
        click.option("--recovery-code-file", type=click.Path(), metavar="FILE", hidden=True, help="not needed here"),
    )


def context(**given: Any) -> Context:
    """Take the common options out of a verb's arguments."""
    vault = given.pop("vault") or Path.home() / ".strongroom"
    return Context(vault, given.pop("relay"), given.pop("as_json"), given.pop("account", None), given)


def _with(command: Any, *options: Any) -> Any:
    for option in reversed(options):
        command = option(command)
    return command
