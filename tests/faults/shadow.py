"""A folder as it would be after a power cut: only what was synced is sure to be there (attack 87).

strace records what a process did to the folder and what it sent. Replayed here, each file has bytes that were synced
and writes since; each folder has entries that were synced and changes since. A cut keeps the synced ones and, of the
others, none, all, or any: sectors of a write one by one. That is stricter than most file systems.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

SECTOR = 512
NOWHERE = PurePosixPath()
TRACED = (
    "pwrite64,write,fsync,fdatasync,rename,unlink,mkdir,openat,ftruncate,sendto,?renameat,?renameat2,?unlinkat,?mkdirat"
)
_LINE = re.compile(r"^(\d+\.\d+) (\w+)\((.*)\) += (-?\d+)(?:<.*>)? *$")
_QUOTED = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_PLACE = re.compile(r"^\d+<((?:\\x[0-9a-f]{2})+|[^>]*)>")


def recording(log: Path) -> list[str]:
    """The command that a process is to be started with; each thread writes a log of its own."""
    return [
        "strace",
        "-D",
        "-qq",
        "-ff",
        "-ttt",
        "-y",
        "-xx",
        "-s",
        "33554432",
        "-e",
        f"trace={TRACED}",
        "-o",
        str(log),
    ]


@dataclass(frozen=True, slots=True)
class Event:
    """One call that succeeded: its kind, the path it works on, bytes, and a number (offset, length or result)."""

    time: float
    kind: str
    path: PurePosixPath = NOWHERE
    data: bytes = b""
    other: PurePosixPath = NOWHERE
    number: int = 0


def events(log: Path, folder: Path) -> list[Event]:
    """What was done to `folder`, and every piece that was sent (`kind` is then "sendto"), in order of time."""
    found = []
    for path in sorted(log.parent.glob(f"{log.name}.*")):
        for line in path.read_text().splitlines():
            match = _LINE.match(line)
            if match is None or int(match.group(4)) < 0:
                continue
            event = _event(float(match.group(1)), match.group(2), match.group(3), PurePosixPath(folder))
            found += [event] if event else []
    return sorted(found, key=lambda event: event.time)


def _event(time: float, kind: str, text: str, folder: PurePosixPath) -> Event | None:
    strings = [_bytes(hexed) for hexed in _QUOTED.findall(text)]
    if kind == "sendto":
        return Event(time, kind, data=strings[0])
    place = _PLACE.match(text)
    if place is not None and kind != "openat":
        raw = place.group(1)
        path = PurePosixPath(_bytes(raw).decode() if raw.startswith("\\x") else raw)
    elif kind == "openat" and "O_CREAT" not in text:
        return None
    else:
        path = PurePosixPath(strings[0].decode())
    if not path.is_relative_to(folder) or path.name.endswith("-shm"):  # the shared memory is made anew at each start
        return None
    numbers = text.rsplit(", ", 2)
    inside = path.relative_to(folder)
    if kind == "pwrite64":
        return Event(time, kind, inside, strings[0], number=int(numbers[-1]))
    if kind == "ftruncate":
        return Event(time, kind, inside, number=int(numbers[-1]))
    if kind.startswith("rename"):
        return Event(time, "rename", inside, other=PurePosixPath(strings[1].decode()).relative_to(folder))
    if kind == "openat":
        return Event(time, kind, inside, number=int("O_TRUNC" in text))
    return Event(time, kind.removesuffix("at"), inside, strings[0] if strings and kind == "write" else b"")


def _bytes(hexed: str) -> bytes:
    return bytes.fromhex(hexed.replace("\\x", ""))


@dataclass(slots=True)
class File:
    """`pending` are writes (offset, bytes) and truncations (length, None) since the last sync."""

    synced: bytes = b""
    now: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)

    def do(self, at: int, data: bytes | None) -> None:
        _apply(self.now, at, data)
        self.pending.append((at, data))

    def sync(self) -> None:
        self.synced, self.pending = bytes(self.now), []

    def after(self, keep: Callable[[], bool]) -> bytes:
        left = bytearray(self.synced)
        for at, data in self.pending:
            if data is None:
                if keep():
                    _apply(left, at, None)
                continue
            for start in range(0, len(data), SECTOR):
                if keep():
                    _apply(left, at + start, data[start : start + SECTOR])
        return bytes(left)


@dataclass(slots=True)
class Folder:
    now: dict[str, File | Folder] = field(default_factory=dict)
    synced: dict[str, File | Folder] = field(default_factory=dict)

    def after(self, keep: Callable[[], bool]) -> dict[str, File | Folder]:
        """The entries after a cut: each change is there or not."""
        left = dict(self.synced)
        for name in sorted({*self.now, *self.synced}):
            if self.now.get(name) is not self.synced.get(name) and keep():
                left.pop(name, None)
                if name in self.now:
                    left[name] = self.now[name]
        return left


class Shadow:
    """The folder, replayed event by event. What is in `template` at the beginning was synced."""

    def __init__(self, template: Path) -> None:
        self.root = _loaded(template)

    def do(self, event: Event) -> None:
        parent = self._folder(event.path.parent)
        if event.kind in ("fsync", "fdatasync"):
            found = self._find(event.path)
            if isinstance(found, Folder):
                found.synced = dict(found.now)
            else:
                found.sync()
        elif event.kind == "mkdir":
            parent.now[event.path.name] = Folder()
        elif event.kind == "unlink":
            del parent.now[event.path.name]
        elif event.kind == "rename":
            self._folder(event.other.parent).now[event.other.name] = parent.now.pop(event.path.name)
        elif event.kind == "openat":
            file = parent.now.setdefault(event.path.name, File())
            if event.number and isinstance(file, File):
                file.do(0, None)
        else:
            written = self._find(event.path)
            assert isinstance(written, File)
            at = event.number if event.kind != "write" else len(written.now)
            written.do(at, None if event.kind == "ftruncate" else event.data)

    def leave(self, target: Path, keep: Callable[[], bool]) -> None:
        """Write what a cut leaves into an empty folder."""
        _left(self.root, target, keep)

    def _find(self, path: PurePosixPath) -> File | Folder:
        found: File | Folder = self.root
        for part in path.parts:
            assert isinstance(found, Folder)
            found = found.now[part]
        return found

    def _folder(self, path: PurePosixPath) -> Folder:
        found = self._find(path)
        assert isinstance(found, Folder)
        return found


def cuts(seed: int) -> Iterator[tuple[str, Callable[[], bool]]]:
    """What may become of what was not synced: nothing arrived, everything did, or any part."""
    draw = random.Random(seed)
    yield "nothing", lambda: False
    yield "everything", lambda: True
    yield "half", lambda: draw.random() < 0.5
    yield "most", lambda: draw.random() < 0.95


def _apply(content: bytearray, at: int, data: bytes | None) -> None:
    if data is None:
        del content[at:]
        content.extend(bytes(at - len(content)))
        return
    content.extend(bytes(max(0, at - len(content))))
    content[at : at + len(data)] = data


def _loaded(path: Path) -> Folder:
    entries: dict[str, File | Folder] = {}
    for item in path.iterdir():
        if item.is_dir():
            entries[item.name] = _loaded(item)
        elif not item.name.endswith("-shm"):
            data = item.read_bytes()
            entries[item.name] = File(data, bytearray(data))
    return Folder(dict(entries), dict(entries))


def _left(folder: Folder, target: Path, keep: Callable[[], bool]) -> None:
    target.mkdir()
    for name, item in folder.after(keep).items():
        if isinstance(item, Folder):
            _left(item, target / name, keep)
        else:
            (target / name).write_bytes(item.after(keep))
