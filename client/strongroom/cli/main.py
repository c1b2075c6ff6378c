"""`strongroom`: the command group and the entry point (docs/cli.md).

Verbs are imported when they are called, so that `--help` and short commands start fast.
"""

from __future__ import annotations

import importlib
import logging
import os
import resource
import sys
import threading

import click

from strongroom.cli.errors import interrupted, report

VERBS = {
    "init": "make an account and back up into it",
    "login": "open an account on a new device",
    "link": "show a code that lets a new device in",
    "devices": "list devices, and every change of keys",
    "revoke": "remove a lost or stolen device",
    "passphrase": "change what opens the account",
    "recovery-kit": "print a kit to recover the account with, or try one",
    "import": "read chat exports and commit them",
    "chats": "list chats",
    "show": "show messages of a chat",
    "search": "find messages on this device",
    "watch": "show what other devices write, as it arrives",
    "files": "save the files of a message",
    "append": "add a message to a chat",
    "edit": "give a message a new text",
    "delete": "remove a message's content",
    "react": "add or take back a reaction",
    "restore": "fetch everything into this device",
    "verify": "check every byte the relay holds",
    "prove": "check or collect proof of a relay that lied",
    "status": "how fresh, how much, which devices",
    "undo": "go back to an earlier version, without what a device did",
    "keep": "how long what is kept, and what would go",
    "erase": "take out a whole chat",
    "compact": "pack the history as small as it gets",
    "settings": "what this device may spend on data and battery",
    "export": "leave with everything",
}

_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def load(verb: str) -> click.Command:
    """The command of a verb."""
    command: click.Command = importlib.import_module(f"strongroom.cli.{verb.replace('-', '_')}_verb").command
    return command


class _Verbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            from difflib import get_close_matches

            near = get_close_matches(cmd_name, VERBS, n=1)
            if near:
                ctx.fail(f"no such command {cmd_name!r}. Did you mean {near[0]!r}?")
            return None
        return load(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=_Verbs, no_args_is_help=False, context_settings=_SETTINGS)
@click.version_option(package_name="strongroom")
def cli() -> None:
    """End-to-end encrypted backup of chat history: keep it, find it, take it with you.

    Start with `strongroom init`, then `strongroom import EXPORT…`. On a new phone or computer: `strongroom login`,
    then `strongroom restore`. `strongroom COMMAND --help` tells the rest.
    """


def main(argv: list[str] | None = None) -> None:
    """Entry point: an exit code, and for every error a line and a hint."""
    arguments = sys.argv[1:] if argv is None else argv
    as_json = "--json" in arguments
    _keep_quiet()
    try:
        code = cli.main(arguments, prog_name="strongroom", standalone_mode=False)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(interrupted(next(iter(arguments), ""), as_json=as_json))
    except Exception as error:  # the last line of defence: a traceback could show somebody's messages
        sys.exit(report(error, as_json=as_json))
    sys.exit(code if isinstance(code, int) else 0)


def _keep_quiet() -> None:
    """No file of ours is for others, and nothing but `report` says anything about an error."""
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    logging.getLogger().addHandler(logging.NullHandler())  # asyncio would log messages of errors nobody awaited
    sys.unraisablehook = lambda _: None
    threading.excepthook = lambda _: None
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    main()
