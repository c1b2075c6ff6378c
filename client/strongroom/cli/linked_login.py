"""`strongroom login --link`: become a device of an account by the code that another one shows."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING

import click

from strongroom.cli import ask
from strongroom.cli.context import Context
from strongroom.cli.linking_shown import Waiting
from strongroom_protocol.errors import Failure, UntrustedDataError, WrongSecret

if TYPE_CHECKING:
    from strongroom.vault import Vault


async def joined(given: Context, code_file: str | None, device_name: str | None) -> Vault:
    """A vault that another device let in. Asks for the code again after a wrong one, while there are tries."""
    from strongroom import link_pending
    from strongroom.vault import Vault

    name = device_name or platform.node() or "new device"
    while True:
        going_on = link_pending.under_way(given.vault)
        if going_on and code_file is None:
            click.echo("going on with the link that was begun here (--link-code-file enters another code)", err=True)
        code = None if going_on and code_file is None else ask.link_code(code_file)
        waiting = Waiting("waiting for the old device", say_fingerprint=True)
        try:
            return await Vault.join(given.vault, code=code, relay=given.relay, device_name=name, progress=waiting.on)
        except (WrongSecret, UntrustedDataError) as error:
            if code_file is not None or not _again(error, given.vault):
                raise
            click.echo(f"strongroom: {error}", err=True)
        finally:
            waiting.clear()


def _again(error: WrongSecret | UntrustedDataError, vault: Path) -> bool:
    if isinstance(error, UntrustedDataError):
        return error.failure is Failure.CODE
    from strongroom import link_pending

    return link_pending.tries_left(vault) > 0
