"""Clients that are broken on purpose: `broken_client.py KIND COMMAND…` is our adapter with a bad habit."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

HONEST = Path(__file__).resolve().parents[2] / "conformance" / "adapters" / "strongroom_client.py"
Said = tuple[int, dict[str, Any]]
Act = Callable[[str, list[str]], Said]


def forgetful(act: Act, verb: str, arguments: list[str]) -> Said:
    """When its relay contradicts what it knows, it forgets what it knows and begins anew."""
    code, said = act(verb, arguments)
    if code == 13 and verb == "restore":
        shutil.rmtree(os.environ["CONFORMANCE_VAULT"])
        act("login", [])
        code, said = act(verb, arguments)
    return code, said


def credulous(act: Act, verb: str, arguments: list[str]) -> Said:
    """Every answer is good."""
    code, said = act(verb, arguments)
    return 0 if code in (3, 12, 13, 14) else code, said


def insistent(act: Act, verb: str, arguments: list[str]) -> Said:
    """It tries again, and again, whatever went wrong."""
    code, said = act(verb, arguments)
    for _ in range(12):
        if code in (0, 10):
            break
        code, said = act(verb, arguments)
    return code, said


def _honest() -> Act:
    spec = importlib.util.spec_from_file_location("strongroom_client", HONEST)
    if spec is None or spec.loader is None:
        raise ImportError("the adapter is not there")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    act: Act = module.act
    return act


if __name__ == "__main__":
    habit = {"forgetful": forgetful, "credulous": credulous, "insistent": insistent}[sys.argv[1]]
    exit_code, found = habit(_honest(), sys.argv[2], sys.argv[3:])
    print(json.dumps(found))
    sys.exit(exit_code)
