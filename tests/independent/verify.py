"""An independent check of the test vectors: `python verify.py SPEC_FOLDER`.

Imports nothing of the project. Every vector is computed again from its input; the output, or the class of failure,
must be the vector's.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import freshness_checks
import kit_checks
import link_checks
import seal_checks
import signed_checks
import wire_checks
from plain import Bad, Cddl

CHECKS: dict[str, dict[str, Any]] = {
    **wire_checks.CHECKS, **signed_checks.CHECKS, **seal_checks.CHECKS, **link_checks.CHECKS, **freshness_checks.CHECKS,
    **kit_checks.CHECKS,
}  # fmt: skip


def hexed(value: Any) -> Any:
    match value:
        case bytes():
            return value.hex()
        case list() | tuple():
            return [hexed(item) for item in value]
        case dict():
            return {key: hexed(item) for key, item in value.items()}
        case _:
            return value


def disagreement(area: str, vector: dict[str, Any], cddl: Cddl) -> str:
    """What is not as the vector says; empty when all is."""
    given = vector["input"]
    try:
        output, result = hexed(CHECKS[area][given["op"]](given, cddl)), "ok"
    except Bad as error:
        output, result = {}, error.kind
    if result != vector["expect"]:
        return f"expected {vector['expect']}, found {result}"
    return "" if output == vector["output"] else "another output"


def main() -> int:
    spec = Path(sys.argv[1])
    cddl = Cddl((spec / "strongroom.cddl").read_text())
    seal_checks.DICTIONARY = (spec / "vectors/dictionary-1.zdict").read_bytes()
    total = good = 0
    for path in sorted((spec / "vectors").glob("*.json")):
        if path.name == "recorded.json":
            continue
        for vector in json.loads(path.read_text()):
            total += 1
            wrong = disagreement(path.stem, vector, cddl)
            good += not wrong
            if wrong:
                print(f"{vector['name']}: {wrong}")
    print(f"{total} vectors, {good} good")
    return 0 if total and total == good else 1


if __name__ == "__main__":
    sys.exit(main())
