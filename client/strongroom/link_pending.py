"""What a new device keeps of a link that is under way: a state of its own beside the vault to be (spec chapter 15.5).

A vault's folder holds nothing that looks like a vault until the link is finished. Tries that were made stay counted
here as long as their code is good.
"""

from __future__ import annotations

import contextlib
import secrets
from hashlib import sha256
from pathlib import Path

from strongroom.linking import STATE
from strongroom.state import FILES, State
from strongroom_protocol.errors import CallError, VaultLocked
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.link import code as codes
from strongroom_protocol.link.new import New, Step

FOLDER = "link"
"""Under the vault's folder, while a link is under way."""


ENTERED = "entered"
"""Name in the state: a random number, and a hash of it with the code that the link is by."""


def mark(number: int, secret: codes.LinkSecret, salt: bytes | None = None) -> bytes:
    """What tells a code from another one, for as long as its link is kept."""
    salt = secrets.token_bytes(16) if salt is None else salt
    return salt + sha256(salt + number.to_bytes(8, "big") + secret.reveal()).digest()


def is_by(folder: Path, entered: codes.LinkCode) -> bool:
    """Whether the link that is kept is by this code."""
    with State.open(folder / FOLDER) as state:
        stored = state.get(ENTERED) or b""
    return stored == mark(entered.number, entered.secret, stored[:16])


def under_way(folder: Path) -> bool:
    """Whether a link is so far that it goes on without its code being entered again."""
    new = _stored(folder)
    return new is not None and new.step in (Step.ANSWERED, Step.CONFIRMED)


def tries_left(folder: Path) -> int:
    """How often a code can still be entered here."""
    new = _stored(folder)
    return LIMITS.link_tries if new is None else new.left


def _stored(folder: Path) -> New | None:
    if not (folder / FOLDER / FILES[0]).exists():
        return None
    with State.open(folder / FOLDER) as state:
        stored = state.get(STATE)
        return None if stored is None else New.parse(stored)


def forget(folder: Path) -> None:
    """Remove what a link left behind that was not finished."""
    _remove(folder / FOLDER)
    with contextlib.suppress(OSError):  # there is more in it
        folder.rmdir()


def _remove(folder: Path) -> None:
    for leftover in FILES:
        (folder / leftover).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


def settle(folder: Path) -> None:
    """What a crash in the last moment left: a vault that was never filled goes, a complete one stays."""
    if not (folder / FILES[0]).exists():
        return
    if (folder / FOLDER).exists():
        with State.open(folder) as state:
            complete = state.get("pin") is not None
        if not complete:
            for leftover in FILES:
                (folder / leftover).unlink(missing_ok=True)
            return
        forget(folder)
    raise CallError("there is already a vault in that folder", hint="use it as it is, or another --vault")


def pending(folder: Path) -> State:
    if (folder / FOLDER / FILES[0]).exists():
        try:
            return State.open(folder / FOLDER)
        except VaultLocked:
            raise
        except CallError:  # a crash while it was made: nothing was sent yet
            forget(folder)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return State.create(folder / FOLDER)
