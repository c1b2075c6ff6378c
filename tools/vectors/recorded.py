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
    """`writing`: make everything anew instead of reading it."""

    writing: ClassVar[bool] = False
    made: ClassVar[dict[str, str]] = {}


def recorded(name: str, make: Callable[[], bytes]) -> bytes:
    """The recorded bytes of this name."""
    if Recorder.writing:
        if name not in Recorder.made:
            Recorder.made[name] = make().hex()
        return bytes.fromhex(Recorder.made[name])
    return bytes.fromhex(_stored()[name])


@cache
def _stored() -> dict[str, str]:
    found: dict[str, str] = json.loads(RECORDED.read_text())
    return found
