"""A part of the kills of `make crash`, in a process of its own: what is forked must have no other threads."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

SLICE = "1/16"


def test_attack_094_a_part_of_the_kills_has_no_consequences(capsys: pytest.CaptureFixture[str]) -> None:
    harness = Path(__file__).with_name("harness.py")
    run = subprocess.run(
        [sys.executable, str(harness), "--kills", "330", "--slice", SLICE], capture_output=True, text=True, check=False
    )
    with capsys.disabled():
        print(f"\n{run.stdout}")
    assert run.returncode == 0, run.stdout + run.stderr
    found = re.search(r"^(\d+) kills, 0 with consequences", run.stdout, re.MULTILINE)
    assert found
    assert int(found[1]) >= 15
