"""Where things lie in a Slack export: lists at the top, a folder for each conversation, in it a file for each day."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime

from strongroom.formats.slack.files import is_stored
from strongroom.formats.slack.notes import Notes

USERS = ("users.json", "org_users.json")
LISTS = ("channels.json", "groups.json", "dms.json", "mpims.json")
LOG, CANVASES = "integration_logs.json", "canvases.json"
_DAY = re.compile(r"(\d{4})-(\d{2})-(\d{2})\.json")
_CONVERSATION = re.compile(r"[CDG][A-Z0-9]{8,63}")
_SHORT = 400  # bytes


def folders_of(names: Iterable[str], notes: Notes) -> dict[str, list[str]]:
    """The JSON files of each folder that is not one of downloaded files, in the order of their names."""
    folders: dict[str, list[str]] = defaultdict(list)
    for name in names:
        folder, _, file = name.rpartition("/")
        if is_stored(name):
            continue
        if not file.endswith(".json"):
            notes.count("files that are no JSON, left out", file.rpartition(".")[2])
        elif folder:
            folders[normal(folder)].append(name)
    return dict(folders)


def normal(name: str) -> str:
    """Names of folders as they compare: some systems decompose their accents."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def is_id(folder: str) -> bool:
    """Whether a folder is named by the id of its conversation, as those of direct messages are."""
    return _CONVERSATION.fullmatch(folder) is not None


def short(folder: str) -> str:
    """A folder's name as part of an id."""
    return folder if len(folder.encode()) <= _SHORT else hashlib.sha256(folder.encode()).hexdigest()


def day_of(file: str) -> int:
    """Midnight of a day file's day, in ms; 0 when its name is no day."""
    found = _DAY.fullmatch(file.rpartition("/")[2])
    try:
        day = datetime(int(found[1]), int(found[2]), int(found[3]), tzinfo=UTC) if found else None
    except ValueError:
        day = None
    return max(0, int(day.timestamp()) * 1000) if day else 0
