"""Slack exports that Hypothesis makes up: every record is accounted for, whatever stands in its fields."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from slack_exports import CHANNEL, CHAT, folder, of, read, tree, zipped
from strongroom_protocol.rows.model import Flag, Kind, Op

FIELDS = (
    "type", "subtype", "user", "text", "ts", "bot_id", "username", "bot_profile", "client_msg_id", "edited",
    "thread_ts", "parent_user_id", "reactions", "file", "files", "attachments", "pinned_to", "pinned_info",
    "is_starred", "blocks", "comment", "room", "inviter", "topic", "purpose", "name", "old_name", "item_type",
    "unheard",
)  # fmt: skip
LISTED = ("id", "name", "profile", "updated", "is_bot", "team_id", "members", "topic", "purpose", "created", "is_im")
SUBTYPES = ("channel_join", "me_message", "tombstone", "bot_message", "thread_broadcast", "new_thing")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=8,
)
PEOPLE = st.sampled_from(["U1", "U2", "U3"])
STAMP = st.builds("{}.{:06d}".format, st.integers(1_700_000_000, 1_700_000_400), st.integers(0, 3))
NAME = st.text("abc-1", min_size=1, max_size=8)
REACTION = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["+1", "tada", "our-logo"]),
        "users": st.lists(PEOPLE, unique=True),
        "count": st.integers(0, 5),
    }
)
FILE = st.fixed_dictionaries(
    {"id": st.sampled_from(["F0001", "F0002"])},
    optional={
        "name": NAME,
        "mimetype": st.sampled_from(["image/png", "audio/mp4", "text/plain"]),
        "size": st.integers(0, 10**9),
        "mode": st.sampled_from(["hosted", "tombstone", "hidden_by_limit", "snippet"]), "url_private": NAME,
    },
)  # fmt: skip
CARD = st.fixed_dictionaries({}, optional={"title": NAME, "text": NAME, "from_url": NAME})
MESSAGE = st.fixed_dictionaries(
    {"type": st.just("message"), "ts": STAMP, "text": st.text(max_size=30)},
    optional={
        "user": PEOPLE, "bot_id": st.just("B1"), "username": NAME, "client_msg_id": NAME,
        "subtype": st.sampled_from(SUBTYPES),
        "thread_ts": STAMP, "edited": st.fixed_dictionaries({"user": PEOPLE, "ts": STAMP}),
        "reactions": st.lists(REACTION, max_size=2), "files": st.lists(FILE, max_size=2),
        "attachments": st.lists(CARD, max_size=2),
        "reply_count": st.integers(0, 9),
    },
)  # fmt: skip
ENTRIES = st.lists(st.dictionaries(st.sampled_from(LISTED), JSON) | JSON, max_size=4)
DAYS = st.lists(st.lists(MESSAGE, max_size=6), min_size=1, max_size=3)


def days(given_days: list[list[Any]]) -> dict[str, Any]:
    files = {f"test/2023-11-{14 + number}.json": day for number, day in enumerate(given_days)}
    return {**tree(), "test/2023-11-15.json": [], **files}


@settings(max_examples=60, deadline=None)
@given(DAYS, st.booleans())
def test_every_message_is_accounted_for(exported: list[list[dict[str, Any]]], as_zip: bool) -> None:
    with tempfile.TemporaryDirectory() as place:
        path = (zipped if as_zip else folder)(Path(place), days(exported))
        rows, report = read(path)
        again, _ = read(path)
    assert again == rows
    everything = [message for day in exported for message in day]
    assert report.records == len(everything) + 2
    kept = of(rows, Op.PUT) + of(rows, Op.EDIT) + of(rows, Op.DELETE)
    # Each record that is told apart is kept; equal ones once, or again where other files lie between them.
    assert {row.raw for row in kept} == {json.dumps(message).encode() for message in everything}
    assert len(kept) <= len(everything)
    assert {row.id for row in kept} == {message["ts"] for message in everything}
    wanted = Counter(
        (message["ts"], person, reaction["name"])
        for message in everything
        if message.get("subtype") != "tombstone"
        for reaction in message.get("reactions", [])
        for person in reaction["users"]
    )
    found = {(row.id, row.sender) for row in of(rows, Op.REACT)}
    assert found == {(ts, person) for ts, person, _ in wanted}
    for row in kept:
        seconds, micros = (row.id or "").split(".")
        times = (row.detail or {}).get(12, {})
        assert (
            row.time * 1_000_000 + times.get(6, 0) == (int(seconds) * 1_000_000 + int(micros)) * 1000
            or row.op == Op.DELETE
        )
    spoken = {row.sender for row in kept + of(rows, Op.REACT)}
    assert "U1" not in spoken or "U1" in {row.sender for row in of(rows, Op.MEMBER)}


@settings(max_examples=150, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=6) | JSON, max_size=5), STAMP, JSON)
def test_any_value_in_any_field(records: list[Any], ts: str, value: Any) -> None:
    stamped = [{**record, "ts": ts} for record in records if type(record) is dict]
    single = [{"ts": ts, "user": "U1", "text": "t", name: value} for name in FIELDS]
    everything = [*records, *stamped, *single]
    with tempfile.TemporaryDirectory() as place:
        rows, report = read(folder(Path(place), tree(*everything)))
    kept = {row.raw for row in of(rows, Op.PUT) + of(rows, Op.EDIT) + of(rows, Op.DELETE)}
    assert kept == {json.dumps(record).encode() for record in everything}
    assert report.records == len(everything) + 2
    untimed = [row for row in of(rows, Op.PUT) if row.flags & Flag.INHERITED]
    assert all(row.kind == Kind.UNSUPPORTED and row.time == 1_700_006_400_000 for row in untimed)


@settings(max_examples=150, deadline=None)
@given(ENTRIES, ENTRIES, JSON)
def test_any_value_in_any_list(users: list[Any], channels: list[Any], other: Any) -> None:
    identified = [{**entry, "id": f"C0ODD{number:04}"} for number, entry in enumerate(channels) if type(entry) is dict]
    given_tree = tree({"user": "U1", "text": "hi", "ts": "1700000000.000000"})
    given_tree |= {"users.json": users, "channels.json": [CHANNEL, *channels, *identified], "dms.json": channels}
    given_tree |= {"integration_logs.json": other, "canvases.json": users, "lists.json": other}
    with tempfile.TemporaryDirectory() as place:
        rows, _ = read(folder(Path(place), given_tree))
    assert [row.text for row in of(rows, Op.PUT)] == ["hi"]
    kept = {row.raw for _, row in rows}
    for record in (*users, *channels, *identified):
        assert json.dumps(record).encode() in kept


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 100))
def test_any_bytes_in_a_day(garbage: bytes, place_in: int) -> None:
    """Joined, the rows hold every byte of the file."""
    good = json.dumps([{"user": "U1", "text": "a", "ts": "1700000001.000000"}]).encode()
    data = good[:place_in] + garbage + good[place_in:]
    with tempfile.TemporaryDirectory() as place:
        rows, _ = read(folder(Path(place), tree(**{"test/2023-11-15.json": data})))
    raws = [row.raw or b"" for chat, row in rows if chat == CHAT and row.op in (Op.PUT, Op.EDIT, Op.DELETE)]
    assert squeezed(b"".join(raws)) == squeezed(data)


def squeezed(data: bytes) -> bytes:
    """Without what stands between records."""
    return data.removeprefix(b"\xef\xbb\xbf").translate(None, b"[], \t\r\n")
