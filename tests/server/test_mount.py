"""Vault folders on file systems that do not do what a vault needs (attack 94)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from strongroom.transport.inprocess import open_folder
from strongroom_protocol.errors import InvalidArgument, RelayUnreachable
from strongroom_relay.store import mount
from strongroom_relay.store.probe import Finding, probe


@pytest.fixture
def tries(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Folders that were tried."""
    found: list[Path] = []

    def counted(folder: Path) -> list[Finding]:
        found.append(folder)
        return probe(folder)

    monkeypatch.setattr(mount, "probe", counted)
    return found


def shifted(stat: Callable[..., os.stat_result]) -> Callable[..., os.stat_result]:
    """`os.stat` as it would be with everything mounted elsewhere."""

    def elsewhere(path: object, **options: bool) -> os.stat_result:
        found = stat(path, **options)
        return os.stat_result([*found[:2], found.st_dev + 1, *found[3:]])

    return elsewhere


def unfit(folder: Path) -> list[Finding]:
    return [Finding("exclusive locks", "a second process got a lock that this one holds"), Finding("free space")]


async def test_a_folder_is_tried_once_and_again_where_it_is_mounted_anew(
    tmp_path: Path, tries: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "vault"
    for _ in range(3):
        await (await open_folder(folder, create=True)).close()
        assert tries == [folder]
    monkeypatch.setattr("os.stat", shifted(os.stat))
    for _ in range(2):
        await (await open_folder(folder)).close()
        assert tries == [folder, folder]


async def test_attack_094_no_vault_is_made_where_locks_do_not_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mount, "probe", unfit)
    with pytest.raises(InvalidArgument, match="exclusive locks: a second process got a lock") as refused:
        await open_folder(tmp_path / "vault", create=True)
    assert "local disk" in refused.value.hint
    assert os.listdir(tmp_path) == []


async def test_attack_094_a_vault_that_was_carried_to_such_a_place_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await (await open_folder(tmp_path, create=True)).close()
    monkeypatch.setattr(mount, "probe", unfit)
    await (await open_folder(tmp_path)).close()
    monkeypatch.setattr("os.stat", shifted(os.stat))
    with pytest.raises(InvalidArgument, match="not fit for a vault"):
        await open_folder(tmp_path)
    monkeypatch.undo()
    await (await open_folder(tmp_path)).close()  # the lock was given back, nothing is broken


async def test_what_is_no_vault_is_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "relay.db").write_bytes(b"no database" * 1000)
    for _ in range(2):
        with pytest.raises(RelayUnreachable, match="cannot be opened"):
            await open_folder(tmp_path)
