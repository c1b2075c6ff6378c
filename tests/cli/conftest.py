"""A relay, and Ada, who has backed up two chats on it; made once for all tests that change neither."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.command import CHATS, Person
from relay_process import RelayProcess


@pytest.fixture(scope="session")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    with RelayProcess(tmp_path_factory.mktemp("relay") / "data", open_registration=True) as running:
        yield running


@pytest.fixture(scope="session")
def ada(relay: RelayProcess, tmp_path_factory: pytest.TempPathFactory) -> Person:
    person = Person(tmp_path_factory.mktemp("ada"))
    person.init(relay.url, "ada")
    person.run("import", person.write("chats.jsonl", CHATS), "--vault", "vault")
    return person


@pytest.fixture
def eve(tmp_path: Path) -> Person:
    """Somebody without an account."""
    return Person(tmp_path / "eve")
