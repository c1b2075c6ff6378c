"""Slack's files as attachments: where their bytes are in the export, or why they are not; previews as cards."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from strongroom.formats.slack.fields import Fields, filled, link, number, text

Detail = dict[int, Any]
# What tools that download files call them: __uploads/<id>/<name>, <channel>/attachments/<id>-<name>, files/<id>/<name>.
_STORED = re.compile(r"(?:[^/]+/)?(?:__uploads|__avatars|attachments|files)/([A-Z0-9]{3,64})[-_/].+")
_GONE = {
    "tombstone": ("deleted", "deleted in Slack"),
    "hidden_by_limit": ("unavailable", "hidden by the limit of the workspace's plan"),
}
_ACCESS = {
    "file_not_found": ("unavailable", "Slack did not find it"),
    "access_denied": ("unavailable", "the exporter had no access"),
}
_ELSEWHERE = ("not_downloaded", "hosted by Slack")
_ROLES = ("video", "audio")
_VOICE = "slack_audio"


def stored_files(names: Iterable[str]) -> dict[str, str]:
    """Paths in the export by file id (of avatars: by person)."""
    found = ((_STORED.fullmatch(name), name) for name in names)
    return {match[1]: name for match, name in found if match}


def is_stored(name: str) -> bool:
    """Whether a path in the export is that of a downloaded file."""
    return _STORED.fullmatch(name) is not None


def attachment(file: Fields, stored: dict[str, str]) -> Detail:
    """A file of a message. Raises Odd."""
    name, title, mime = text(file, "name"), text(file, "title"), text(file, "mimetype")
    path = stored.get(text(file, "id") or "")
    state, reason = (None, None) if path else _state(file)
    found = {
        2: number(file, "size"),
        3: mime,
        4: name or text(file, "id"),
        5: path,
        6: _role(mime or "", text(file, "subtype")),
        7: state,
        8: reason,
        9: number(file, "original_w"),
        10: number(file, "original_h"),
        11: number(file, "duration_ms"),
        12: text(file, "alt_txt"),
        13: title if title != name else None,
        18: link(file, "url_private") or link(file, "permalink"),
    }
    return filled(found)


def _state(file: Fields) -> tuple[str, str]:
    gone = _GONE.get(text(file, "mode") or "") or _ACCESS.get(text(file, "file_access") or "")
    if gone is not None:
        return gone
    outside = text(file, "external_type")
    return ("not_downloaded", f"hosted by {outside}") if outside else _ELSEWHERE


def _role(mime: str, subtype: str | None) -> str:
    if subtype == _VOICE:
        return "voice"
    if mime == "image/gif":
        return "gif"
    kind = mime.partition("/")[0]
    return "photo" if kind == "image" else kind if kind in _ROLES else "document"


def image(url: str | None, role: str, path: str | None = None) -> Detail | None:
    """A picture that is known by its address."""
    if path:
        return filled({5: path, 6: role, 18: url})
    return {6: role, 7: "not_downloaded", 18: url} if url else None


def card(part: Fields, plain: Callable[[str], str]) -> Detail:
    """One of a message's `attachments`: the preview of a link, or what a bot shows. Raises Odd."""
    body = [text(part, "pretext"), text(part, "text")]
    fields = [entry for entry in part.get("fields") or [] if type(entry) is dict]
    body += [": ".join(filter(None, (text(entry, "title"), text(entry, "value")))) for entry in fields]
    shown = "\n".join(plain(line) for line in body if line) or plain(text(part, "fallback") or "")
    title = text(part, "title")
    found = {
        1: text(part, "title_link") or text(part, "from_url") or text(part, "original_url"),
        2: plain(title) if title else None,
        3: shown or None,
        4: text(part, "service_name") or text(part, "footer"),
        5: text(part, "author_name"),
        6: image(link(part, "image_url") or link(part, "thumb_url"), "preview"),
    }
    return filled(found)


def shared(part: Fields) -> Detail | None:
    """Of an attachment that is another message: where that came from."""
    if not part.get("is_share") and not part.get("is_msg_unfurl"):
        return None
    channel = text(part, "channel_id")
    found = {
        1: text(part, "author_id"),
        2: text(part, "author_name"),
        3: f"slack:{channel}" if channel else None,
        4: text(part, "ts"),
    }
    return filled(found) or None


def block_text(blocks: list[Any]) -> str | None:
    """What blocks say, for messages that have no text of their own."""
    found: list[str] = []
    left: list[Any] = list(reversed(blocks))
    while left:
        item = left.pop()
        if type(item) is list:
            left.extend(reversed(item))
        elif type(item) is dict:
            if type(item.get("text")) is str:
                found.append(item["text"])
            left.extend(item[name] for name in ("accessory", "fields", "elements", "text") if name in item)
    return "\n".join(found) or None
