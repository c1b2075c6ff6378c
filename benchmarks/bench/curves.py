"""The picture of how ours scales: a small one for each measure, messages across, the figure upwards, both logarithmic.

A flat line does not depend on the history. A dashed line is the budget. It follows the reader's light or dark theme.
"""

from __future__ import annotations

import math
from html import escape
from typing import Any

from bench.results import OURS, amount

COLUMNS = 3
WIDE, HIGH, GAP, TOP = 310, 170, 16, 70
"""Of one small picture, between two, and above the first; pixels."""

LEFT, RIGHT, ABOVE, BELOW = 34, 34, 44, 26
"""Between a small picture's edge and its axes."""

STYLE = """
text { fill: #1c1c1c } .dim { fill: #5c5c5c } .ground { fill: #ffffff } .panel { fill: #f5f5f3 }
.axis { stroke: #c9c9c4 } .limit { stroke: #5c5c5c } .line { stroke: #2a7f62; fill: none } .met { fill: #2a7f62 }
.missed { fill: #c8553d }
@media (prefers-color-scheme: dark) {
text { fill: #ececec } .dim { fill: #a5a5a5 } .ground { fill: #15171a } .panel { fill: #1f2226 }
.axis { stroke: #44484d } .limit { stroke: #a5a5a5 } .line { stroke: #5cc79d } .met { fill: #5cc79d }
.missed { fill: #f08a70 } }
"""

Series = list[dict[str, Any]]
"""Measures of one name, one for each size."""


def series_of(kept: dict[str, Any]) -> list[Series]:
    """The measures of a run that belong to a series, together, in order."""
    found: dict[str, Series] = {}
    for item in kept["measures"]:
        if item.get("at"):
            found.setdefault(item["what"], []).append(item)
    return list(found.values())


def count_of(at: str) -> float:
    """Messages: 100k, 1M."""
    return float(at[:-1]) * {"k": 1e3, "M": 1e6}[at[-1]]


def draw(kept: dict[str, Any]) -> str:
    """An SVG document with a picture for every series that has two points."""
    drawn = [points for points in map(_points, series_of(kept)) if len(points) > 1]
    rows = math.ceil(len(drawn) / COLUMNS)
    width = GAP + COLUMNS * (WIDE + GAP)
    height = TOP + rows * (HIGH + GAP)
    title = f"Strongroom, size {kept['size']}: what grows with the history, and what does not"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="system-ui, sans-serif" font-size="12">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="ground" width="{width}" height="{height}"/>',
        f'<text x="{GAP}" y="28" font-size="17" font-weight="600">{escape(title)}</text>',
        f'<text class="dim" x="{GAP}" y="48">Messages across, the figure upwards, both logarithmic. '
        f"Dashed: the budget. {kept['conversations']:,} conversations.</text>",
    ]
    for place, points in enumerate(drawn):
        across, down = GAP + place % COLUMNS * (WIDE + GAP), TOP + place // COLUMNS * (HIGH + GAP)
        lines += [f'<g transform="translate({across} {down})">', *_panel(points), "</g>"]
    return "\n".join([*lines, "</svg>"]) + "\n"


def _points(series: Series) -> Series:
    """Those that have a figure with a logarithm."""
    return [item for item in series if (item["medians"].get(OURS) or 0) > 0]


def _panel(series: Series) -> list[str]:
    first = series[0]
    bound = None if first["verdict"] == "reported" else first["bound"]
    values = [float(item["medians"][OURS]) for item in series]
    low, high = _decades(values + ([float(bound)] if bound else []))
    near, far = math.log10(count_of(series[0]["at"])), math.log10(count_of(series[-1]["at"]))

    def across(at: str) -> float:
        return LEFT + (math.log10(count_of(at)) - near) / (far - near) * (WIDE - LEFT - RIGHT)

    def up(value: float) -> float:
        return HIGH - BELOW - (math.log10(value) - low) / (high - low) * (HIGH - ABOVE - BELOW)

    places = [(across(item["at"]), up(value)) for item, value in zip(series, values, strict=True)]
    lines = [
        f'<rect class="panel" width="{WIDE}" height="{HIGH}" rx="6"/>',
        f'<text x="12" y="21" font-weight="600">{escape(first["what"])}</text>',
    ]
    if bound:
        lines.append(
            f'<line class="limit" stroke-dasharray="5 4" x1="{LEFT}" x2="{WIDE - RIGHT}" y1="{up(bound):.1f}" '
            f'y2="{up(bound):.1f}"/>'
        )
    lines.append(f'<line class="axis" x1="{LEFT}" x2="{WIDE - RIGHT}" y1="{HIGH - BELOW}" y2="{HIGH - BELOW}"/>')
    joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    lines.append(f'<polyline class="line" stroke-width="2" points="{joined}"/>')
    for item, value, (x, y) in zip(series, values, places, strict=True):
        colour = "missed" if item["verdict"] in ("missed", "failed") else "met"
        label = escape(amount(value, _short(item["unit"])))
        lines += [
            f'<circle class="{colour}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>',
            f'<text x="{x:.1f}" y="{y - 8:.1f}" text-anchor="middle">{label}</text>',
            f'<text class="dim" x="{x:.1f}" y="{HIGH - 9}" text-anchor="middle">{item["at"]}</text>',
        ]
    return lines


def _short(unit: str) -> str:
    """Units as they fit beside a point."""
    return {"bytes": "B", "bytes a message": "B", "messages/s": "/s", "requests": "", "times": ""}.get(unit, unit)


def _decades(values: list[float]) -> tuple[float, float]:
    """Exponents of the axis: at least two decades, so that what hardly changes looks like it, with room above."""
    low, high = math.log10(min(values)) - 0.15, math.log10(max(values)) + 0.15
    room = max(0.0, 2 - (high - low)) / 2
    return low - room, high + room
