"""Files that a native file or export names, opened beneath its folder and nowhere else."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from pathlib import Path
from typing import BinaryIO

NAMED_BY_HASH = re.compile(r"files/([0-9a-f]{64})(\.[a-z0-9]{1,12})?")


def beside(folder: Path, path: str) -> BinaryIO | None:
    """Open `path` (relative, with `/`) beneath `folder`; None when nothing is there.

    Links are followed nowhere on the way, so no export can reach a file outside it. Files of our own exports carry
    their hash in their name and are compared with it. Raises OSError for what is no such path, or damaged.
    """
    parts = path.split("/")
    if not all(parts) or "\0" in path or any(part in (".", "..") for part in parts):
        raise OSError(None, "not a path inside the export")
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts[:-1]:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=opened)
            os.close(opened)
            opened = inner
        # Not blocking: a named pipe in an export must not stop the import.
        handle = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=opened)
    except FileNotFoundError:
        return None
    finally:
        os.close(opened)
    file = os.fdopen(handle, "rb")
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(None, "not a regular file")
        named = NAMED_BY_HASH.fullmatch(path)
        if named and hashlib.file_digest(file, "sha256").hexdigest() != named[1]:
            raise OSError(None, "damaged: not the file that was exported")
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file
