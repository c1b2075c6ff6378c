"""Exit codes, and how an error is shown: a line, a hint, never a traceback and never anybody's data (docs/cli.md)."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

import click

from strongroom.cli.text import json_line, safe
from strongroom_protocol.errors import (
    CallError,
    Failure,
    IncompleteError,
    NotFound,
    RelayError,
    RelayRefused,
    StorageFull,
    StrongroomError,
    UntrustedDataError,
    VaultLocked,
    WrongSecret,
)

EXIT_INTERNAL, EXIT_USAGE, EXIT_INCOMPLETE = 1, 2, 3
EXIT_NOT_FOUND, EXIT_LOCKED, EXIT_SECRET = 10, 11, 12
EXIT_UNTRUSTED, EXIT_RELAY, EXIT_FULL = 13, 14, 15
EXIT_INTERRUPTED, EXIT_PIPE = 130, 141

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_SQLITE_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
_SQLITE_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_YOURS_TO_MEND = ("name-taken", "registration")
"""Refusals of a relay that another option of the same command mends."""


def exit_code(error: BaseException) -> int:
    """The documented exit code of an error."""
    if isinstance(error, RelayRefused):
        return EXIT_USAGE if error.code in _YOURS_TO_MEND else EXIT_RELAY
    if isinstance(error, UntrustedDataError):
        return EXIT_SECRET if error.failure is Failure.CODE else EXIT_UNTRUSTED
    table: list[tuple[type[BaseException], int]] = [
        (NotFound, EXIT_NOT_FOUND), (VaultLocked, EXIT_LOCKED), (WrongSecret, EXIT_SECRET), (CallError, EXIT_USAGE),
        (IncompleteError, EXIT_INCOMPLETE), (StorageFull, EXIT_FULL), (RelayError, EXIT_RELAY),
        (click.UsageError, EXIT_USAGE), (click.ClickException, EXIT_USAGE),
    ]  # fmt: skip
    return next((code for kind, code in table if isinstance(error, kind)), EXIT_INTERNAL)


def report(error: BaseException, *, as_json: bool) -> int:
    """Show an error, on stderr for people and as JSON on stdout when that was asked for; returns the exit code."""
    shown = _shown(first_error(error))
    code = exit_code(shown)
    name, message, hint = type(shown).__name__, str(shown), getattr(shown, "hint", "")
    if isinstance(shown, click.ClickException):
        name, message = "UsageError", _usage(shown)
    elif isinstance(shown, WrongSecret):
        message = "wrong passphrase or recovery code, or no such account"  # nobody is told which: names stay private
    elif code == EXIT_INTERNAL:
        name, message = "InternalError", f"internal error: {_place(shown)}"
        hint = "this is a bug; STRONGROOM_DEBUG=1 shows where it happened, without your data"
        if os.environ.get("STRONGROOM_DEBUG") == "1":
            click.echo("\n".join(_trace(shown)), err=True)
    hint = hint or "see `strongroom --help`, or `strongroom COMMAND --help`"
    if as_json:
        data = {"error": name, "message": message, "hint": hint, "exit": code}
        if isinstance(shown, UntrustedDataError):
            data["failure"] = str(shown.failure)
        click.echo(json_line(data))
    click.echo(f"strongroom: error: {safe(message)}", err=True)
    if hint:
        click.echo(f"hint: {safe(hint)}", err=True)
    return code


def interrupted(verb: str, *, as_json: bool) -> int:
    """Say what an interrupt left behind: nothing half done."""
    message = "interrupted"
    if verb in ("import", "restore", "recovery-kit"):
        message += "; the same command goes on where it stopped"
    if as_json:
        click.echo(json_line({"error": "Interrupted", "message": message, "hint": "", "exit": EXIT_INTERRUPTED}))
    click.echo(f"strongroom: {message}", err=True)
    return EXIT_INTERRUPTED


def first_error(error: BaseException) -> BaseException:
    """The error inside a group of concurrent ones."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _shown(error: BaseException) -> BaseException:
    """An error of the machine as one of ours, where it is clear what a person can do about it."""
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _SQLITE_FULL:
            return StorageFull("the disk that holds the vault is full or failing")
        if code in _SQLITE_DAMAGED:
            return CallError("the vault's state on this device is damaged", hint="log in again in a new folder")
        if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
            return CallError("the vault's folder cannot be written", hint="check who owns it and its permissions")
    if isinstance(error, OSError) and error.errno is not None and not isinstance(error, StrongroomError):
        if error.errno in _FULL:
            return StorageFull("the disk is full, or a limit on file sizes is reached")
        return CallError(
            f"a file or folder cannot be used: {os.strerror(error.errno).lower()}",
            hint="check --vault and the paths given",
        )
    return error


def _usage(error: click.ClickException) -> str:
    """click's message without what was typed where it should not be: that may be a passphrase."""
    if isinstance(error, click.UsageError) and "unexpected extra argument" in error.message:
        return "more arguments than this verb takes"
    message = error.format_message().rstrip(".")
    return message[:1].lower() + message[1:]


def _place(error: BaseException) -> str:
    frames = _frames(error)
    return f"{type(error).__name__} at {frames[-1]}" if frames else type(error).__name__


def _trace(error: BaseException) -> list[str]:
    """Types and places of an error and its causes. Never messages or values, which can hold anything."""
    lines: list[str] = []
    seen: BaseException | None = error
    while seen is not None:
        lines += [type(seen).__name__, *(f"    {place}" for place in _frames(seen))]
        seen = seen.__cause__ or seen.__context__
    return lines


def _frames(error: BaseException) -> list[str]:
    found, trace = [], error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        found.append(f"{Path(code.co_filename).name}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return found
