"""Write `slack-export.zip`, a small Slack export of an invented workspace: every kind of record once or more.

    python samples/slack-small/make.py [FOLDER]

Nothing is compressed and every date is fixed, so that the same bytes come out everywhere.
"""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

NAME = "slack-export.zip"
TEAM = "T0ROOM001"
ANN, BOB, EVE, BOT = "U0ANN0001", "U0BOB0001", "U0EVE0001", "U0BOT0001"
GENERAL, PLANS, DIRECT, GROUP = "C0GENERAL1", "G0PLANS001", "D0ANNBOB01", "G0MPIM0001"
PIXEL = bytes.fromhex(
    "47494638396101000100800000ffffff00000021f90401000000002c00000000010001000002024401003b"
)  # a GIF of one point
DAY = 1_700_006_400  # 2023-11-15


def user(id: str, name: str, shown: str, **more: Any) -> dict[str, Any]:
    profile = {"real_name": f"{shown} Example", "display_name": shown, "email": f"{name}@example.org", "phone": ""}
    return {
        "id": id, "team_id": TEAM, "name": name, "deleted": False, "color": "9f69e7", "real_name": f"{shown} Example",
        "tz": "Europe/Paris", "profile": profile, "is_bot": False, "updated": DAY - 86_400, **more,
    }  # fmt: skip


def channel(id: str, name: str, members: list[str], **more: Any) -> dict[str, Any]:
    empty = {"value": "", "creator": "", "last_set": 0}
    return {
        "id": id, "name": name, "created": DAY - 90_000, "creator": ANN, "is_archived": False, "is_general": False,
        "members": members, "topic": empty, "purpose": empty, **more,
    }  # fmt: skip


def message(second: int, user: str | None, text: str, **more: Any) -> dict[str, Any]:
    said = {"type": "message", "text": text, "ts": f"{DAY + second}.{second:06d}"}
    return {**({"user": user} if user else {}), **said, **more}


def file(id: str, name: str, mime: str, **more: Any) -> dict[str, Any]:
    return {
        "id": id, "created": DAY, "timestamp": DAY, "name": name, "title": name, "mimetype": mime, "user": ANN,
        "size": 42, "mode": "hosted", "is_external": False, "external_type": "",
        "url_private": f"https://files.slack.com/files-pri/{TEAM}-{id}/{name}?t=xoxe-1-2-3-abc", **more,
    }  # fmt: skip


USERS = [
    user(ANN, "ann", "Ann", is_admin=True, is_owner=True),
    user(BOB, "bob", "Bob"),
    user(EVE, "eve", "Ève", deleted=True),
    user(BOT, "builder", "Builder", is_bot=True),
]
ROOT = f"{DAY + 100}.000100"
GENERAL_1 = [
    message(1, ANN, f"<@{ANN}> has joined the channel", subtype="channel_join"),
    message(2, BOB, f"<@{BOB}> has joined the channel", subtype="channel_join", inviter=ANN),
    message(3, ANN, f"<@{ANN}> set the channel topic: News &amp; notes", subtype="channel_topic", topic="News & notes"),
    message(
        10, ANN, f"*Hello* <@{BOB}>, see <https://example.org/?a=1&amp;b=2|the page> :tada: &lt;now&gt;",
        client_msg_id="6b0f6b6e-0000-4000-8000-000000000001",
        reactions=[
            {"name": "thumbsup", "users": [BOB, EVE], "count": 2}, {"name": "room-logo", "users": [ANN], "count": 3},
        ],
    ),
    message(20, BOB, "waves", subtype="me_message"),
    message(30, BOB, "fixed", edited={"user": BOB, "ts": f"{DAY + 60}.000000"}),
    message(
        40, None, "", subtype="bot_message", bot_id="B0BUILD001", username="build",
        attachments=[{"title": "Build 7", "title_link": "https://example.org/7", "text": "passed in <https://x.example|CI>"}],
    ),
    message(
        50, ANN, "look", upload=True, files=[
            file("F0PIXEL001", "pixel.gif", "image/gif", original_w=1, original_h=1),
            file("F0REMOTE01", "report.pdf", "application/pdf"),
            {"id": "F0GONE0001", "mode": "tombstone"},
            {"id": "F0HIDDEN01", "mode": "hidden_by_limit"},
        ],
    ),
    message(100, ANN, "lunch?", thread_ts=ROOT, reply_count=2, replies=[]),
    message(110, BOB, "yes", thread_ts=ROOT, parent_user_id=ANN),
    message(120, EVE, "me too", thread_ts=ROOT, parent_user_id=ANN, subtype="thread_broadcast", root={}),
]  # fmt: skip
GENERAL_2 = [
    message(86_400, "USLACKBOT", "This message was deleted.", subtype="tombstone", hidden=True),
    message(86_410, ANN, "keep this", pinned_to=[GENERAL],
            pinned_info={"channel": GENERAL, "pinned_by": BOB, "pinned_ts": DAY + 86_420}),
    message(86_430, ANN, "A huddle started", subtype="huddle_thread", room={
        "id": "R1", "date_start": DAY + 86_430, "date_end": DAY + 86_490, "participant_history": [ANN, BOB],
    }),
    message(86_440, ANN, "from the future", subtype="hologram", hologram={"depth": 3}),
    {"type": "message", "user": BOB, "text": "no time"},
]  # fmt: skip
TREE: dict[str, Any] = {
    "users.json": USERS,
    "channels.json": [
        channel(GENERAL, "général", [ANN, BOB], topic={"value": "News & notes", "creator": ANN, "last_set": DAY + 3}),
    ],
    "groups.json": [channel(PLANS, "plans", [ANN, BOB], is_archived=True)],
    "dms.json": [{"id": DIRECT, "created": DAY, "members": [ANN, BOB]}],
    "mpims.json": [channel(GROUP, "mpdm-ann--bob--eve-1", [ANN, BOB, EVE])],
    "integration_logs.json": [
        {"user_id": ANN, "user_name": "ann", "date": str(DAY), "change_type": "added", "service_type": "Builder"},
    ],
    "canvases.json": [file("F0CANVAS01", "Rules", "application/vnd.slack-docs", created=DAY, mode="quip")],
    "général/2023-11-15.json": GENERAL_1,
    "général/2023-11-16.json": GENERAL_2,
    "plans/2023-11-15.json": [message(5, BOB, "shh")],
    f"{DIRECT}/2023-11-15.json": [message(6, BOB, "hi Ann")],
    "mpdm-ann--bob--eve-1/2023-11-15.json": [message(7, EVE, "hi both")],
    "__uploads/F0PIXEL001/pixel.gif": PIXEL,
}


def write(path: Path, tree: dict[str, Any] | None = None) -> Path:
    """Write a tree of lists and bytes as a zip. Names are UTF-8 without saying so, as Slack writes them."""
    stand_ins: dict[bytes, bytes] = {}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (TREE if tree is None else tree).items():
            encoded = name.encode()
            stand_in = "".join(chr(byte) if byte < 128 else "~" for byte in encoded)
            stand_ins[stand_in.encode()] = encoded
            data = content if isinstance(content, bytes) else json.dumps(content, indent=4).encode()
            archive.writestr(zipfile.ZipInfo(stand_in, (2023, 11, 17, 0, 0, 0)), data)
    data = path.read_bytes()
    for stand_in_name, encoded in stand_ins.items():
        data = data.replace(stand_in_name, encoded)
    path.write_bytes(data)
    return path


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent
    print(write(folder / NAME))
