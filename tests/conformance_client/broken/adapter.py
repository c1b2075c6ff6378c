"""The honest adapter, for the broken clients beside this file to break."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

HONEST = Path(__file__).resolve().parents[3] / "conformance" / "adapters" / "strongroom_client.py"

Act = Callable[[str, list[str]], tuple[int, dict[str, Any]]]


def honest() -> Act:
    """What the real adapter does with a command."""
    spec = importlib.util.spec_from_file_location("strongroom_client", HONEST)
    if spec is None or spec.loader is None:
        raise ImportError("the adapter is not there")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    act: Act = module.act
    return act


def end(code: int, said: dict[str, Any]) -> None:
    print(json.dumps(said))
    sys.exit(code)
