"""A client that tries again, and again, whatever went wrong."""

from __future__ import annotations

import sys

from adapter import end, honest

act = honest()
code, said = act(sys.argv[1], sys.argv[2:])
for _ in range(12):
    if code in (0, 10):
        break
    code, said = act(sys.argv[1], sys.argv[2:])
end(code, said)
