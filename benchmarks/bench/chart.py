"""The picture: how much of its budget each figure takes, as bars in plain SVG."""

from __future__ import annotations

from html import escape
from typing import Any

from bench.results import OURS, TIMES, amount

WIDTH, ROW, TOP, LEFT, SCALE = 960, 24, 74, 250, 300
LETTER = 7
"""Widths and heights in pixels, those of a letter about."""

FULL = 2.0
"""Budgets that a bar shows; what takes more is cut off and says so."""

COLOURS = {"met": "#2a7f62", "missed": "#c8553d", "failed": "#8a8a8a"}


def used(measure: dict[str, Any]) -> float | None:
    """The part of its budget that a figure takes: 1 is exactly the bound, less is better. None: nothing to show."""
    own = measure["ratio"] if measure["relative"] else measure["medians"].get(OURS)
    bound = measure["bound"]
    if own is None or not bound:
        return None
    if measure["more_is_better"]:
        return float(bound / own) if own else None
    return float(own / bound)


def draw(kept: dict[str, Any]) -> str:
    """An SVG document for one run; what belongs to a series is drawn elsewhere."""
    judged = [item for item in kept["measures"] if item["verdict"] != "reported" and not item.get("at")]
    height = TOP + ROW * len(judged) + 30
    one = LEFT + SCALE
    title = f"Strongroom, size {kept['size']}: how much of its budget each figure takes"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'font-family="system-ui, sans-serif" font-size="13">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="16" y="28" font-size="17" font-weight="600" fill="#1c1c1c">{escape(title)}</text>',
        f'<text x="16" y="48" fill="#555555">Left of the line: budget met. '
        f"{kept['messages']:,} messages, {kept['media_bytes'] / 1e6:,.0f} MB of media; medians.</text>",
    ]
    for place, measure in enumerate(judged):
        lines += _bar(measure, TOP + place * ROW)
    bottom = TOP + ROW * len(judged)
    lines += [
        f'<line x1="{one}" y1="{TOP - 6}" x2="{one}" y2="{bottom}" stroke="#1c1c1c" stroke-width="1.5"/>',
        f'<text x="{one}" y="{bottom + 18}" text-anchor="middle" fill="#1c1c1c">the budget</text>',
        f'<text x="{LEFT}" y="{bottom + 18}" text-anchor="middle" fill="#555555">0</text>',
        f'<text x="{LEFT + FULL * SCALE}" y="{bottom + 18}" text-anchor="middle" fill="#555555">{FULL:g} '
        f"{TIMES}</text>",
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _bar(measure: dict[str, Any], top: int) -> list[str]:
    taken = used(measure)
    middle = top + ROW - 8
    name = f'<text x="{LEFT - 10}" y="{middle}" text-anchor="end" fill="#1c1c1c">{escape(measure["what"])}</text>'
    colour = COLOURS[measure["verdict"]]
    if taken is None:
        return [name, f'<text x="{LEFT + 6}" y="{middle}" fill="{colour}" font-weight="600">FAILED</text>']
    length = max(2.0, min(taken, FULL) * SCALE)
    bar = f'<rect x="{LEFT}" y="{top + 3}" width="{length:.1f}" height="{ROW - 7}" rx="2" fill="{colour}"/>'
    return [name, bar, _label(measure, taken, LEFT + length, middle)]


def _label(measure: dict[str, Any], taken: float, end: float, middle: int) -> str:
    """The figure beside its bar: inside where there is no room, beyond the line where it would lie across it."""
    text = amount(measure["medians"][OURS], measure["unit"])
    if measure["relative"]:
        text += f", {measure['ratio']:.2g} {TIMES} {measure['best']}"
    elif taken > FULL:
        text += f", {taken:.1f} {TIMES} the budget"
    if taken > FULL:
        return f'<text x="{end - 8:.1f}" y="{middle}" text-anchor="end" fill="#ffffff">{escape(text)}</text>'
    line = LEFT + SCALE
    across = end < line < end + 12 + LETTER * len(text)
    return f'<text x="{(line if across else end) + 7:.1f}" y="{middle}" fill="#333333">{escape(text)}</text>'
