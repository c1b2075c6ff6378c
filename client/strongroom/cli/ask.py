"""Getting secrets and answers: from files, commands, the environment or the terminal, never from argv."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from strongroom.cli.context import Context
from strongroom_protocol.errors import InvalidArgument, StrongroomError
from strongroom_protocol.keys import names, recovery_code
from strongroom_protocol.keys.secrets import Passphrase, RecoveryCode

if TYPE_CHECKING:
    from strongroom_protocol.keys.kit import Kit

SECRET_BYTES = 256 * 1024
"""What is read of a file that should hold one line, or a recovery kit's page."""


Check = Callable[[Passphrase], None]


def passphrase(given: Context, *, new: bool = False, check: Check | None = None) -> Passphrase:
    """The passphrase from --passphrase-file, --passphrase-command, STRONGROOM_PASSPHRASE or a prompt.

    A `new` one that is typed is asked for twice, and again as long as `check` refuses it with InvalidArgument.
    """
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
    if new:
        return _typed_new("Passphrase", check)
    return names.passphrase(click.prompt("Passphrase", hide_input=True, err=True))


def new_passphrase(given: Context, *, check: Check | None = None) -> Passphrase:
    """The passphrase to use from now on: from --new-passphrase-file, --new-passphrase-command or a prompt."""
    source, command = given.secrets["new_passphrase_file"], given.secrets["new_passphrase_command"]
    if source is not None:
        return names.passphrase(_read(source, "new passphrase"))
    if command is not None:
        return names.passphrase(_output_of(command))
    if not sys.stdin.isatty():
        raise InvalidArgument("a new passphrase is needed", hint="use --new-passphrase-file FILE or a terminal")
    return _typed_new("New passphrase", check)


def _typed_new(prompt: str, check: Check | None) -> Passphrase:
    """A passphrase typed twice; one that `check` refuses is refused before it is typed again, with what to do."""
    while True:
        text = click.prompt(prompt, hide_input=True, err=True)
        try:
            phrase = names.passphrase(text)
            if check is not None:
                check(phrase)
        except InvalidArgument as error:
            click.echo(f"{error}; {error.hint}", err=True)
            continue
        if click.prompt("Repeat for confirmation", hide_input=True, err=True) == text:
            return phrase
        click.echo("the two are not the same; try again", err=True)


def both(given: Context) -> tuple[Passphrase, RecoveryCode]:
    """Passphrase and recovery code."""
    code, _ = _code(given)
    if code is None and sys.stdin.isatty():
        code = recovery_code_typed("Recovery code")
    if code is None:
        raise InvalidArgument("the recovery code is needed too", hint="add --recovery-code-file FILE")
    return passphrase(given), code


def unlocking(given: Context) -> tuple[Passphrase | None, RecoveryCode | None]:
    """What to unlock with: the code when one is given, else the passphrase; both when both are on the command line.

    A passphrase from the environment stays out when there is a code: it may be the one that was forgotten.
    """
    code, both = _code(given)
    if code is None:
        return passphrase(given), None
    both = both or any(map(on_command_line, ("passphrase_file", "passphrase_command")))
    return (passphrase(given) if both else None), code


def on_command_line(parameter: str) -> bool:
    """Whether an option was given by hand, not by the environment."""
    source = click.get_current_context().get_parameter_source(parameter)
    return source is click.core.ParameterSource.COMMANDLINE


def kit(path: str) -> Kit:
    """The recovery kit in a file, as its printed page or its line of text; `-` reads stdin."""
    from strongroom.kit import read_kit

    if path != "-":
        return read_kit(_read(path, "recovery kit"))
    try:
        return read_kit(sys.stdin.buffer.read(SECRET_BYTES).decode())
    except UnicodeDecodeError as error:
        raise InvalidArgument("what came on stdin is not UTF-8 text", hint="give the kit's line, or a file") from error


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


def link_code(source: str | None) -> str:
    """What another device shows for linking: the last line of a file, or typed."""
    if source is not None:
        return (_read(source, "link code").strip().splitlines() or [""])[-1]
    if not sys.stdin.isatty():
        raise InvalidArgument("there is no terminal to ask for the link code", hint="use --link-code-file FILE")
    return str(click.prompt("Code on the old device", err=True))


def text_or_file(given: str, prefix: str) -> str:
    """A text that may be given as it is, when it begins with `prefix`, or as the name of a file that holds it."""
    return given if given.strip().lower().startswith(prefix) else _read(given, "anchor")


def _code(given: Context) -> tuple[RecoveryCode | None, bool]:
    """The recovery code, if one is given, and whether it is known that the passphrase is needed with it."""
    source = given.secrets.get("recovery_code_file")
    if source is not None:
        from strongroom.kit import holds_kit, read_kit

        text = _read(source, "recovery code")
        if holds_kit(text):
            found = read_kit(text)
            return found.code, found.two_secret
        return recovery_code.parse(text), False
    if not given.secrets.get("recovery_code"):
        return None, False
    if not sys.stdin.isatty():
        raise InvalidArgument("there is no terminal to ask for the recovery code", hint="use --recovery-code-file FILE")
    return recovery_code_typed("Recovery code"), False


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
