"""A client that, when its relay contradicts what it knows, forgets what it knows and begins anew."""

from __future__ import annotations

import os
import shutil
import sys

from adapter import end, honest

act = honest()
code, said = act(sys.argv[1], sys.argv[2:])
if code == 13 and sys.argv[1] in ("restore", "verify"):
    shutil.rmtree(os.environ["CONFORMANCE_VAULT"])
    act("login", [])
    code, said = act(sys.argv[1], sys.argv[2:])
end(code, said)
