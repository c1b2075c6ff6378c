"""The generator of the benchmarks' data gives the same from the same seed, and what an app would have."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bench.app_data import SIZES, AppData, Size, append
from bench.app_reader import app_rows, columns_of, file_rows
from strongroom import Kind, Op
from strongroom_protocol.rows.detail import ATTACHMENTS, REPLY

SIZE = Size(messages=60_000, media_bytes=300_000, conversations=7)


def made(folder: Path, seed: int = 1, *, processes: int = 1, size: Size = SIZES["tiny"]) -> AppData:
    data = AppData(folder, size, seed)
    data.make(processes=processes)
    return data


def content(data: AppData) -> tuple[list[str], dict[str, str]]:
    with closing(sqlite3.connect(data.database)) as opened:
        lines = list(opened.iterdump())
    files = {str(path.relative_to(data.folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in data.files()}
    return lines, files


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> AppData:
    return made(tmp_path_factory.mktemp("data") / "tiny")


def test_a_seed_gives_the_same_data_however_many_processes_draw_it(tiny: AppData, tmp_path: Path) -> None:
    assert content(made(tmp_path / "two", processes=2)) == content(tiny)


def test_another_seed_gives_other_data(tiny: AppData, tmp_path: Path) -> None:
    lines, files = content(made(tmp_path / "other", seed=2))
    assert lines != content(tiny)[0]
    assert files != content(tiny)[1]


def test_what_is_made_is_kept_and_other_settings_replace_it(tmp_path: Path) -> None:
    data = made(tmp_path / "data")
    data.files()[0].write_bytes(b"changed")
    made(tmp_path / "data")
    assert data.files()[0].read_bytes() == b"changed"
    made(tmp_path / "data", seed=2)
    assert data.files()[0].read_bytes() != b"changed"


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(SystemExit, match="choose another"):
        made(tmp_path)
    assert (tmp_path / "letter.txt").read_text() == "mine"


def test_blocks_of_messages_follow_each_other(tmp_path: Path) -> None:
    data = made(tmp_path / "data", size=SIZE)
    with closing(sqlite3.connect(data.database)) as opened:
        rows = opened.execute("SELECT id, ts FROM messages ORDER BY id").fetchall()
        chats = opened.execute("SELECT count(DISTINCT chat) FROM messages").fetchone()
    assert [number for number, _ in rows] == list(range(1, 60_001))
    assert [time for _, time in rows] == sorted(time for _, time in rows)
    assert chats == (7,)
    assert data.media_bytes() == 300_000


def test_newer_messages_are_later_and_the_same_at_every_call(tiny: AppData) -> None:
    first, second = tiny.newer(0), tiny.newer(1)
    assert first == tiny.newer(0)
    assert [row[0] for row in first + second] == list(range(2_001, 2_201))
    with closing(sqlite3.connect(tiny.database)) as opened:
        ((newest,),) = opened.execute("SELECT max(ts) FROM messages")
    assert all(isinstance(row[3], int) and row[3] > newest for row in first)
    assert min(str(row[3]) for row in second) > max(str(row[3]) for row in first)


def test_the_reader_takes_everything_the_database_says(tiny: AppData) -> None:
    with closing(sqlite3.connect(tiny.database)) as opened:
        ((faces, replies, files),) = opened.execute(
            "SELECT sum(json_array_length(reactions)), count(reply_to), count(media) FROM messages"
        )
    ops: list[int] = []
    details = []
    for columns in columns_of(tiny.database):
        ops += columns.op or []
        details += [detail for detail in columns.detail or [] if detail]
    assert ops.count(Op.PUT) == 2_000
    assert ops.count(Op.CONVERSATION) == 20
    assert ops.count(Op.REACT) == faces
    assert sum(REPLY in detail for detail in details) == replies
    assert sum(ATTACHMENTS in detail for detail in details) == files


def test_rows_that_are_appended_are_those_that_a_peer_finds_in_the_database(tiny: AppData, tmp_path: Path) -> None:
    copy = tmp_path / "chat.db"
    copy.write_bytes(tiny.database.read_bytes())
    append(copy, tiny.newer(0))
    read = [
        (chat, time, str(ident), sender, text)
        for columns in columns_of(copy)
        for op, chat, time, ident, sender, text in zip(
            columns.op or (), columns.conversation, columns.time, columns.id or [""] * len(columns),
            columns.sender or [""] * len(columns), columns.text or (), strict=True,
        )
        if op == Op.PUT
    ]  # fmt: skip
    appended = [(chat, r.time, r.id, r.sender, r.text) for chat, r in app_rows(tiny, 0) if r.op == Op.PUT]
    assert read[-100:] == appended


def test_every_file_has_a_message(tiny: AppData) -> None:
    rows = [row for _, row in file_rows(tiny.media)]
    assert {row.detail[ATTACHMENTS][0][4] for row in rows if row.detail} == {path.name for path in tiny.files()}
    assert {row.kind for row in rows} == {Kind.MEDIA}
