"""What an import of a Slack export has to tell: few lines, however much there is to tell."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

_NAMED = 20  # different names that a line has
_DISTINCT = 1000  # names that are counted one by one
_TOLD = 50
_PLAIN = re.compile(r"[\w.-]{1,40}")


class Notes:
    """Warnings for a report. Names come from the export: only plain ones are shown."""

    def __init__(self) -> None:
        self._told: list[str] = []
        self._counts: dict[str, Counter[str]] = defaultdict(Counter)

    def tell(self, line: str) -> None:
        """A line of its own, unless there are too many."""
        if len(self._told) < _TOLD:
            self._told.append(line)
        else:
            self.count("more of the same", "files")

    def count(self, what: str, name: Any) -> None:
        """One more of `name` on the line about `what`."""
        plain = name if type(name) is str and _PLAIN.fullmatch(name) else "another"
        counts = self._counts[what]
        counts[plain if plain in counts or len(counts) < _DISTINCT else "another"] += 1

    def lines(self, left_out: Mapping[str, int]) -> list[str]:
        """All there is to tell, with the members that an archive left out."""
        lines = [*self._told, *(f"left out: {count} ({why})" for why, count in sorted(left_out.items()))]
        for what, names in sorted(self._counts.items()):
            shown = ", ".join(f"{name} ({count})" for name, count in names.most_common(_NAMED))
            lines.append(f"{what}: {shown}" + (", and more" if len(names) > _NAMED else ""))
        return lines
