"""A new recovery code and its kit, so that no crash and no lost answer leaves anybody with neither (chapter 17.1).

What was begun lies in the vault's folder, for its owner only, until the new kit is in safe hands:

    async with await vault.unlock(passphrase=...) as owner:
        kit = await renew(vault, owner)
    ...                                            # print it, save it
    forget(vault.folder)
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

from strongroom.codes import new_recovery_code
from strongroom.evidence import write_whole
from strongroom.owner import KIND_NAMES, Owner
from strongroom.unlocking import with_secrets
from strongroom.vault import Vault
from strongroom_protocol.errors import RelayUnreachable, StrongroomError, WrongSecret
from strongroom_protocol.keys.kit import Kit
from strongroom_protocol.keys.secrets import Passphrase
from strongroom_protocol.manifest.slots import SlotKind

FILE = "recovery-kit.begun"
"""In the vault's folder: a line for each kit that was begun, the last one first."""

_CODE, _BOTH = KIND_NAMES[SlotKind.RECOVERY], KIND_NAMES[SlotKind.BOTH]


def begun(folder: Path) -> list[Kit]:
    """The kits that were begun and not finished, the last one first. Lines that are none are left out."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for line in (folder / FILE).read_text(errors="replace").splitlines():
            with contextlib.suppress(StrongroomError):
                found.append(Kit.from_text(line))
    return found


def forget(folder: Path) -> None:
    """The newest kit is where its owner wants it: forget what was begun."""
    (folder / FILE).unlink(missing_ok=True)


async def unfinished(vault: Vault, passphrase: Passphrase | None = None) -> Kit | None:
    """The begun kit whose code opens the account: the relay has taken it after all, or it was shown and not forgotten.

    It has the time when it was begun, and the anchor of now; its code is not new. None when there is none.
    `passphrase` is for an account that needs both. Raises RelayError, UntrustedDataError.
    """
    for kit in begun(vault.folder):
        with contextlib.suppress(WrongSecret):
            async with await vault.unlock(passphrase=passphrase if kit.two_secret else None, code=kit.code):
                return replace(vault.recovery_kit(kit.code, two_secret=kit.two_secret), time=kit.time)
    return None


def needs_both(owner: Owner) -> bool:
    """Whether the slot whose code `renew` replaces needs the passphrase too."""
    found = [slot for slot in owner.slots() if slot.kind in (_CODE, _BOTH)]
    chosen = [slot for slot in found if slot.this] or found
    return bool(chosen) and chosen[0].kind == _BOTH


async def renew(vault: Vault, owner: Owner, passphrase: Passphrase | None = None) -> Kit:
    """Give the account a new recovery code; the kit that holds it. See first what `unfinished` finds.

    The old code opens nothing from then on. `passphrase` is for an account that needs both. After any error the
    kit stays begun: whatever the relay made of the change, `unfinished` finds out. Raises what a change of keys raises.
    """
    both = needs_both(owner)
    kit = vault.recovery_kit(new_recovery_code(), two_secret=both)
    _keep(vault.folder, [kit, *begun(vault.folder)])  # spec: KIT-6 KIT-7
    try:
        if any(slot.kind in (_CODE, _BOTH) for slot in owner.slots()):
            await owner.change_recovery_code(kit.code, passphrase if both else None)
        else:
            await owner.add_slot(with_secrets(None, kit.code), _CODE)
    except RelayUnreachable as error:
        error.hint = (
            "it is not known whether the account has a new code: run `strongroom recovery-kit` again, which finds out "
            "and goes on; keep the old kit until then"
        )
        raise
    return kit


def _keep(folder: Path, kits: list[Kit]) -> None:
    write_whole(folder / FILE, "".join(f"{kit.to_text()}\n" for kit in kits).encode())
