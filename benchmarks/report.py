"""Write docs/benchmarks.md and its pictures from the JSON files of the runs.

python benchmarks/report.py [--runs docs/benchmarks] [--out docs/benchmarks.md]
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "benchmarks")]

from bench import chart, curves  # noqa: E402
from bench.results import OURS, TIMES, amount  # noqa: E402

ORDER = ("S", "M", "L", "tiny")
VERDICTS = {"reported": "", "met": "met", "missed": "**missed**", "failed": "**FAILED**"}
"""The worst last."""

HEAD = """# Benchmarks

Strongroom beside other ways to keep a chat history encrypted, on the same data in the same run, with a budget for every
figure. A figure that misses its budget stands here like any other, with its reason. This page is written by
`benchmarks/report.py`; the samples behind it are in [benchmarks/](benchmarks/).

| size | messages | chats | media |
|---|---|---|---|
"""


def report(runs: list[dict[str, Any]], reasons: dict[str, Any]) -> str:
    """The whole page."""
    lines = [HEAD.rstrip("\n")]
    lines += [
        f"| {run['size']} | {run['messages']:,} | {run['conversations']:,} | {_media(run)} |" for run in runs
    ]  # fmt: skip
    for run in runs:
        lines += _section(run, reasons)
    lines += _etebase(runs)
    method = (ROOT / "benchmarks/method.md").read_text(encoding="utf-8")
    return "\n".join(lines) + "\n" + method


def _media(run: dict[str, Any]) -> str:
    return f"{run['media_bytes'] / 1e6:,.0f} MB in {run['media_files']:,} files" if run["media_bytes"] else "none"


def _section(run: dict[str, Any], reasons: dict[str, Any]) -> list[str]:
    size, measures = run["size"], run["measures"]
    counts = [sum(item["verdict"] == verdict for item in measures) for verdict in ("met", "missed", "failed")]
    lines = [f"\n## {size}: {counts[0]} met, {counts[1]} missed, {counts[2]} failed\n"]
    alone = [item for item in measures if not item.get("at")]
    if alone:
        lines += _table(size, alone)
    if found := curves.series_of(run):
        lines += _scaling(size, found)
    lines += _misses(size, measures, reasons)
    if any(item["best"] for item in alone):
        lines += _everyone(alone)
    return lines + _machine(run)


def _table(size: str, measures: list[dict[str, Any]]) -> list[str]:
    peers = any(item["best"] for item in measures)
    lines = [
        f"![How much of its budget each figure takes, size {size}](benchmarks/{size}.svg)\n",
        "| what | Strongroom | best peer | ratio | budget | |" if peers else "| what | Strongroom | budget | |",
        "|---|---|---|---|---|---|" if peers else "|---|---|---|---|",
    ]
    for item in measures:
        own = [_value(item, OURS), *([_best(item), _ratio(item)] if peers else [])]
        lines.append(f"| {' | '.join([_what(item), *own, item['budget'], VERDICTS[item['verdict']]])} |")
    return lines


def _scaling(size: str, found: list[curves.Series]) -> list[str]:
    """A row for each series, a column for each number of messages."""
    points = sorted({item["at"] for series in found for item in series}, key=curves.count_of)
    lines = [
        f"\n![What grows with the history, and what does not, size {size}](benchmarks/{size}-curves.svg)\n",
        f"| what | {' | '.join(points)} | budget | |",
        "|---" * (len(points) + 3) + "|",
    ]
    for series in found:
        values = {item["at"]: _value(item, OURS) for item in series}
        worst = max((item["verdict"] for item in series), key=list(VERDICTS).index)
        cells = [values.get(at, "") for at in points]
        lines.append(f"| {' | '.join([_what(series[0]), *cells, series[0]['budget'], VERDICTS[worst]])} |")
    return lines


def _etebase(runs: list[dict[str, Any]]) -> list[str]:
    """The nearest service of this kind, which is not in these runs, beside the rows that say the same of ours."""
    given = tomllib.loads((ROOT / "benchmarks/etebase.toml").read_text(encoding="utf-8"))
    lines = [f"\n## {given['title']}\n", given["about"].strip(), "", "| what | Strongroom | Etebase |", "|---|---|---|"]
    for row in given["row"]:
        item = next(
            (item for run in runs if run["size"] == row.get("size") for item in run["measures"]
             if item["key"] == row.get("key")), None,
        )  # fmt: skip
        ours = "" if item is None or OURS not in item["medians"] else f"{_value(item, OURS)} ({row['size']})"
        lines.append(f"| {row['what']} | {ours} | {row['etebase']} |")
    return [*lines, ""]


def _what(item: dict[str, Any]) -> str:
    return f"{item['what']} ({item['about']})" if item["about"] else str(item["what"])


def _value(item: dict[str, Any], subject: str) -> str:
    value = item["medians"].get(subject)
    return "-" if value is None else amount(value, item["unit"])


def _best(item: dict[str, Any]) -> str:
    return f"{_value(item, item['best'])} ({item['best']})" if item["best"] else ""


def _ratio(item: dict[str, Any]) -> str:
    return "" if item["ratio"] is None else f"{item['ratio']:.2g} {TIMES}"


def _misses(size: str, measures: list[dict[str, Any]], reasons: dict[str, Any]) -> list[str]:
    bad = [item for item in measures if item["verdict"] in ("missed", "failed")]
    if not bad:
        return []
    lines = [f"\nMissed or failed at {size}:\n"]
    for item in bad:
        at = item.get("at", "")
        name = f"{item['what']}, {at}" if at else item["what"]
        given = reasons.get(item["key"]) or reasons.get(item["key"].removesuffix(f"_{at}"), {})
        why = given.get(size) or given.get("why") or "No reason is written down yet."
        failures = [f"{subject}: {reason}" for subject, reason in item["failures"].items()]
        note = f" ({item['note']})" if item["note"] else ""
        if item["verdict"] == "failed":
            lines.append(f"- **{name}**: failed. {'; '.join(failures) or 'Nothing was measured.'}")
        else:
            lines.append(f"- **{name}**: {_value(item, OURS)}{note}, budget {item['budget']}. {why}")
    return lines


def _everyone(measures: list[dict[str, Any]]) -> list[str]:
    """All subjects side by side, where there are others."""
    rows = [item for item in measures if len(item["medians"]) > 1]
    names = list(dict.fromkeys(name for item in rows for name in item["medians"] if name != OURS))
    lines = ["\nEverybody's medians:\n", f"| what | Strongroom | {' | '.join(names)} |"]
    lines.append("|---" * (len(names) + 2) + "|")
    for item in rows:
        medians = item["medians"]
        cells = [amount(medians[name], "").strip() if name in medians else "" for name in (OURS, *names)]
        lines.append(f"| {item['what']}, {item['unit']} | {' | '.join(cells)} |")
    return lines


def _machine(run: dict[str, Any]) -> list[str]:
    found = run["machine"]
    peers = ", ".join(found["peers"].values())
    libraries = ", ".join(f"{name} {version}" for name, version in found["libraries"].items())
    load = found["load"][1]
    parts = [
        f"Measured {run['when']}", f"rounds: {run['rounds']}", f"in {run['seconds']:,} s",
        f"at commit {found['commit']}: {found['cpu']}",
        f"{found['cores']} cores", f"{found['memory_gib']} GiB", found["distribution"], found["kernel"],
        found["filesystem"], f"load {load} at the end; Python {found['python']}", f"SQLite {found['sqlite']}",
    ]  # fmt: skip
    return [f"\n{', '.join([*parts, libraries])}{'; ' if peers else ''}{peers}."]


def main() -> None:
    """The page and one picture for each run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=ROOT / "docs/benchmarks")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/benchmarks.md")
    given = parser.parse_args()
    files = [given.runs / f"{size}.json" for size in ORDER]
    runs = [json.loads(path.read_text(encoding="utf-8")) for path in files if path.exists()]
    reasons = tomllib.loads((ROOT / "benchmarks/reasons.toml").read_text(encoding="utf-8"))
    given.out.write_text(report(runs, reasons), encoding="utf-8")
    for run in runs:
        for suffix, draw, there in (
            (".svg", chart.draw, any(not item.get("at") for item in run["measures"])),
            ("-curves.svg", curves.draw, bool(curves.series_of(run))),
        ):
            picture = given.runs / f"{run['size']}{suffix}"
            if there:
                picture.write_text(draw(run), encoding="utf-8")
            else:
                picture.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
