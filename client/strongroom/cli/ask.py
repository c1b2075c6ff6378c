"""Getting secrets and answers: from files, commands or the terminal, never from argv."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import click

from strongroom.cli.main import Context
from strongroom_protocol.errors import InvalidArgument
from strongroom_protocol.keys import names, recovery_code
from strongroom_protocol.keys.secrets import Passphrase, RecoveryCode


def passphrase(given: Context, *, new: bool = False) -> Passphrase:
    """The passphrase from --passphrase-file, --passphrase-command, STRONGROOM_PASSPHRASE or a prompt."""
    source = given.secrets["passphrase_file"]
    command = given.secrets["passphrase_command"]
    variable = os.environ.get("STRONGROOM_PASSPHRASE")
    if source is not None:
        return names.passphrase(_read(source, "passphrase"))
    if command is not None:
        answer = subprocess.run(shlex.split(command), check=False, capture_output=True, text=True)
        if answer.returncode != 0:
            raise InvalidArgument("the passphrase command failed", hint="run it by hand to see why")
        return names.passphrase(answer.stdout)
    if variable is not None:
        return names.passphrase(variable)
    if not sys.stdin.isatty():
        raise InvalidArgument("a passphrase is needed", hint="use --passphrase-file FILE or --passphrase-command")
    return names.passphrase(click.prompt("Passphrase", hide_input=True, confirmation_prompt=new, err=True))


def code(given: Context) -> RecoveryCode | None:
    """The recovery code from --recovery-code-file, if that was given."""
    source = given.secrets["recovery_code_file"]
    return None if source is None else recovery_code.parse(_read(source, "recovery code"))


def unlocking(given: Context) -> tuple[Passphrase | None, RecoveryCode | None]:
    """What to unlock with: the code when given (and the passphrase when that was given too), else the passphrase."""
    found = code(given)
    explicit = any(given.secrets[name] for name in ("passphrase_file", "passphrase_command"))
    if found is not None and not explicit:
        return None, found
    return passphrase(given), found


def required(value: str | None, option: str) -> str:
    """An option that this verb cannot do without."""
    if not value:
        raise InvalidArgument(f"{option} is needed", hint=f"add {option}")
    return value


def _read(path: str, what: str) -> str:
    try:
        return Path(path).read_bytes().decode()
    except OSError as error:
        raise InvalidArgument(f"the {what} file cannot be read") from error
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"the {what} file is not UTF-8 text") from error
