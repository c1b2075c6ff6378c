"""The local state: one process, atomic changes, and typed errors for whatever lies in the folder."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from strongroom.state import SCHEMA, State
from strongroom_protocol.errors import CallError, NotFound, UpgradeRequired, VaultLocked


def test_created_once_and_opened_again(tmp_path: Path) -> None:
    with State.create(tmp_path / "v") as state:
        state.put({"a": b"1", "b": b"2"})
        with pytest.raises(VaultLocked):
            State.open(tmp_path / "v")
    with State.open(tmp_path / "v") as state:
        assert (state.get("a"), state.require("b"), state.get("c")) == (b"1", b"2", None)
        state.put({"a": None})
        assert state.get("a") is None
        with pytest.raises(CallError):
            state.require("a")
    with pytest.raises(CallError):
        State.create(tmp_path / "v")


def test_no_folder() -> None:
    with pytest.raises(NotFound):
        State.open(Path("/nonexistent/vault"))


def test_attack_094_changes_are_all_or_nothing(tmp_path: Path) -> None:
    with State.create(tmp_path / "v") as state:
        state.put({"a": b"1"})
        with pytest.raises(sqlite3.Error):
            state.put({"a": b"2", "b": object()})  # type: ignore[dict-item]
        assert (state.get("a"), state.get("b")) == (b"1", None)


@pytest.mark.parametrize("content", [b"", b"\0" * 4096, b"not a database at all" * 400])
def test_a_damaged_or_unfinished_state(tmp_path: Path, content: bytes) -> None:
    """Typed, and the lock is free again afterwards."""
    State.create(tmp_path / "v").close()
    (tmp_path / "v" / "device.db").write_bytes(content)
    for _ in range(2):
        with pytest.raises(CallError) as caught:
            State.open(tmp_path / "v")
        assert not isinstance(caught.value, VaultLocked)


def test_a_newer_state(tmp_path: Path) -> None:
    State.create(tmp_path / "v").close()
    with sqlite3.connect(tmp_path / "v" / "device.db") as database:
        database.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    database.close()
    for _ in range(2):
        with pytest.raises(UpgradeRequired):
            State.open(tmp_path / "v")


@pytest.mark.parametrize("version", [1, 2])
def test_an_older_state_is_brought_up_to_date(tmp_path: Path, version: int) -> None:
    """Nothing of it is lost; when an old entry was added is not known."""
    before = State.create(tmp_path / "v")
    before.put({"pin": b"x"})
    before.close()
    with sqlite3.connect(tmp_path / "v" / "device.db") as database:
        if version == 1:
            database.execute("DROP TABLE outbox")
        else:
            database.execute("ALTER TABLE outbox DROP COLUMN at")
            database.execute("INSERT INTO outbox(rows, sealed) VALUES(3, x'00')")
        database.execute(f"PRAGMA user_version = {version}")
    database.close()
    with State.open(tmp_path / "v") as state:
        assert state.get("pin") == b"x"
        assert state.waiting() == (version - 1, 3 * (version - 1), version - 1)
        assert state.since() == 0
        state.add_entries([(1, b"y")])
        assert state.waiting()[0] == version
    State.open(tmp_path / "v").close()


def test_attack_099_only_the_owner_can_read_it(tmp_path: Path) -> None:
    State.create(tmp_path / "v").close()
    assert (tmp_path / "v").stat().st_mode & 0o077 == 0
    assert (tmp_path / "v" / "device.db").stat().st_mode & 0o077 == 0
