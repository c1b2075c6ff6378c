"""A client for which every answer is good."""

from __future__ import annotations

import sys

from adapter import end, honest

code, said = honest()(sys.argv[1], sys.argv[2:])
end(0 if code in (3, 12, 13, 14) else code, said)
