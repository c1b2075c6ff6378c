"""Giving freed memory back: it works where the C library can, and is nothing where it cannot."""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys

import pytest

from strongroom import heap

_HOLES = """
import sys
from pathlib import Path
from strongroom.heap import give_back

def resident():
    return next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if "VmRSS" in line)

pieces = [bytes(1500) for _ in range(40_000)]
kept = pieces[::500]
del pieces
before = resident()
give_back()
print(before - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has the call")
def test_memory_between_pieces_that_stay_goes_back() -> None:
    done = subprocess.run([sys.executable, "-c", _HOLES], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 20_000  # kB, of the 60,000 that were freed


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    heap._trim.cache_clear()
    try:
        heap.give_back()
        assert heap._trim() is None
    finally:
        heap._trim.cache_clear()
