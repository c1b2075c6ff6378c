"""A relay that tells two stories: a copy of a relay's folder, taken at some moment, that goes on by itself.

Both sign with the same receipt key, as a relay does that keeps two histories of one account.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from strongroom import witnessing
from strongroom.transport.base import Transport
from strongroom.witnessing import WitnessAddress
from strongroom_protocol.manifest.proof import ForkProof
from strongroom_relay.service.witness import start_witness
from vaults import Bench, Device, SharedTransport


def fork(bench: Bench, folder: Path, *devices: str) -> Bench:
    """Another relay with everything `bench`'s has now, and copies of the folders of (closed) devices."""
    folder.mkdir(parents=True)
    for name in ("relay", *devices):
        shutil.copytree(bench.folder / name, folder / name)
    return Bench(folder, opener=bench.opener)


async def move(device: Device, bench: Bench, wrap: Any = None) -> None:
    """From now on this device talks to `bench`'s relay."""
    transport: Transport = await bench.transport()
    device.session.transport = transport if wrap is None else wrap(transport)
    keys = device.session.device
    device.session.transport.authenticate(keys.sign.public, keys.sign.sign)
    device.session.base = None


def proofs(folder: Path) -> list[ForkProof]:
    """The fork proofs in a vault's folder, each verified."""
    return [ForkProof.parse(path.read_bytes()) for path in sorted(folder.glob("fork-proof-*.cbor"))]


async def witness_of(bench: Bench, patch: pytest.MonkeyPatch) -> str:
    """`URL#KEY` of a witness in this process: `bench`'s relay, which devices reach by its address."""
    relay = await bench.open()
    key = await start_witness(relay)

    async def reach(_: str) -> Transport:
        return SharedTransport(relay)

    patch.setattr(witnessing, "open_transport", reach)
    return str(WitnessAddress("https://witness.example", key))
