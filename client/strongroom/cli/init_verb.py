"""`strongroom init`: a new account, its recovery code shown once and entered again."""

from __future__ import annotations

import os
import platform
import secrets
import sys
from typing import Any

import click

from strongroom.cli import ask
from strongroom.cli.main import Context, common, context
from strongroom_protocol.errors import InvalidArgument, StrongroomError
from strongroom_protocol.keys import recovery_code
from strongroom_protocol.keys.secrets import RecoveryCode


@click.command("init")
@common
@click.option("--registration-token", default="", help="the token the relay printed at its first start")
@click.option("--recovery-code-out", type=click.Path(), help="write the recovery code there (for scripts)")
@click.option("--two-secret", is_flag=True, help="need passphrase and recovery code together, always")
@click.option("--device-name", default=None, help="how this device is called in the list of devices")
def command(**given: Any) -> int:
    """Make an account on a relay and make this folder its first device."""
    own = {name: given.pop(name) for name in ("registration_token", "recovery_code_out", "two_secret", "device_name")}
    called = context(**given)
    return called.run(_init(called, **own))


async def _init(
    given: Context, registration_token: str, recovery_code_out: str | None, two_secret: bool, device_name: str | None
) -> int:
    from strongroom.vault import Vault

    relay, name = ask.required(given.relay, "--relay"), ask.required(given.account, "--account")
    phrase = ask.passphrase(given, new=True)
    code = RecoveryCode(secrets.token_bytes(20))
    _hand_over(given, code, recovery_code_out)
    vault = await Vault.create(
        given.vault, relay=relay, name=name, passphrase=phrase, code=code, two_secret=two_secret,
        device_name=device_name or platform.node() or "first device", registration_token=registration_token,
    )  # fmt: skip
    async with vault:
        status = await vault.status()
    given.emit(
        {"account": status.account, "name": status.name, "device": status.device, "version": status.version},
        f"account {status.name} is ready on {relay}\nnext: strongroom import PATH…",
    )
    return 0


def _hand_over(given: Context, code: RecoveryCode, out: str | None) -> None:
    text = recovery_code.render(code)
    if out is not None:
        try:
            descriptor = os.open(out, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except FileExistsError as error:
            raise InvalidArgument("the recovery code file exists already", hint="choose another name") from error
        except OSError as error:
            raise InvalidArgument("the recovery code file cannot be written") from error
        with os.fdopen(descriptor, "w") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        return
    if not sys.stdin.isatty():
        raise InvalidArgument("the recovery code must be kept", hint="use --recovery-code-out FILE in scripts")
    given.note("your recovery code, shown this once. Write it down; it opens the account without the passphrase:")
    click.echo(f"\n    {text}\n", err=True)
    while True:
        try:
            if recovery_code.parse(click.prompt("Enter it again", err=True)) == code:
                return
            click.echo("that is a valid code, but not this one", err=True)
        except StrongroomError as error:
            click.echo(f"{error}", err=True)
