"""Rows that read everything back: restore, verify, and what one flipped byte costs."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.process import Failed, Sample, ours, size_of
from bench.results import OURS
from bench.world import World, command_line, relay_in

INCOMPLETE = 3
"""Exit code of `restore` when something is damaged and everything else was restored."""


def restore(world: World) -> None:
    """Into an empty folder, or onto a fresh device whose command line can then show every chat."""

    def work(subject: str, number: int) -> Sample:
        place = world.kept(subject, "whole")
        target = _fresh(place / "out")
        if subject == OURS:
            ours("bench.subject", "login", target, relay_in(place))
            sample = command_line("restore", "--vault", target, "--json", target=target)
            _require_media(world, size_of(target))
        else:
            target.mkdir()
            sample = world.peer(subject).restore(place, target)
            _require_media(world, size_of(target))
        world.results.add("restore", subject, sample.seconds)
        return sample

    world.each("restore", ("restore",), work)


def verify(world: World) -> None:
    """Every byte fetched, hashed, opened."""

    def work(subject: str, number: int) -> Sample:
        place = world.kept(subject, "whole")
        if subject == OURS:
            sample = command_line("verify", "--vault", place / "device", "--json")
            _require_media(world, sample.json["bytes"])
        else:
            sample = world.peer(subject).check(place)
        world.results.add("verify", subject, sample.seconds)
        return sample

    world.each("verify", ("verify",), work)


def flip(world: World) -> None:
    """One bit of one byte changed in the repository, then a restore: files, frames or chunks that are gone.

    Each round is another byte: two a round for ours, of which one at least lies in the database of the store.
    """
    draw = random.Random(world.data.seed)
    names = {path.name: _digest(path) for path in [world.data.database, *world.data.files()]}
    told: list[str] = []
    for subject in world.subjects:
        with world.failing(("flip",), subject):
            place = world.kept(subject, "whole")
            store = place / ("store" if subject == OURS else "repo")
            for path in _chosen(store, 2 * world.rounds if subject == OURS else world.rounds, draw):
                with _flipped(path, draw):
                    if subject == OURS:
                        lost, said = _lost_of_ours(world, place)
                        told.append(f"{lost} lost, {said}")
                    else:
                        lost = _lost_of_peer(world, subject, place, names)
                world.results.add("flip", subject, lost)
    world.results.notes["flip"] = "; ".join(told)


def _lost_of_ours(world: World, place: Path) -> tuple[int, str]:
    """Frames and media chunks that are gone, and how many objects the restore named as damaged."""
    device = _fresh(place / "flip")
    try:
        ours("bench.subject", "login", device, relay_in(place))
        found = command_line("restore", "--vault", device, "--json", allowed=(0, INCOMPLETE)).json
    except Failed as reason:  # nothing can be restored at all
        return len(world.data.files()) + 1, str(reason)
    left = ours("bench.salvage", device).json
    files = len(world.data.files())
    lost = found["frames_lost"] + left["chunks_lost"] + files - left["files"]
    return lost, f"{len(found['damaged'])} named"


def _lost_of_peer(world: World, subject: str, place: Path, names: dict[str, str]) -> int:
    target = _fresh(place / "out")
    target.mkdir()
    with suppress(Failed):  # what it wrote before it gave up is what is left
        world.peer(subject).restore(place, target)
    found = {path.name: _digest(path) for path in target.rglob("*") if path.is_file()}
    return sum(found.get(name) != digest for name, digest in names.items())


def _chosen(store: Path, count: int, draw: random.Random) -> list[Path]:
    """The largest database and files by weight of their bytes: where a disk's bad sector most likely is."""
    files = sorted(path for path in store.rglob("*") if path.is_file() and path.stat().st_size > 4096)
    databases = [path for path in files if path.suffix == ".db"]
    return databases[:1] + draw.choices(files, [path.stat().st_size for path in files], k=count - len(databases[:1]))


@contextmanager
def _flipped(path: Path, draw: random.Random) -> Iterator[None]:
    place = draw.randrange(path.stat().st_size)
    mode = path.stat().st_mode
    path.chmod(0o600)
    try:
        _turn(path, place)
        yield
        _turn(path, place)
    finally:
        path.chmod(mode)


def _turn(path: Path, place: int) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        (byte,) = file.read(1)
        file.seek(place)
        file.write(bytes([byte ^ 16]))
        file.flush()
        os.fsync(file.fileno())


def _require_media(world: World, size: int) -> None:
    if size < world.data.media_bytes():
        raise Failed(f"only {size:,} bytes came back of {world.data.media_bytes():,} bytes of media")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return folder
