"""Counts what the storage engine uploads, reads and keeps, and holds it to its bounds. No cryptography, no encoding.

``python benchmarks/engine_model.py [--sizes SML] [--json] [--sensitivity] [--seed N]`` prints one row for each history
(100 thousand, 1 million, 10 million messages; 200 and 5,000 conversations; built commit by commit, or a first backup in
bulk and 1,000 commits after it) and structure (A plain tree, B runs with the directory inside, C the chosen one), and
exits 1 if C misses a bound. ``docs/adr/0003-storage-engine.md`` says what was decided from it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from engine_costs import Params
from engine_report import Row, across_sizes, markdown, misses, sensitivity_markdown
from engine_simulation import SIZES, simulate

VARIANTS: tuple[tuple[str, Params], ...] = (
    ("chosen", Params()),
    ("fan-in 4", Params(fan_in=4)),
    ("tail 16", Params(tail=16)),
    ("tail 64", Params(tail=64)),
    ("newest frame 64", Params(newest_rows=64)),
    ("newest frame 256", Params(newest_rows=256)),
    ("older frames 1,024", Params(frame_rows=1024, final_rows=1024)),
    ("older frames 2,048", Params(frame_rows=2048, final_rows=2048)),
    ("final from 1,024", Params(final_rows=1024)),
    ("rewrite for 1 op in 16", Params(op_share=16)),
    ("rewrite for 1 op in 128", Params(op_share=128)),
    ("no erasing in merges", Params(erase=False)),
    ("segments 75 % live", Params(live_floor=0.75)),
    ("cold log up to 2 x live", Params(cold_growth=2)),
    ("hot rows 128", Params(hot_rows=128)),
    ("6 references a row", Params(max_refs=6)),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen sizes, print the table, and return 1 if the chosen structure misses a bound."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sizes", default="SML", help="letters of the histories to run (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON, not Markdown")
    parser.add_argument("--sensitivity", action="store_true", help="also vary the parameters at M, 5,000 conversations")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    sizes = [size for size in SIZES if size in options.sizes]
    rows: list[Row] = []
    for size in sizes:
        for conversations in (200, 5000):
            for bulk in (False, True):
                rows += simulate(size, conversations, bulk, Params(), options.seed)
    spread = across_sizes(rows)
    variants: list[tuple[str, Row]] = []
    if options.sensitivity:
        variants = [(name, simulate("M", 5000, False, p, options.seed)[-1]) for name, p in VARIANTS]
    missed = any(misses(row) for row in rows if row.structure == "C") or any(not ok for _, _, ok in spread)
    if options.json:
        document = {
            "rows": [row.as_json() for row in rows],
            "spread": [{"what": what, "ratio": ratio, "ok": ok} for what, ratio, ok in spread],
            "sensitivity": [{"variant": name, **row.as_json()} for name, row in variants],
            "ok": not missed,
        }
        print(json.dumps(document, indent=1))
    else:
        print(markdown(rows, spread))
        if variants:
            print(sensitivity_markdown(variants))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
