"""Files of exports: stored with the import, known again, written by an export, taken back by another vault."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from strongroom.formats import ImportOptions
from strongroom.records import ImportResult
from vaults import Bench, Device

PICTURE, VIDEO = os.urandom(3000), os.urandom(600_000)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def _export(folder: Path, *, files: bool = True) -> Path:
    folder.mkdir(exist_ok=True)
    lines: list[dict[str, Any]] = [
        {"type": "message", "conversation": "c", "id": "1", "time": 1000, "text": "see",
         "attachments": [{"name": "a.jpg", "path": "media/a.jpg"}, {"name": "gone.pdf", "path": "media/gone.pdf"}]},
        {"type": "message", "conversation": "c", "id": "2", "time": 2000, "text": "and",
         "attachments": [{"name": "b.mp4", "path": "media/b.mp4", "role": "video",
                          "thumbnail": {"path": "media/a.jpg", "role": "preview"}}]},
        {"type": "message", "conversation": "c", "id": "3", "time": 3000, "text": "no files"},
    ]  # fmt: skip
    (folder / "chat.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if files:
        (folder / "media").mkdir(exist_ok=True)
        (folder / "media" / "a.jpg").write_bytes(PICTURE)
        (folder / "media" / "b.mp4").write_bytes(VIDEO)
    return folder / "chat.jsonl"


async def _import(device: Device, path: Path) -> ImportResult:
    return await device.vault.import_([path], options=ImportOptions())


async def _shown(device: Device, ident: str) -> list[tuple[str | None, str, bytes | None]]:
    found = []
    for item in (await device.vault.message("c", ident)).attachments:
        data = b"".join([piece async for piece in device.vault.media(item)]) if item.state == "present" else None
        found.append((item.name, item.state, data))
    return found


async def test_files_come_with_the_import_and_are_known_again(bench: Bench) -> None:
    device = await bench.create()
    path = _export(bench.folder / "in")
    assert sum((await _import(device, path)).written.values()) == 3
    assert await _shown(device, "1") == [("a.jpg", "present", PICTURE), ("gone.pdf", "unavailable", None)]
    assert await _shown(device, "2") == [("b.mp4", "present", VIDEO)]
    again = await _import(device, path)
    assert (again.written, again.known, again.commits) == ({}, 3, 0)
    without = await _import(device, _export(bench.folder / "bare", files=False))
    assert (without.written, without.known) == ({}, 3)
    assert await _shown(device, "2") == [("b.mp4", "present", VIDEO)]


async def test_files_that_come_later_are_added(bench: Bench) -> None:
    device = await bench.create()
    await _import(device, _export(bench.folder / "bare", files=False))
    assert await _shown(device, "2") == [("b.mp4", "unavailable", None)]
    full = _export(bench.folder / "in")
    assert (await _import(device, full)).written == {"edit": 2}
    assert await _shown(device, "2") == [("b.mp4", "present", VIDEO)]
    assert (await _import(device, full)).written == {}


async def test_known_again_in_another_epoch(bench: Bench) -> None:
    """The same file is sealed under other names then; the message is still the same."""
    device = await bench.create()
    path = _export(bench.folder / "in")
    await _import(device, path)
    await bench.login("b", confirm=True)
    await device.vault.chats()
    assert (await _import(device, path)).written == {}


async def test_an_export_has_the_files_and_goes_into_another_vault(bench: Bench) -> None:
    device = await bench.create()
    await _import(device, _export(bench.folder / "in"))
    out = bench.folder / "out"
    counts = await device.vault.export(out)
    assert counts["files"] == 2
    assert {path.read_bytes() for path in (out / "files").iterdir()} == {PICTURE, VIDEO}
    other = await bench.create("ben", folder="ben")
    assert (await _import(other, out)).written == {"put": 3}
    for ident in "123":
        assert await _shown(other, ident) == await _shown(device, ident)
    again = bench.folder / "again"
    await other.vault.export(again)
    assert _content(again) == _content(out)
    assert (await _import(device, out)).written == {}
    assert "files" not in {path.name for path in (bench.folder / "lean").glob("*")}
    await device.vault.export(bench.folder / "lean", media=False)
    assert not (bench.folder / "lean" / "files").exists()


async def test_a_damaged_file_of_an_export_is_named_and_the_rest_comes(bench: Bench) -> None:
    device = await bench.create()
    await _import(device, _export(bench.folder / "in"))
    await device.vault.export(bench.folder / "out")
    bad = next(path for path in (bench.folder / "out" / "files").iterdir() if path.suffix == ".mp4")
    bad.write_bytes(VIDEO[:-1] + b"x")
    other = await bench.create("ben", folder="ben")
    await _import(other, bench.folder / "out")
    assert (await _shown(other, "2"))[0][1] == "unavailable"
    assert (await _shown(other, "1"))[0][1] == "present"


@pytest.mark.parametrize(
    "path", ["../secret", "/etc/passwd", "link", "linked/secret", "media/../../secret", "", "pipe"]
)
async def test_attack_096_a_file_outside_the_export_is_never_taken(bench: Bench, path: str) -> None:
    device = await bench.create()
    folder = bench.folder / "in"
    folder.mkdir()
    (bench.folder / "secret").write_bytes(b"the secret")
    (folder / "link").symlink_to(bench.folder / "secret")
    (folder / "linked").symlink_to(bench.folder)
    os.mkfifo(folder / "pipe")
    line = {"type": "message", "conversation": "c", "id": "1", "time": 1, "attachments": [{"path": path}]}
    (folder / "chat.jsonl").write_text(json.dumps(line) + "\n")
    await _import(device, folder / "chat.jsonl")
    (item,) = (await device.vault.message("c", "1")).attachments
    assert item.state == "unavailable"


async def test_attack_100_a_file_cannot_point_into_the_vault(bench: Bench) -> None:
    """A line with a descriptor of its own: it is not taken for sealed bytes of this vault."""
    device = await bench.create()
    await _import(device, _export(bench.folder / "in"))
    (item,) = (await device.vault.message("c", "2")).attachments
    line = {"type": "message", "conversation": "evil", "id": "1", "time": 1,
            "attachments": [{"name": "x", "media": item.raw[22].hex()}]}  # fmt: skip
    (bench.folder / "evil.jsonl").write_text(json.dumps(line) + "\n")
    await _import(device, bench.folder / "evil.jsonl")
    (planted,) = (await device.vault.message("evil", "1")).attachments
    assert 22 not in planted.raw


def _content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.spec("EXP-3")
@pytest.mark.parametrize("format", ["json", "txt", "html"])
async def test_attack_096_no_exported_file_is_started_by_a_look_at_its_folder(bench: Bench, format: str) -> None:
    """Shortcuts and the like fetch what they point at when a file manager shows them; programs run when opened."""
    names = ["x.scf", "x.URL", "x.lnk", "x.library-ms", "x.html", "x.svg", "x.exe", "x.desktop", "x.hta", "x", "x.png"]
    folder = bench.folder / "in"
    folder.mkdir()
    lines = [
        {"type": "message", "conversation": "c", "id": name, "time": 1000 + number,
         "attachments": [{"name": name, "path": f"f{number}"}]}
        for number, name in enumerate(names)
    ]  # fmt: skip
    for number, name in enumerate(names):
        (folder / f"f{number}").write_bytes(name.encode())
    (folder / "chat.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    device = await bench.create()
    await _import(device, folder / "chat.jsonl")
    out = bench.folder / "out"
    await device.vault.export(out, format=format)
    written = sorted((out / "files").iterdir())
    assert len(written) == len(names)
    assert {path.suffix for path in written} <= {".bin", ".png", ""}
    assert sum(path.suffix == ".png" for path in written) == 1
    if format == "json":  # nothing is lost: names are in the lines, and the bytes come back under them
        other = await bench.create("ben", folder="ben")
        await _import(other, out)
        assert [(name, "present", name.encode()) for name in names] == [
            found for name in names for found in await _shown(other, name)
        ]
