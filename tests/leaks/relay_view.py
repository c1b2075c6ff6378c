"""Everything a relay sees, from a scripted session over a recorded connection: `python tests/leaks/relay_view.py`.

Writes `relay_view.md` beside itself; `test_relay_view.py` makes it again and compares. Values are put as their kind
(`<hash>`, `<time>`, `<bytes>`), so that a change in the page is a change in what is revealed, not another key or clock.
"""

from __future__ import annotations

import json
import random
import re
import sqlite3
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT / "tests")]

from cli.command import Person  # noqa: E402
from leaks.recorder import Connection, RecordedRelay  # noqa: E402
from strongroom_protocol.errors import UntrustedDataError  # noqa: E402
from strongroom_protocol.limits import LIMITS  # noqa: E402
from strongroom_protocol.wire import cbor  # noqa: E402

TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
PAGE = Path(__file__).with_name("relay_view.md")
ACCOUNT = "ada"
RULES = {
    "GET /v1/relay": (None, "relay-info"),
    "POST /v1/accounts": ("register-request", "commit-response"),
    "POST /v1/login": ("login-request", "login-response"),
    "POST /v1/unlock": ("unlock-request", "unlock-response"),
    "POST /v1/accounts/<account>/unlock": ("unlock-request", "unlock-response"),
    "POST /v1/accounts/<account>/block": (None, None),
    "GET /v1/accounts/<account>/keyring": (None, "keyring-response"),
    "GET /v1/accounts/<account>/head": (None, "head-response"),
    "GET /v1/accounts/<account>/usage": (None, "usage-response"),
    "POST /v1/accounts/<account>/commit": ("commit-request", "commit-response"),
    "POST /v1/accounts/<account>/objects/missing": ("missing-request", "missing-response"),
    "POST /v1/accounts/<account>/objects/read": ("read-request", "read-response"),
    "PUT /v1/accounts/<account>/objects/<object>": (None, None),
}
COLUMNS = {
    "settings": ("the relay's own keys, and hashes of registration tokens", {}),
    "accounts": (
        "one row an account",
        {"id": "hash of the public root of the account", "name": "the account's name, as chosen at init",
         "slots": "the slot set: salt, Argon2id parameters, public keys, and the root secret sealed to them",
         "cap": "byte cap", "used": "bytes kept", "peaks": "peaks of the Merkle log of all heads"},
    ),
    "keyrings": (
        "one row a change of devices",
        {"account": "the account", "version": "1, 2, 3, …", "message": "the signed keyring: devices' public keys; "
         "their names are sealed", "receipt": "the relay's own signature"},
    ),
    "heads": (
        "one row a commit",
        {"account": "the account", "version": "1, 2, 3, …", "hash": "of the message",
         "message": "the signed head: which device committed, when, the name and size of the sealed body",
         "receipt": "the relay's own signature", "keyring_receipt": "the same for a keyring that came with it"},
    ),
    "log": (
        "the Merkle log of the heads, by its complete subtrees",
        {"account": "the account", "level": "height of the subtree", "number": "its place at that height",
         "hash": "of the subtree, made from hashes of heads"},
    ),
    "members": ("keys that may write", {"account": "the account", "key": "public key of a device"}),
    "guests": (
        "keys that may read for a while after an unlock",
        {"account": "the account", "key": "public key of a device", "until": "time"},
    ),
    "objects": (
        "one row a sealed object",
        {"account": "the account", "name": "SHA-256 of the sealed bytes", "size": "sealed bytes, padded",
         "state": "arriving, live, or dropped", "due": "when a dropped one is removed",
         "data": "the sealed bytes, when small; else in a file"},
    ),
    "witnessed": (
        "accounts at other relays, when this relay is a witness",
        {"account": "the account", "heads": "its newest head, or two, with the other relay's receipt and log peaks"},
    ),
    "blocks": (
        "devices that their owner is about to remove",
        {"account": "the account", "key": "public key of the device", "until": "time"},
    ),
    "links": (
        "mailboxes in which two devices meet for ten minutes",
        {"number": "random, six digits", "account": "the account that opened it", "id": "random, names the offer",
         "expires": "time"},
    ),
    "link_slots": (
        "their messages, which name nobody",
        {"number": "of the mailbox", "slot": "1, 2, 3, …", "message": "public shares, confirmations, sealed bytes"},
    ),
    "challenges": ("unlock challenges that were used", {"mac": "the challenge's code", "expires": "time"}),
}  # fmt: skip
INTRO = """\
# What the relay sees

This page backs the first promise: **the relay, its operator and whoever steals its disk learn nothing that anybody
wrote or named.** It is made from a scripted session (two devices, two logins, imports large and small, verify,
restore, a device removed) with every byte written down, and a test makes it again and compares: what a relay sees
cannot grow without a change to this page. Another test plants 1,000 random strings in texts, names, ids, titles, file
names, reactions and unknown records, and finds none of them in the relay's files, database, output and traffic, in
UTF-8, UTF-16, hexadecimal, base64 or compressed; the same scan finds all of them when a deliberately broken client
leaks them.

What is there to see, besides the tables below:

- **the account's name**, as chosen at init (choose one that does not say who you are), and its public keys;
- **when** and from which network address a device talks to the relay. The relay writes neither addresses nor times of
  requests down, but whoever runs the machine could;
- **how much**: the number of sealed objects and their padded sizes, which ones a device adds, drops and reads, and so
  roughly how large a history is, how often it grows, and that one device restored everything;
- **which device** committed (a random-looking id), how many devices there are, and when one came.

Not to be seen: texts, senders, chats and their number, titles, message ids and times, attachments and their names,
names of devices, labels of slots, passphrase and recovery code.
"""


