"""What a Slack export says beside messages: its people, its conversations, its log of apps (docs/formats.md)."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from typing import Any

from strongroom.formats.native_json import canonical
from strongroom.formats.slack.fields import (
    Fields,
    Odd,
    filled,
    identifier,
    link,
    listed,
    record,
    seconds,
    text,
    truth,
)
from strongroom.formats.slack.files import attachment, image
from strongroom_protocol.rows.model import ConversationKind, Flag, Kind, Op, Row

PLATFORM = "slack"
_PICTURES = ("image_original", "image_512", "image_192", "image_72")
_ROLES = {
    "is_primary_owner": "primary owner",
    "is_owner": "owner",
    "is_admin": "admin",
    "is_restricted": "guest",
    "is_ultra_restricted": "single-channel guest",
    "deleted": "deactivated",
}


def member(user: Fields, stored: dict[str, str]) -> Row:
    """A person of users.json; valid since their profile last changed. Raises Odd."""
    person = identifier(user, "id")
    if person is None:
        raise Odd("id")
    profile = record(user, "profile")
    names = [text(profile, "display_name"), text(profile, "real_name") or text(user, "real_name"), text(user, "name")]
    shown = next(filter(None, names), None)
    pictures = (link(profile, name) for name in _PICTURES)
    return Row(
        Op.MEMBER,
        seconds(user, "updated") or 0,
        sender=person,
        text=shown,
        detail=filled(
            {
                1: [person],
                2: text(user, "name"),
                3: [name for name in dict.fromkeys(names[1:2]) if name and name != shown],
                5: text(profile, "phone"),
                6: text(profile, "email"),
                7: image(next(filter(None, pictures), None), "avatar", stored.get(person)),
                9: True if truth(user, "is_bot") or truth(user, "is_app_user") else None,
                10: [role for flag, role in _ROLES.items() if truth(user, flag)],
                11: text(user, "color"),
            }
        ),
    )


def bot_member(profile: Fields) -> Row:
    """A bot by the profile that its messages carry. Raises Odd."""
    bot = identifier(profile, "id")
    if bot is None:
        raise Odd("id")
    icons = record(profile, "icons")
    icon = image(link(icons, "image_72") or link(icons, "image_48"), "avatar")
    detail = filled({1: [bot], 7: icon, 9: True})
    return Row(Op.MEMBER, seconds(profile, "updated") or 0, sender=bot, text=text(profile, "name"), detail=detail)


def conversation(channel: Fields, listed_in: str, parent: str, name_of: Callable[[str], str], raw: bytes) -> Row:
    """An entry of channels.json, groups.json, dms.json or mpims.json. Raises Odd.

    Titles have no dates: the row is valid since the newest date that the record does have.
    """
    topic, purpose = record(channel, "topic"), record(channel, "purpose")
    people = list(dict.fromkeys(listed(channel, "members", str)))
    kind, title = ConversationKind.CHANNEL, text(channel, "name")
    if listed_in == "dms.json" or truth(channel, "is_im"):
        kind = ConversationKind.DIRECT if len(people) > 1 else ConversationKind.SAVED
        title = ", ".join(map(name_of, people))
    elif listed_in == "mpims.json" or truth(channel, "is_mpim"):
        kind, title = ConversationKind.GROUP, ", ".join(map(name_of, people)) or title
    elif listed_in == "groups.json" or truth(channel, "is_private") or truth(channel, "is_group"):
        kind = ConversationKind.GROUP
    created = seconds(channel, "created")
    since = max(created or 0, seconds(topic, "last_set") or 0, seconds(purpose, "last_set") or 0)
    about = text(purpose, "value")
    detail = {
        0: canonical({"purpose": about}) if about else None,
        1: text(topic, "value"),
        3: text(channel, "id"),
        4: parent,
        6: created,
        7: identifier(channel, "creator"),
        8: True if truth(channel, "is_archived") else None,
        13: PLATFORM,
    }
    return Row(Op.CONVERSATION, since, kind=kind, text=title, raw=raw, detail=filled(detail))


class Records:
    """Rows of records that Slack gives no id: named by their content, so that every import names them the same."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def id(self, file: str, raw: bytes) -> str:
        """The id of a record; equal ones of one file are numbered."""
        name = f"{file}:{hashlib.sha256(raw).hexdigest()[:32]}"
        self._seen[name] += 1
        count = self._seen[name]
        return name if count == 1 else f"{name}:{count}"


def log_entry(entry: Fields, raw: bytes, id: str) -> Row:
    """An entry of integration_logs.json: who added or changed an app. Raises Odd."""
    change, service = text(entry, "change_type"), text(entry, "service_type") or text(entry, "app_type")
    actor = identifier(entry, "user_id")
    names = ("service_id", "service_type", "app_id", "app_type", "scope", "channel", "reason")
    params = {name: str(value) for name in names if (value := entry.get(name)) and type(value) in (str, int)}
    event = filled({1: f"app_{change or 'changed'}", 2: actor, 4: params})
    said = " ".join(filter(None, (change, service))) or None
    time = seconds(entry, "date") or 0
    return Row(Op.PUT, time, 0, id, actor, Kind.SYSTEM, said, raw, Flag.SECONDS, 0, {28: event})


def canvas(file: Fields, raw: bytes, stored: dict[str, str]) -> Row:
    """An entry of canvases.json: a document. Raises Odd."""
    name = text(file, "id")
    if name is None or len(name) > 64:
        raise Odd("id")
    time = seconds(file, "created") or 0
    detail: dict[int, Any] = filled({4: [found] if (found := attachment(file, stored)) else []})
    sender, title = identifier(file, "user"), text(file, "title")
    return Row(Op.PUT, time, 0, f"canvas:{name}", sender, Kind.MEDIA, title, raw, Flag.SECONDS, 0, detail or None)
