"""What a run ran on: the machine and the versions of everything that was measured."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.peers import PEERS
from bench.process import ROOT

LIBRARIES = ("strongroom", "aiohttp", "argon2-cffi", "backports.zstd", "cbor2", "cryptography", "PyNaCl")


def machine(work: Path) -> dict[str, Any]:
    """Names and numbers; unknown ones are empty."""
    return {
        "cpu": _line("/proc/cpuinfo", "model name"),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "kernel": f"{platform.system()} {platform.release()}",
        "distribution": _line("/etc/os-release", "PRETTY_NAME").strip('"'),
        "filesystem": _filesystem(work),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "load": [round(value, 2) for value in os.getloadavg()],
        "commit": _git("describe", "--always", "--dirty", "--abbrev=10"),
        "libraries": {name: version(name) for name in LIBRARIES},
        "peers": {peer.name: peer.version() for peer in PEERS if not peer.missing()},
    }


def _line(path: str, name: str) -> str:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition("=" if "=" in line else ":")[2].strip() for line in lines if line.startswith(name)), "")


def _filesystem(folder: Path) -> str:
    done = subprocess.run(["stat", "-f", "-c", "%T", folder], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _git(*words: str) -> str:
    done = subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True, check=False)
    return done.stdout.strip()
