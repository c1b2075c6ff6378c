"""`strongroom passphrase`: what opens the account: change, add, remove, list, or need both secrets."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from strongroom.cli import ask, context
from strongroom.cli.choosing import slot_named
from strongroom.cli.context import Context
from strongroom.cli.strength import require_strong
from strongroom.cli.text import safe
from strongroom.owner import KIND_NAMES, Owner
from strongroom.unlocking import with_secrets
from strongroom_protocol.errors import InvalidArgument, WrongSecret
from strongroom_protocol.keys.secrets import Passphrase, RecoveryCode
from strongroom_protocol.manifest.slots import SlotKind

_DONE = {
    "change": "the passphrase is changed; these open the account now:",
    "add": "added; these open the account now:",
    "remove": "removed; these open the account now:",
    "list": "these open the account:",
    "two-secret": "every login needs passphrase and recovery code together now:",
}


@click.command("passphrase")
@click.argument("action", type=click.Choice(list(_DONE)))
@click.argument("slot", required=False, metavar="[LABEL]")
@context.common
@context.unlocks
@click.option("--new-passphrase-file", type=click.Path(), metavar="FILE", help="read the new passphrase from FILE")
@click.option("--new-passphrase-command", metavar="COMMAND", help="run COMMAND and read the new passphrase from it")
@click.option("--label", default="", metavar="TEXT", help="what `list` calls an added passphrase")
def command(action: str, slot: str | None, label: str, **given: Any) -> int:
    """Change what opens the account.

    change: a new passphrase in the place of the old. add: one more. remove LABEL: take one (or the recovery code) away.
    list: what there is. two-secret: from now on passphrase and recovery code are needed together.

    Unlocks with the passphrase, or with the recovery code where the passphrase is forgotten. Whatever is replaced or
    removed opens nothing that is written from then on; other devices go on as they are.
    """
    if (action == "remove") != (slot is not None):
        raise InvalidArgument(
            "remove, and only remove, takes the label of what to remove", hint="see `passphrase list`"
        )
    called = context.context(**given)
    return called.run(_passphrase(called, action, slot or "", label))


async def _passphrase(given: Context, action: str, slot: str, label: str) -> int:
    phrase, code = ask.both(given) if action == "two-secret" else ask.unlocking(given)
    async with await given.open() as vault:
        # For `two-secret` both are at hand, but neither is needed with the other yet.
        opened = await vault.unlock(passphrase=phrase, code=None if action == "two-secret" else code)
        async with opened as owner:
            if action != "list":
                owner.session.require_writer()
            if action == "change":
                await _change(given, owner, vault.name, phrase, code)
            elif action == "add":
                await owner.add_slot(with_secrets(_new(given, vault.name), None), label or "passphrase")
            elif action == "remove":
                await owner.remove_slot(slot_named(owner.slots(), slot).key)
            elif action == "two-secret" and phrase is not None and code is not None:
                if not owner.opens(with_secrets(None, code)):  # one that opens nothing would lock everybody out
                    raise WrongSecret("that recovery code does not open this account")
                await owner.use_two_secrets(phrase, code)
            slots = owner.slots()
    given.emit(
        {
            "account": vault.name,
            "slots": [{"key": item.key, "kind": item.kind, "label": item.label} for item in slots],
        },
        "\n".join([_DONE[action], *(f"    {item.key[:8]}  {item.kind}: {safe(item.label)}" for item in slots)]),
    )
    return 0


async def _change(
    given: Context, owner: Owner, account: str, phrase: Passphrase | None, code: RecoveryCode | None
) -> None:
    two_secret = any(slot.this and slot.kind == KIND_NAMES[SlotKind.BOTH] for slot in owner.slots())
    new = _new(given, account, strong=not two_secret)
    if new == phrase:
        raise InvalidArgument("that is the passphrase it has", hint="choose another one")
    await owner.change_passphrase(new, code if two_secret else None)


def _new(given: Context, account: str, *, strong: bool = True) -> Passphrase:
    check = partial(require_strong, account=account) if strong else None
    new = ask.new_passphrase(given, check=check)
    if check is not None:
        check(new)  # one from a file or a command
    return new
