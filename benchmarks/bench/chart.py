"""The picture: how much of its budget each figure takes, as bars in plain SVG."""

from __future__ import annotations

from html import escape
from typing import Any

WIDTH, ROW, TOP, LEFT, SCALE = 960, 24, 74, 250, 300
FULL = 2.0
"""Budgets that a bar shows; what takes more is cut off and says so."""

COLOURS = {"met": "#2a7f62", "missed": "#c8553d", "failed": "#8a8a8a"}


def used(measure: dict[str, Any]) -> float | None:
    """The part of its budget that a figure takes: 1 is exactly the bound, less is better. None: nothing to show."""
    own = measure["ratio"] if measure["relative"] else measure["medians"].get("strongroom")
    bound = measure["bound"]
    if own is None or not bound:
        return None
    if measure["more_is_better"]:
        return float(bound / own) if own else None
    return float(own / bound)


def draw(kept: dict[str, Any]) -> str:
    """An SVG document for one run."""
    judged = [measure for measure in kept["measures"] if measure["verdict"] != "reported"]
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
        f'<text x="{LEFT + FULL * SCALE}" y="{bottom + 18}" text-anchor="middle" fill="#555555">{FULL:g} ×</text>',
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
    inside = taken > FULL
    bar = f'<rect x="{LEFT}" y="{top + 3}" width="{length:.1f}" height="{ROW - 7}" rx="2" fill="{colour}"/>'
    text = escape(_label(measure, taken))
    if inside or (taken < 1 < taken + 0.0075 * len(text) * 3):
        return [name, bar, *_beside(text, taken, length, middle, inside)]
    return [name, bar, f'<text x="{LEFT + length + 7:.1f}" y="{middle}" fill="#333333">{text}</text>']


def _beside(text: str, taken: float, length: float, middle: int, inside: bool) -> list[str]:
    """A label that would be cut off, or would lie across the line of the budget, goes elsewhere."""
    if inside:
        return [f'<text x="{LEFT + length - 8:.1f}" y="{middle}" text-anchor="end" fill="#ffffff">{text}</text>']
    return [f'<text x="{LEFT + SCALE + 8}" y="{middle}" fill="#333333">{text}</text>']


def _label(measure: dict[str, Any], taken: float) -> str:
    own = f"{measure['medians']['strongroom']:,g} {measure['unit']}".replace(" /s", "/s")
    if measure["relative"]:
        own += f", {measure['ratio']:.2g} × {measure['best']}"
    return f"{own} ({taken:.1f} × the budget)" if taken > FULL else own
