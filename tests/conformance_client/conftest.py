"""One world with our client, whose stages all tests of a worker share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom_conformance.client import Client
from strongroom_conformance.control import Control
from strongroom_conformance.world import World

ROOT = Path(__file__).resolve().parents[2]
ADAPTER = ROOT / "conformance" / "adapters" / "strongroom_client.py"
BROKEN = Path(__file__).resolve().parent / "broken_client.py"


@pytest.fixture(scope="session")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Control]:
    with Control(tmp_path_factory.mktemp("evil")) as found:
        yield found


@pytest.fixture(scope="session")
def world(control: Control, tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(Client([sys.executable, str(ADAPTER)]), control, tmp_path_factory.mktemp("world"))
