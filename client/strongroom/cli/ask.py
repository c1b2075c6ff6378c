"""Getting secrets and answers: from files, commands, the environment or the terminal, never from argv."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import click

from strongroom.cli.context import Context
from strongroom_protocol.errors import InvalidArgument, StrongroomError
from strongroom_protocol.keys import names, recovery_code
from strongroom_protocol.keys.secrets import Passphrase, RecoveryCode

SECRET_BYTES = 64 * 1024
"""What is read of a file that should hold one line."""


def passphrase(given: Context, *, new: bool = False) -> Passphrase:
    """The passphrase from --passphrase-file, --passphrase-command, STRONGROOM_PASSPHRASE or a prompt."""
    source = given.secrets["passphrase_file"]
    command = given.secrets["passphrase_command"]
    variable = os.environ.get("STRONGROOM_PASSPHRASE")
    if source is not None:
        return names.passphrase(_read(source, "passphrase"))
    if command is not None:
        return names.passphrase(_output_of(command))
    if variable is not None:
        return names.passphrase(variable)
    if not sys.stdin.isatty():
        raise InvalidArgument(
            "a passphrase is needed", hint="use --passphrase-file FILE, --passphrase-command or a terminal"
        )
    return names.passphrase(click.prompt("Passphrase", hide_input=True, confirmation_prompt=new, err=True))


def unlocking(given: Context) -> tuple[Passphrase | None, RecoveryCode | None]:
    """What to unlock with: the code when one is given, else the passphrase; both when both are on the command line.

    A passphrase from the environment stays out when there is a code: it may be the one that was forgotten.
    """
    code = _code(given)
    if code is None:
        return passphrase(given), None
    source = click.get_current_context().get_parameter_source
    named = click.core.ParameterSource.COMMANDLINE
    both = any(source(name) is named for name in ("passphrase_file", "passphrase_command"))
    return (passphrase(given) if both else None), code


def required(value: str | None, option: str) -> str:
    """An option that this verb cannot do without."""
    if not value:
        raise InvalidArgument(f"{option} is needed", hint=f"add {option}, or set STRONGROOM_{option[2:].upper()}")
    return value


def recovery_code_typed(prompt: str, *, expected: RecoveryCode | None = None) -> RecoveryCode:
    """A recovery code from the terminal, asked for again until it has no typo (and is `expected`)."""
    while True:
        try:
            code = recovery_code.parse(click.prompt(prompt, err=True))
        except StrongroomError as error:
            click.echo(f"{error}; try again", err=True)
            continue
        if expected is None or code == expected:
            return code
        click.echo("that is a possible code, but not the one above; try again", err=True)


def _code(given: Context) -> RecoveryCode | None:
    source = given.secrets.get("recovery_code_file")
    if source is not None:
        return recovery_code.parse(_read(source, "recovery code"))
    if not given.secrets.get("recovery_code"):
        return None
    if not sys.stdin.isatty():
        raise InvalidArgument("there is no terminal to ask for the recovery code", hint="use --recovery-code-file FILE")
    return recovery_code_typed("Recovery code")


def _output_of(command: str) -> str:
    try:
        answer = subprocess.run(shlex.split(command), check=False, stdout=subprocess.PIPE)
        if answer.returncode == 0:
            return answer.stdout.decode()
    except (OSError, ValueError):  # not found, unbalanced quotes, not UTF-8
        pass
    raise InvalidArgument("the passphrase command failed", hint="run it by hand to see why")


def _read(path: str, what: str) -> str:
    try:
        with Path(path).open("rb") as file:
            return file.read(SECRET_BYTES).decode()
    except OSError as error:
        raise InvalidArgument(f"the {what} file cannot be read", hint="check the path and its permissions") from error
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"the {what} file is not UTF-8 text", hint="save it as plain text") from error
