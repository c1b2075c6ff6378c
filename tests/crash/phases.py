"""The phases that are broken off, each as what comes before it, what it does, and what must be there in the end.

Every deed can be repeated: a person whose command died runs it again, an app appends again what it is not sure of.
"""

from __future__ import annotations

import io
import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from strongroom import importing, message
from strongroom.columns import Columns
from strongroom.commit import commit
from strongroom.engine.compaction import fold_tail
from strongroom.importing import import_rows, tidy
from strongroom.records import MessageRef
from strongroom_relay.service.objects import sweep, sweep_files
from vaults import Bench, Device, talk

START = 1_700_000_000_000
BIG = random.Random(7).randbytes(700_000)
Note = Callable[[str], None]
"""Writes down what was acknowledged, as it is acknowledged."""


@dataclass(slots=True)
class World:
    """A vault in a folder, its device, and where exports go."""

    folder: Path
    bench: Bench
    device: Device
    url: str = ""  # of a relay that is not in this process


Deed = Callable[[World, Note], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Phase:
    """A named phase: `before` is undisturbed, `during` is killed and repeated."""

    before: Deed
    during: Deed


async def _some(world: World, note: Note) -> None:
    """A history with a bit of everything, and files."""
    await import_rows(world.device.session, talk("old", 700, ids="old"))
    await world.device.vault.append("chat", [message(f"b{n}", id=f"b{n}", time=START + n) for n in range(20)])
    await world.device.vault.attach("chat", ("a.bin", io.BytesIO(BIG)), id="file", time=START + 100)
    await world.device.vault.flush()


async def _many_runs(world: World, note: Note) -> None:
    await _some(world, note)
    for n in range(importing_runs()):
        await import_rows(world.device.session, talk(f"run {n % 3}", 600, start=START + 10**7 * n, ids=f"r{n}"))
    await world.device.vault.delete(MessageRef("chat", "b1", START + 1))
    await world.device.vault.delete(MessageRef("chat", "file", START + 100))
    await world.device.vault.flush()


def importing_runs() -> int:
    return 5


async def _full_tail(world: World, note: Note) -> None:
    for n in range(32):
        await import_rows(world.device.session, talk("chat", 3, start=START + n * 10_000, ids=f"t{n}"))


async def _waiting(world: World, note: Note) -> None:
    await _some(world, note)
    await _append(world, note)


async def _garbage(world: World, note: Note) -> None:
    await _many_runs(world, note)
    await world.device.vault.compact()
    relay = await world.bench.open()
    for number in range(20):  # uploads that no head ever named, small and large
        data = random.Random(number).randbytes(1000 if number % 2 else 100_000)
        import hashlib

        await world.device.session.transport.put(world.device.session.account, hashlib.sha256(data).digest(), data)
    del relay


async def _append(world: World, note: Note) -> None:
    vault = world.device.vault
    for n in range(8):
        await vault.append("chat", [message(f"a{n}.{i}", id=f"a{n}.{i}", time=START + 1000 + n) for i in range(3)])
        for i in range(3):
            note(f"+ a{n}.{i}")
    await vault.edit(MessageRef("chat", "a0.0", START + 1000), "edited")
    note("= a0.0 edited")
    await vault.delete(MessageRef("chat", "a1.0", START + 1001))
    note("- a1.0")
    await vault.attach("chat", ("w.bin", io.BytesIO(BIG[:9000])), id="waits", time=START + 2000)
    note("+ waits")


async def _flush(world: World, note: Note) -> None:
    await world.device.vault.flush()
    note("flushed")


async def _fold(world: World, note: Note) -> None:
    await import_rows(world.device.session, talk("chat", 3, start=START + 10**9, ids="last"))
    note("flushed")


async def _import(world: World, note: Note) -> None:
    path = world.folder / "many.jsonl"
    if not path.exists():
        lines = (
            {"type": "message", "conversation": f"i{n % 5}", "id": f"i{n}", "time": START + n, "text": f"i{n}"}
            for n in range(1500)
        )
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    await world.device.vault.import_([path])
    note("flushed")


async def _bulk(world: World, note: Note) -> None:
    """The path of large imports, with its other process, at a size that is quick."""
    importing.BULK_ROWS = 400
    count = range(1500)
    rows = Columns(
        conversation=[f"i{n % 5}" for n in count], time=[START + n for n in count], id=[f"i{n}" for n in count],
        text=[f"i{n}" for n in count],
    )  # fmt: skip
    await world.device.vault.import_([rows])
    note("flushed")


async def _upload(world: World, note: Note) -> None:
    for n in range(3):
        await world.device.vault.attach(
            "chat", (f"{n}.bin", io.BytesIO(BIG[n:])), id=f"u{n}", time=START + 3000 + n
        )  # fmt: skip
        note(f"+ u{n}")
    await world.device.vault.flush()
    note("flushed")


async def _compact(world: World, note: Note) -> None:
    await world.device.vault.compact()


async def _merge(world: World, note: Note) -> None:
    from strongroom.engine import fold

    fold.FAN_IN = 3
    await commit(world.device.session, fold_tail)
    await tidy(world.device.session)


async def _restore(world: World, note: Note) -> None:
    await world.device.vault.restore()


async def _export(world: World, note: Note) -> None:
    await world.device.vault.export(world.folder / "export")


async def _gc(world: World, note: Note) -> None:
    relay = await world.bench.open()
    relay.clock = lambda: START + 10**12  # every window is over
    await sweep(relay)
    await sweep_files(relay)


PHASES = {
    "import": Phase(_some, _import),
    "bulk import": Phase(_some, _bulk),
    "append": Phase(_some, _append),
    "commit": Phase(_waiting, _flush),
    "fold": Phase(_full_tail, _fold),
    "merge": Phase(_many_runs, _merge),
    "compaction": Phase(_many_runs, _compact),
    "upload": Phase(_some, _upload),
    "restore": Phase(_some, _restore),
    "export": Phase(_some, _export),
    "gc": Phase(_garbage, _gc),
}
