"""Memory that was freed and that the C library keeps for later.

What waits in an import is a hundred thousand small pieces of memory. When they go, they leave holes between what came
meanwhile, and a process that needs 60 MB holds 120. Asking the library to give whole free pages back costs
milliseconds and changes nothing else.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any


def give_back() -> None:
    """Return free pages to the system. Where the C library has no such call (it is glibc's), nothing happens."""
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> Callable[[int], Any] | None:
    try:
        found = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library, or none that can be asked
        return None
    found.argtypes, found.restype = [ctypes.c_size_t], ctypes.c_int
    return found
