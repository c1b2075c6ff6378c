"""thin"""

from typing import Any

AT = 1


def check(op: int, value: Any) -> None: ...