def session(person: Person, relay: RecordedRelay) -> None:
    """What the page is made from. Random bytes are seeded, so that the same requests are needed every time."""
    noise = random.Random(42)
    account = ("--relay", relay.url, "--account", ACCOUNT, "--passphrase-file", "pw")
    rows = [
        {"type": "message", "conversation": f"c{at % 3}", "id": str(at), "time": 1_700_000_000_000 + at * 1000,
         "sender": "ann", "text": noise.randbytes(60).hex()}
        for at in range(4000)
    ]  # fmt: skip
    large = person.write("large.jsonl", "".join(f"{json.dumps(row)}\n" for row in rows[1:]))
    small = person.write("small.jsonl", f"{json.dumps(rows[0])}\n")
    person.run("init", "--vault", "laptop", *account, "--recovery-code-out", "code", "--device-name", "laptop")
    for verb in (("import", large), ("import", small), ("chats",), ("show", "c1"), ("verify",), ("status",)):
        person.run(*verb, "--vault", "laptop")
    person.run("login", "--vault", "phone", *account, "--device-name", "phone")
    person.run("login", "--vault", "phone", *account, "--device-name", "phone", "--confirm-devices")
    person.run("restore", "--vault", "phone")
    person.run("status", "--vault", "laptop")
    person.run("login", "--vault", "other", *account[:4], "--recovery-code-file", "code")
    person.run("revoke", "phone", "--yes", "--vault", "laptop", "--passphrase-file", "pw")


def page(folder: Path) -> str:
    """Play the session in `folder`; the page."""
    with RecordedRelay(folder / "relay") as relay:
        session(Person(folder / "home"), relay)
    parts = [INTRO, *_requests(relay.connections), *_tables(relay.data), *_files(relay.data), *_output(relay)]
    return "\n".join(parts)


