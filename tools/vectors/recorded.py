"""Inputs that no seed can reproduce: made once, kept in spec/vectors/recorded.json, and checked to open."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import ClassVar

VECTORS = Path(__file__).resolve().parents[2] / "spec/vectors"
RECORDED = VECTORS / "recorded.json"


class Recorder:
    """`prefix`: make the inputs whose names begin so anew, and those that are missing; None: only read."""

    prefix: ClassVar[str | None] = None
    made: ClassVar[dict[str, str]] = {}


def recorded(name: str, make: Callable[[], bytes]) -> bytes:
    """The recorded bytes of this name."""
    if Recorder.prefix is None:
        return bytes.fromhex(stored()[name])
    if name not in Recorder.made:
        keep = None if name.startswith(Recorder.prefix) else stored().get(name)
        Recorder.made[name] = keep or make().hex()
    return bytes.fromhex(Recorder.made[name])


@cache
def stored() -> dict[str, str]:
    """What the file holds; nothing when there is none."""
    found: dict[str, str] = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    return found
