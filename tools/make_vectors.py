"""Writes spec/vectors: the same bytes every time.

What cannot be seeded (HPKE encapsulations, zstd output) is read from spec/vectors/recorded.json. `--record PREFIX`
makes the inputs whose names begin with PREFIX anew (`frame` after a new dictionary, an empty one all) and adds those
that are missing.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

from vectors.areas import AREAS
from vectors.case import Area, vector
from vectors.recorded import RECORDED, VECTORS, Recorder

DICTIONARY = Path(__file__).resolve().parents[1] / "protocol/strongroom_protocol/rows/dictionary-1.zdict"


def text_of(area: Area) -> str:
    """The file of an area: keys sorted, one vector a line so that a change shows as one line."""
    lines = [json.dumps(vector(area, case), sort_keys=True, ensure_ascii=True) for case in area.cases()]
    names = [json.loads(line)["name"] for line in lines]
    if len(set(names)) != len(names):
        raise ValueError(f"two vectors of one name in {area.name}")
    return "[\n" + ",\n".join(lines) + "\n]\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", metavar="PREFIX", help="make these recorded inputs anew")
    parser.add_argument("--only", default="", help="one area")
    chosen = parser.parse_args()
    Recorder.prefix = chosen.record
    VECTORS.mkdir(exist_ok=True)
    total = 0
    for area in AREAS:
        if chosen.only in ("", area.name):
            text = text_of(area)
            (VECTORS / f"{area.name}.json").write_text(text)
            total += text.count("\n") - 2
            print(f"{area.name}: {text.count(chr(10)) - 2}")
    if chosen.record is not None and not chosen.only:
        RECORDED.write_text(json.dumps(Recorder.made, sort_keys=True, indent=0) + "\n")
    shutil.copyfile(DICTIONARY, VECTORS / DICTIONARY.name)
    print(f"{total} vectors")
    return 0


if __name__ == "__main__":
    sys.exit(main())