def _requests(connections: list[Connection]) -> Iterator[str]:
    seen: defaultdict[str, list[tuple[Message, Message]]] = defaultdict(list)
    for connection in connections:
        for asked, answered in zip(messages(bytes(connection.sent)), messages(bytes(connection.received)), strict=True):
            method, path, _ = asked.start.split(" ")
            seen[f"{method} {_template(path.partition('?')[0])}"].append((asked, answered))
    unknown = set(seen) ^ set(RULES)
    if unknown:
        raise ValueError(f"requests that the page does not know, or no longer meets: {sorted(unknown)}")
    yield (
        "## Requests\n\nEvery request of the session. Numbers of fields are those of the named rule in "
        "`spec/strongroom.cddl`; what is nested is shown in place.\n"
    )
    for name, pairs in seen.items():
        yield f"### {name}\n"
        queries = sorted({_normal(asked.start.split(" ")[1].partition("?")[2]) for asked, _ in pairs} - {""})
        headers = {key: _normal_header(key, value) for asked, _ in pairs for key, value in asked.headers.items()}
        answers = {key: _normal_header(key, value) for _, answer in pairs for key, value in answer.headers.items()}
        if queries:
            yield f"- query, sometimes: {', '.join(f'`{query}`' for query in queries)}"
        yield "- headers: " + ", ".join(f"`{key}: {value}`" for key, value in sorted(headers.items()))
        yield "- answers: " + ", ".join(sorted({" ".join(answer.start.split(" ")[1:]) for _, answer in pairs}))
        yield "- headers of answers: " + ", ".join(f"`{key}: {value}`" for key, value in sorted(answers.items()))
        for title, rule, bodies in (
            ("body", RULES[name][0], [asked.body for asked, _ in pairs]),
            ("body of the answer", RULES[name][1], [answer.body for _, answer in pairs]),
        ):
            if rule is not None:
                yield f"- {title}, `{rule}`:\n\n```\n{shape([cbor.decode(body, limits=WIDE) for body in bodies])}\n```"
            elif any(bodies):
                yield f"- {title}: the sealed bytes of one object"
        yield ""


class Message:
    """One HTTP message: start line, headers, body."""

    def __init__(self, start: str, headers: dict[str, str], body: bytes) -> None:
        self.start, self.headers, self.body = start, headers, body


def messages(data: bytes) -> Iterator[Message]:
    """The messages one direction of a connection carried."""
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        start, *lines = head.decode("ascii").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        size = int(headers.get("content-length", "0"))
        yield Message(start, headers, data[:size])
        data = data[size:]


WIDE = replace(LIMITS, cbor_bytes=1 << 30)
FIXED = {16: "<id:16>", 32: "<bytes:32>", 1216: "<kem key:1216>"}


def shape(values: list[Any], indent: str = "") -> str:
    """What several values of one place have in common, field by field."""
    kinds: dict[str, list[Any]] = {}
    for value in values:
        opened = _opened(value)
        kinds.setdefault(type(opened).__name__, []).append(opened)
    shown = []
    for name, found in sorted(kinds.items()):
        if name == "dict" and all(type(key) is int for item in found for key in item):
            keys = sorted({key for item in found for key in item})
            fields = [(key, shape([item[key] for item in found if key in item], indent + "  ")) for key in keys]
            shown.append("{" + "".join(f"\n{indent}  {key}: {text}" for key, text in fields) + f"\n{indent}}}")
        elif name == "dict":
            pairs = [pair for item in found for pair in item.items()]
            inner = shape([key for key, _ in pairs]) + " => " + shape([value for _, value in pairs]) if pairs else ""
            shown.append("{* " + inner + "}" if inner else "{}")
        elif name == "Signed":
            shown.append(f"signed by <key:32> {shape([item.payload for item in found], indent)}")
        elif name == "list":
            lengths = {len(item) for item in found}
            if len(lengths) == 1 and 2 <= (length := lengths.pop()) <= 5 and _record(found):
                shown.append("[" + ", ".join(shape([item[at] for item in found], indent) for at in range(length)) + "]")
            else:
                inside = [entry for item in found for entry in item]
                shown.append(f"[* {shape(inside, indent)}]" if inside else "[]")
        else:
            shown += sorted({_scalar(item) for item in found})
    return " / ".join(shown)


class Signed:
    """The payload of a COSE_Sign1."""

    def __init__(self, payload: Any) -> None:
        self.payload = payload


def _record(found: list[Any]) -> bool:
    """A list whose places mean different things, rather than several of a kind."""
    return any(len({type(_opened(entry)) for entry in item}) > 1 for item in found) or all(
        type(_opened(item[0])) is Signed for item in found
    )


def _opened(value: Any) -> Any:
    if type(value) is not bytes or len(value) < 40:
        return value
    try:
        inner = cbor.decode(value, limits=WIDE)
    except UntrustedDataError:
        return value
    if type(inner) is list and len(inner) == 4 and inner[1] == {} and type(inner[2]) is bytes:
        return Signed(cbor.decode(inner[2], limits=WIDE))
    return inner if type(inner) is dict else value


