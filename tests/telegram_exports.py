"""Exports as Telegram Desktop writes them, made from the facts of the format: a result.json, and what it says."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

START = 1_700_000_000


def written(value: Any) -> str:
    """JSON as Telegram Desktop writes it: indented by one, control characters as `\\xNN`, which is no JSON."""
    text = json.dumps(value, ensure_ascii=False, indent=1)
    return re.sub(r"\\u00([01][0-9a-f])", r"\\x\1", text)


def said(number: int, text: Any = "", **more: Any) -> dict[str, Any]:
    """A message's record."""
    return {
        "id": number, "type": "message", "date": "2023-11-14T22:13:20", "date_unixtime": str(START + number * 60),
        "from": "Anna Ω", "from_id": "user1", "text": text, **more,
    }  # fmt: skip


def served(number: int, action: str, **more: Any) -> dict[str, Any]:
    """A service message's record."""
    return {
        "id": number, "type": "service", "date": "2023-11-14T22:13:20", "date_unixtime": str(START + number * 60),
        "actor": "Ben", "actor_id": "user2", "action": action, "text": "", **more,
    }  # fmt: skip


def chat(messages: list[Any], *, name: str = "Family", kind: str = "private_group", ident: int = 42) -> dict[str, Any]:
    """An export of one chat."""
    return {"name": name, "type": kind, "id": ident, "messages": messages}


def everything(chats: list[Any], left: list[Any]) -> dict[str, Any]:
    """A full export."""
    return {
        "about": "Here is the data you requested.",
        "personal_information": {"user_id": 1, "first_name": "Anna", "phone_number": "+49"},
        "contacts": {"about": "…", "list": [{"user_id": 2, "first_name": "Ben"}]},
        "chats": {"about": "This page lists all chats from this export.", "list": chats},
        "left_chats": {"about": "…", "list": left},
    }


@dataclass(slots=True)
class Piece:
    """A piece of a text: plain, or set off as Telegram does."""

    text: str
    kind: str = "plain"
    more: dict[str, str] = field(default_factory=dict)

    def written(self) -> Any:
        return self.text if self.kind == "plain" else {"type": self.kind, "text": self.text, **self.more}
