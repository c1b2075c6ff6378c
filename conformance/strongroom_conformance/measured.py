"""Runs a command and tells what it used: `python measured.py FILE COMMAND…` writes exit code, seconds, KiB to FILE.

A process of its own, because the peak memory that the system reports for a child begins with that of its parent.
"""

import json
import os
import sys
import time


def main() -> None:
    began = time.monotonic()
    child = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
    _, status, usage = os.wait4(child, 0)
    peak = usage.ru_maxrss // (1024 if sys.platform == "darwin" else 1)
    with open(sys.argv[1], "w") as file:
        json.dump([os.waitstatus_to_exitcode(status), time.monotonic() - began, peak], file)


if __name__ == "__main__":
    main()