def _scalar(value: Any) -> str:
    if type(value) is bytes:
        return FIXED.get(len(value), "<bytes>") if value else "<empty>"
    if type(value) is int and value > 1_600_000_000_000:
        return "<time>"
    if type(value) is str:
        return _normal(value) if value else '""'
    return {int: "<int>", type(None): "null", bool: "<bool>"}[type(value)]


def _normal(text: str) -> str:
    if text == ACCOUNT:
        return "<account name>"
    text = re.sub(r"http://127\.0\.0\.1:\d+", "<origin>", text)
    text = re.sub(r"127\.0\.0\.1:\d+", "<host>", text)
    return re.sub(r"(?<![a-z\d-])\d+(?![\d.-])", "<int>", text)


def _normal_header(name: str, value: str) -> str:
    if name in ("signature", "content-digest", "signature-input"):
        value = re.sub(r":[A-Za-z0-9+/=]+:", ":<bytes>:", value)
        value = re.sub(r'keyid="[^"]*"', 'keyid="<key>"', value)
        value = re.sub(r'nonce="[^"]*"', 'nonce="<random>"', value)
        return re.sub(r"created=\d+", "created=<time>", value)
    if name == "date":
        return "<time>"
    if name in ("user-agent", "server"):
        return re.sub(r"\d+(\.\d+)+", "<version>", value)
    return _normal(value)


def _template(path: str) -> str:
    path = re.sub(r"(?<=/accounts/)[0-9a-f]{64}", "<account>", path)
    return re.sub(r"[0-9a-f]{64}", "<object>", path)


def _tables(data: Path) -> Iterator[str]:
    yield "## Tables of `relay.db`\n"
    database = sqlite3.connect(f"file:{data}/relay.db?mode=ro", uri=True)
    try:
        tables = [
            name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        ]
        if set(tables) != set(COLUMNS):
            raise ValueError(f"tables that the page does not know: {sorted(set(tables) ^ set(COLUMNS))}")
        for table in tables:
            about, columns = COLUMNS[table]
            yield f"### {table}: {about}\n"
            found = [row[1] for row in database.execute(f'PRAGMA table_info("{table}")')]
            if table == "settings":
                names = [row[0] for row in database.execute("SELECT name FROM settings ORDER BY name")]
                yield "\n".join(f"- `{re.sub('[0-9a-f]{64}', '<hash>', name)}`" for name in names) + "\n"
                continue
            if set(found) != set(columns):
                raise ValueError(f"columns of {table} that the page does not know: {sorted(set(found) ^ set(columns))}")
            for column in found:
                values = [row[0] for row in database.execute(f'SELECT "{column}" FROM "{table}"')]
                kinds = " / ".join(sorted({_scalar(value) for value in values})) or "none in this session"
                yield f"- `{column}`: {columns[column]} ({'<hashes>' if column == 'peaks' else kinds})"
            yield ""
    finally:
        database.close()


def _files(data: Path) -> Iterator[str]:
    yield "## Files\n"
    names = set()
    for path in data.rglob("*"):
        name = re.sub(r"(?<=/)[0-9a-f]{2}(?=/|$)", "<2 digits>", str(path.relative_to(data)))
        names.add(re.sub(r"[0-9a-f]{64}\.[0-9a-f]{64}", "<account>.<hash>", name))
    yield "\n".join(f"- `{name}`" for name in sorted(names) if not name.startswith("relay.db-"))
    yield "\nWhile it runs also `relay.db-wal` and `relay.db-shm` (the database) and `objects/upload-<random>`.\n"


def _output(relay: RecordedRelay) -> Iterator[str]:
    yield "## Output and log\n\nAll that the relay wrote to stdout and stderr:\n\n```"
    yield re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+", "<time>", _normal(relay.output.read_text())) + "```"


def main() -> None:
    """Write the page."""
    with tempfile.TemporaryDirectory() as folder:
        PAGE.write_text(page(Path(folder)).rstrip("\n") + "\n")


if __name__ == "__main__":
    main()
