"""A part of the kills over HTTP of `make crash`, in a process of its own: what is forked must have no other threads."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

KILLS, SLICE = "8", "1/24"
FEWEST = 5
"""Kills in that part: a run may end before the place at which it was to be broken off."""


def test_a_part_of_the_kills_over_http_has_no_consequences(capsys: pytest.CaptureFixture[str]) -> None:
    harness = Path(__file__).with_name("relay_kills.py")
    run = subprocess.run(
        [sys.executable, str(harness), "--kills", KILLS, "--slice", SLICE], capture_output=True, text=True, check=False
    )
    with capsys.disabled():
        print(f"\n{run.stdout}")
    assert run.returncode == 0, run.stdout + run.stderr
    found = re.search(r"^(\d+) kills over HTTP, 0 with consequences", run.stdout, re.MULTILINE)
    assert found
    assert int(found[1]) >= FEWEST
