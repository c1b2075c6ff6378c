"""`strongroom init`: a new account, its recovery code shown once and entered again."""

from __future__ import annotations

import os
import platform
import secrets
import sys
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import click

from strongroom.cli import ask, context
from strongroom.cli.context import Context
from strongroom.cli.strength import require_strong
from strongroom_protocol.errors import CallError, InvalidArgument, RelayUnreachable, StrongroomError
from strongroom_protocol.keys import names, recovery_code
from strongroom_protocol.keys.secrets import RecoveryCode


@click.command("init")
@context.common
@context.secrets
@click.option("--registration-token", default="", metavar="TOKEN", help="the token the relay printed at its start")
@click.option("--recovery-code-out", type=click.Path(), metavar="FILE", help="write the recovery code to a new FILE")
@click.option("--kit", type=click.Path(), metavar="FILE.html", help="write a recovery kit, to print, to a new FILE")
@click.option("--two-secret", is_flag=True, help="every login needs passphrase and recovery code together")
@click.option("--witness", metavar="URL#KEY", help="tell this witness about the newest state, for other devices to ask")
@click.option("--device-name", default=None, metavar="NAME", help="how the list of devices calls this one")
def command(**given: Any) -> int:
    """Make an account on a relay, and make this folder its first device.

    The recovery code is shown once and has to be entered again; --kit FILE.html puts it on a page to print instead, and
    in scripts --recovery-code-out FILE keeps it.
    Without the passphrase and the recovery code nobody can open the account, the relay's operator neither.
    """
    mine = ("registration_token", "recovery_code_out", "kit", "two_secret", "device_name", "witness")
    own = {name: given.pop(name) for name in mine}
    if own["kit"] is not None and own["recovery_code_out"] is not None:
        raise InvalidArgument("--kit and --recovery-code-out exclude each other", hint="the kit holds the code")
    called = context.context(**given)
    return called.run(_init(called, **own))


async def _init(
    given: Context, registration_token: str, recovery_code_out: str | None, kit: str | None, two_secret: bool,
    device_name: str | None, witness: str | None,
) -> int:  # fmt: skip
    from strongroom.account import unfinished
    from strongroom.evidence import write_whole
    from strongroom.kit_page import kit_page
    from strongroom.vault import Vault
    from strongroom.witnessing import WitnessAddress

    relay = ask.required(given.relay, "--relay")
    name = names.account_name(ask.required(given.account, "--account"))
    if (given.vault / "device.db").exists() and not unfinished(given.vault):
        raise CallError("there is already a vault in that folder", hint="use it as it is, or another --vault")
    out = kit or recovery_code_out
    if out is None and not sys.stdin.isatty():
        raise InvalidArgument("the recovery code must be kept", hint="use --recovery-code-out FILE in scripts")
    if witness is not None:
        WitnessAddress.parse(witness)
    await _reach(relay)
    strong = None if two_secret else partial(require_strong, account=name)
    phrase = ask.passphrase(given, new=True, check=strong)
    if strong is not None:
        strong(phrase)  # one from a file or a command
    code = RecoveryCode(secrets.token_bytes(20))
    if out is None:
        _show(given, code)
    else:
        _write(Path(out), code)  # before there is an account, of which the kit tells more
    try:
        vault = await Vault.create(
            given.vault, relay=relay, name=name, passphrase=phrase, code=code, two_secret=two_secret,
            device_name=device_name or platform.node() or "first device", registration_token=registration_token,
            witness=witness,
        )  # fmt: skip
    except RelayUnreachable:
        raise  # the account may have been made: its code is kept
    except StrongroomError:
        if out is not None:
            os.unlink(out)  # there is no account: a second try may use the same name
        raise
    async with vault:
        if kit is not None:
            write_whole(Path(kit), kit_page(vault.recovery_kit(code, two_secret=two_secret)).encode())
        status = await vault.status()
    given.emit(
        {"account": status.account, "name": status.name, "device": status.device, "version": status.version},
        f"account {status.name} is ready on {relay}\n"
        + ("" if kit is None else f"print {kit}, lock it away, and delete the file\n")
        + "next: strongroom import PATH…",
    )
    return 0


async def _reach(relay: str) -> None:
    """Find out before anybody types a passphrase that a relay is not there."""
    from strongroom.transport import open_transport

    if relay.startswith("file:"):  # the folder itself is made only when all else is known
        folder = Path(unquote(urlsplit(relay).path)).parent
        if not folder.is_dir():  # a stick that is not there: its mount point must not become a folder of this disk
            raise InvalidArgument(
                "the folder in which the vault would lie is not there",
                hint="plug the disk in, or make the folder first",
            )
        return
    transport = await open_transport(relay)
    try:
        await transport.relay_info()
    finally:
        await transport.close()


def _show(given: Context, code: RecoveryCode) -> None:
    given.note("your recovery code, shown this once. Write it down; it opens the account without the passphrase:")
    click.echo(f"\n    {recovery_code.render(code)}\n", err=True)
    ask.recovery_code_typed("Enter it again", expected=code)


def _write(out: Path, code: RecoveryCode) -> None:
    try:
        descriptor = os.open(out, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError as error:
        raise InvalidArgument("the recovery code file exists already", hint="choose another name") from error
    except OSError as error:
        raise InvalidArgument("the recovery code file cannot be written", hint="check its folder") from error
    with os.fdopen(descriptor, "w") as file:
        file.write(recovery_code.render(code) + "\n")
        file.flush()
        os.fsync(file.fileno())
