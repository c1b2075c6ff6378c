"""What this device holds against its relay: receipts, kept with the pin; and the proof they make when it lies.

A relay that shows a device anything but the continuation of what it showed before has signed two receipts that
contradict each other, as long as it signs what it shows: without a receipt nothing is accepted (spec chapter 16).
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from strongroom.fetching import Shown
from strongroom.state import State
from strongroom.transport.base import Transport
from strongroom_protocol.errors import Failure, StrongroomError, UntrustedDataError
from strongroom_protocol.manifest.account import GenesisCore
from strongroom_protocol.manifest.keyring import Keyring
from strongroom_protocol.manifest.proof import ForkProof

HEAD_RECEIPT, KEYRING_RECEIPT = "head-receipt", "keyring-receipt"
"""Names in the state: the receipts of the pinned head and of the newest keyring that came with one."""

CONTRADICTIONS = frozenset(
    {Failure.FORK, Failure.LOG, Failure.CHAIN, Failure.ROLLBACK, Failure.CUT, Failure.KEYRING, Failure.EPOCH}
)
"""What fails when a relay shows another history. Other failures are of bytes that nobody signed a receipt for."""


def kept(state: State) -> list[bytes]:
    """The receipts that this device holds."""
    return [found for name in (HEAD_RECEIPT, KEYRING_RECEIPT) if (found := state.get(name)) is not None]


def core_of(keyrings: list[Keyring]) -> GenesisCore:
    """The genesis core, from the whole chain."""
    core = keyrings[0].core
    if core is None:
        raise RuntimeError("keyring version 1 has a core")
    return core


def find_proof(core: GenesisCore, held: Iterable[bytes], shown: Iterable[bytes]) -> ForkProof | None:
    """Two receipts that contradict each other, one of those held and one of those shown; None when there are none."""
    others = list(shown)
    for one in held:
        for other in others:
            with contextlib.suppress(UntrustedDataError):
                return ForkProof.of(core, one, other)
    return None


@dataclass(frozen=True, slots=True)
class Held:
    """What somebody holds against the relay at `transport`: receipts, and a head version to ask it for (0: none).

    A proof is written to `folder`.
    """

    transport: Transport
    core: GenesisCore
    version: int
    receipts: list[bytes]
    folder: Path


async def accuse(error: UntrustedDataError, held: Held, shown: Shown) -> None:
    """Make a proof of what failed if there is one, and say in the error's hint where it is. Raises nothing.

    When what was shown contradicts nothing by itself, the relay is asked once for the head of `held.version`: one that
    shows another history has another head there too, and an honest one has nothing to add.
    """
    if error.failure not in CONTRADICTIONS or not held.receipts:
        return
    proof = find_proof(held.core, held.receipts, [*shown.heads, *shown.keyrings])
    if proof is None and held.version:
        with contextlib.suppress(StrongroomError):
            answer = await held.transport.head_at(held.core.account_id(), held.version)
            proof = find_proof(held.core, held.receipts, [answer.receipt])
    if proof is not None:
        with contextlib.suppress(OSError):  # the failure itself matters more than its proof
            file = write_proof(held.folder, proof)
            error.hint = f"the relay has signed two histories; the proof is {file}: see `strongroom prove {file}`"


def write_proof(folder: Path, proof: ForkProof) -> Path:
    """The proof as a file of the folder, whole or not at all, for nobody else to read."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"fork-proof-{max(proof.one.version, proof.other.version)}.cbor"
    write_whole(path, proof.encode())
    return path


def write_whole(path: Path, data: bytes) -> None:
    """Write a file durably with mode 0600, replacing what was there. Raises OSError."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
    place = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(place)
    finally:
        os.close(place)
