"""Rows about files: all media up, to a folder and to a relay over HTTP."""

from __future__ import annotations

import shutil
from pathlib import Path

from bench.peers import stored
from bench.process import Failed, Memory, Sample, ours, shell, size_of
from bench.results import OURS
from bench.world import World, account, done, relay_in
from relay_process import RelayProcess

MEDIA = Path("media")
FLOOR = "copy and sync"


def media_to_folder(world: World) -> None:
    """Every file into a new repository; for us a message each, so that a reader finds it."""
    results = world.results

    def work(subject: str, number: int) -> Sample:
        place = world.place(subject, "media")
        if subject == OURS:
            account(place)
            sample = _uploaded(place, target=place / "store")
            kept = size_of(place / "store")
        else:
            peer = world.peer(subject)
            peer.create(place)
            sample = peer.backup(place, place / "app", [MEDIA])
            kept = stored(place)
        if kept < world.data.media_bytes():
            raise Failed(f"{kept:,} bytes were stored of {world.data.media_bytes():,}")
        results.add("media_file", subject, sample.seconds)
        return sample

    for _ in range(world.rounds):
        target = world.work / "copy"
        shutil.rmtree(target, ignore_errors=True)
        results.add("media_file", FLOOR, shell('cp -r "$1" "$2"', world.data.media, target, target=target).seconds)
    shutil.rmtree(target)
    world.each("media up", ("media_file",), work)
    for subject in world.subjects:
        shutil.rmtree(world.work / subject.replace(" ", "-") / "media", ignore_errors=True)


def over_http(world: World) -> None:
    """The same to a relay in its own process, and a first screen from it; the relay's memory all the while."""
    keys = ("media_http", "screen_http")
    for _ in range(world.rounds):
        place = world.place(OURS, "http")
        with world.failing(keys, OURS), RelayProcess(place / "store", open_registration=True) as relay:
            with Memory(relay.pid) as memory:
                account(place, relay.url)
                ours("bench.subject", "backup", place / "device", place / "app/chat.db")
                found = ours("bench.subject", "screen", place / "screen", relay.url).json
                world.results.add("screen_http", OURS, found["seconds"])
                with world.failing(("media_http",), OURS):
                    sample = _uploaded(place, target=place / "store")
                    world.results.add("media_http", OURS, sample.seconds)
                    world.results.peak(OURS, "media up, HTTP", sample.peak_mb)
            world.results.peak("relay", "media up, HTTP", memory.peak_mb)
        shutil.rmtree(place)


def whole(world: World) -> None:
    """Messages and media in one repository of each subject, for the rows that read everything back."""
    for subject in world.subjects:
        with world.failing(("restore", "verify", "flip"), subject):
            place = world.place(subject, "whole")
            if subject == OURS:
                account(place, relay_in(place))
                sample = ours("bench.subject", "backup", place / "device", place / "app/chat.db")
                world.results.peak(OURS, "first backup", sample.peak_mb)
                _uploaded(place, target=place / "store")
            else:
                world.peer(subject).create(place)
                world.peer(subject).backup(place, place / "app", [Path("chat.db"), MEDIA])
            done(place)


def _uploaded(place: Path, target: Path) -> Sample:
    return ours("bench.subject", "media", place / "device", place / "app/media", target=target)
