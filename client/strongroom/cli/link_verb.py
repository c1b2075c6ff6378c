"""`strongroom link`: let a new device in, from one that is there already."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from strongroom.cli import ask, context
from strongroom.cli.context import Context
from strongroom.cli.text import safe
from strongroom_protocol.errors import CallError, InvalidArgument

if TYPE_CHECKING:
    from strongroom.linking import LinkOffer


@click.command("link")
@context.common
@context.unlocks
@click.option(
    "--code-out", type=click.Path(), metavar="FILE", help="write the code to a new FILE instead of showing it"
)
@click.option("--yes-name", metavar="NAME", help="add the new device without asking when it has this name")
def command(code_out: str | None, yes_name: str | None, **given: Any) -> int:
    """Show a code for ten minutes; the new device enters it with `strongroom login --link`.

    Before it is added you see its name and its fingerprint here, and are asked once more: the new device shows the same
    fingerprint. Show the code to nobody. Never enter a code that somebody sent you: it would make your device theirs.
    """
    called = context.context(**given)
    if yes_name is None and not sys.stdin.isatty():
        raise InvalidArgument("there is no terminal to ask whether to add the new device", hint="use --yes-name NAME")
    return called.run(_link(called, code_out, yes_name))


async def _link(given: Context, code_out: str | None, yes_name: str | None) -> int:
    from strongroom.cli.linking_shown import Waiting

    phrase, code = ask.unlocking(given)
    async with await given.open() as vault, await vault.unlock(passphrase=phrase, code=code) as owner:
        offer = await owner.link()
        if code_out is None:
            _show(offer)
        else:
            _write(code_out, offer)
        waiting = Waiting("waiting for the new device")

        def confirm(name: str, fingerprint: str) -> bool:
            waiting.clear()
            if yes_name is not None:
                return name == yes_name
            click.echo(
                f"\nA device called {safe(name)!r} has entered the code. It must show:\n    {fingerprint}", err=True
            )
            return click.confirm("Add it to your account?", default=False, err=True)

        try:
            added = await offer.complete(confirm, waiting.on)
        finally:
            waiting.clear()
    if added is None:
        raise CallError("the new device was not let in", hint="run `strongroom link` again if it was yours")
    given.emit(
        {"device": added.id.hex(), "name": added.name, "fingerprint": added.fingerprint},
        f"added {safe(added.name)} ({added.fingerprint})",
    )
    return 0


def _show(offer: LinkOffer) -> None:
    click.echo(
        f"{offer.terminal()}\nscan this on the new device, or run `strongroom login --link` there and enter\n\n"
        f"    {offer.code}\n\nwith --relay as it is here; or paste this text instead:\n\n    {offer.text}\n",
        err=True,
    )


def _write(path: str, offer: LinkOffer) -> None:
    """Both forms, a line each. The same file again is only for going on with the same code."""
    content = f"{offer.code}\n{offer.text}\n".encode()
    try:
        with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(content)
    except FileExistsError as error:
        with open(path, "rb") as file:
            if file.read(len(content) + 1) == content:
                return
        raise InvalidArgument("the file for the code is there already", hint="choose another --code-out") from error
    except OSError as error:
        raise InvalidArgument("the file for the code cannot be written", hint="choose another --code-out") from error
