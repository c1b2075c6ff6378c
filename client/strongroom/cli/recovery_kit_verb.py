"""`strongroom recovery-kit`: a page to print that opens the account when all devices are lost; and trying one."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from strongroom.cli import ask, context
from strongroom.cli.context import Context
from strongroom.cli.text import ago, moment, number, safe
from strongroom_protocol.errors import InvalidArgument

if TYPE_CHECKING:
    from strongroom.kit import Tried
    from strongroom.vault import Vault
    from strongroom_protocol.keys.kit import Kit

STDOUT = "-"


@click.group("recovery-kit", invoke_without_command=True)
@context.common
@context.unlocks
@click.option("--out", metavar="FILE.html", help="write it there (default: recovery-kit-ACCOUNT.html); - for stdout")
@click.option("--force", is_flag=True, help="replace a file that is there")
@click.option("--keep", is_flag=True, help="keep the recovery code, which is asked for, and only print it again")
@click.option("--yes", is_flag=True, help="do not ask")
@click.pass_context
def command(ctx: click.Context, /, out: str | None, force: bool, keep: bool, yes: bool, **given: Any) -> int:
    """Make a recovery kit: a page to print and lock away, which opens the account when all devices are lost.

    This makes a NEW recovery code: the old one, and every kit with it, opens nothing any more. With --keep you enter
    the code that you have, and get it as a kit. The page is for nobody else's eyes; delete the file when it is printed.

    Interrupted, or with the connection lost, the same command goes on.
    """
    if ctx.invoked_subcommand is not None:
        return 0
    called = context.context(**given)
    code = called.run(_keep(called, out, force) if keep else _make(called, out, force, yes))
    if code == 0 and not keep:
        _settle(called)  # on stdout it is only now
    return code


@command.command("verify")
@context.common
@context.secrets
@click.argument("kit", metavar="FILE")
def verify(kit: str, **given: Any) -> int:
    """See whether a kit still opens its account: the page as a file, its line of text, or - for stdin.

    Changes nothing, and needs no vault here: it opens the account as a new device would, with a key that is thrown
    away. Exit 12: the code was replaced since. 13: the relay hides what the kit has seen. 14: no answer.
    """
    above = click.get_current_context().parent
    given["as_json"] = given["as_json"] or (above is not None and bool(above.params["as_json"]))
    called = context.context(**given)
    return called.run(_verify(called, kit))


async def _verify(given: Context, file: str) -> int:
    from strongroom.kit import try_kit

    kit = ask.kit(file)
    phrase = ask.passphrase(given) if kit.two_secret else None
    moved = given.relay if ask.on_command_line("relay") else None
    found = await try_kit(kit, passphrase=phrase, relay=moved)
    given.emit(asdict(found), _report(found))
    return 0


def _report(found: Tried) -> str:
    keyrings, epochs = number(found.keyring_version, "keyrings"), number(found.epochs, "epochs")
    return (
        f"this kit opens the account {safe(found.name)} on {safe(found.relay)}\n"
        f"checked   code, root key, {keyrings}, {epochs}; {number(found.devices, 'devices')}\n"
        f"newest    state {found.version}, saved {moment(found.saved)} UTC\n"
        f"anchor    {ago(found.anchor_ms)}, {number(found.since, 'states')} before the newest: "
        "a relay can hide nothing older from whoever starts from this kit"
    )


async def _make(given: Context, out: str | None, force: bool, yes: bool) -> int:
    from strongroom import kit_renewal

    if not yes and not sys.stdin.isatty():
        raise InvalidArgument("there is no terminal to ask whether to replace the code", hint="add --yes, or --keep")
    async with await given.open() as vault:
        place = _place(vault, out, force)
        begun = kit_renewal.begun(vault.folder)
        kit = finished = None
        if begun:
            given.note("a kit was begun here and not finished; asking whether the account has its code")
            phrase = ask.passphrase(given) if any(kit.two_secret for kit in begun) else None
            kit = finished = await kit_renewal.unfinished(vault, phrase)  # spec: KIT-8
        if kit is None:
            kit = await _renewed(given, vault, yes)
        await _write(given, vault, kit, place, replaced=finished is None, finished=finished is not None)  # spec: KIT-9
    return 0


async def _renewed(given: Context, vault: Vault, yes: bool) -> Kit:
    from strongroom import kit_renewal

    phrase, code = ask.unlocking(given)
    async with await vault.unlock(passphrase=phrase, code=code) as owner:
        owner.session.require_writer()
        given.note("this makes a new recovery code; the old one, and every kit with it, opens nothing any more")
        if not yes:
            click.confirm("Go on?", default=False, err=True, abort=True)
        return await kit_renewal.renew(vault, owner, phrase)


async def _keep(given: Context, out: str | None, force: bool) -> int:
    if given.secrets.get("recovery_code_file") is None:
        given.secrets["recovery_code"] = True
    phrase, code = ask.unlocking(given)
    if code is None:
        raise InvalidArgument("the recovery code is needed")
    async with await given.open() as vault:
        place = _place(vault, out, force)
        async with await vault.unlock(passphrase=phrase, code=code):  # it is the account's: else nothing is printed
            await _write(given, vault, vault.recovery_kit(code, two_secret=phrase is not None), place)
    return 0


def _place(vault: Vault, out: str | None, force: bool) -> Path | None:
    """Where the page goes, found out before anything is replaced; None for stdout."""
    if out == STDOUT:
        return None
    place = Path(out or f"recovery-kit-{vault.name}.html")
    if place.is_dir() or (place.exists() and not force):
        raise InvalidArgument("that file exists already", hint="choose another --out, or add --force")
    if not os.access(place.parent, os.W_OK | os.X_OK):
        raise InvalidArgument("the kit cannot be written there", hint="choose another --out")
    return place


async def _write(
    given: Context, vault: Vault, kit: Kit, place: Path | None, *, replaced: bool = False, finished: bool = False
) -> None:
    """Print it or write it. `replaced`: its code is new. `finished`: it was begun, and is in use since."""
    from strongroom.evidence import write_whole
    from strongroom.kit_page import kit_page

    page = kit_page(kit)
    said = {"account": kit.name, "replaced": replaced, "finished": finished, "state": kit.anchor.head_version}
    if finished:
        given.note(
            f"this is the kit that was begun here on {moment(kit.time)} UTC, finished: its code is in use, those "
            "from before it open nothing. If anybody may have seen it since, run the command again for a new one"
        )
    if place is None:
        given.emit(said | {"file": None, "kit": kit.to_text()}, page.rstrip("\n"))
        return
    try:
        await asyncio.to_thread(write_whole, place, page.encode())
    except OSError as error:
        raise InvalidArgument(
            "the kit cannot be written there", hint="nothing is lost: run the command again with another --out"
        ) from error
    if replaced or finished:
        _settle(given)  # whatever becomes of what is said below
    old = "\nthe old recovery code opens nothing any more; destroy old kits" if replaced else ""
    given.emit(
        said | {"file": str(place)},
        f"the kit is in {place}: print it, lock it away, delete the file{old}\n"
        f"try it with `strongroom recovery-kit verify {place}`",
    )


def _settle(given: Context) -> None:
    """The kit is where it was wanted, on paper or on stdout: only now is what was begun forgotten."""
    from strongroom import kit_renewal

    kit_renewal.forget(given.vault)
