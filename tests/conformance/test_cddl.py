"""Every structure of the vectors and of a live vault is of its rule in the one copy of the CDDL."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pycddl
import pytest

from independent.plain import Bad, Cddl
from strongroom import account
from strongroom.formats import ImportOptions, ImportReport, detect
from strongroom.importing import import_rows
from strongroom.owner import Owner
from strongroom.session import Session
from strongroom.transport import open_transport
from strongroom.vault import Vault
from strongroom_protocol.engine.index import IndexTop, parse_page
from strongroom_protocol.engine.refs import ChunkRef
from strongroom_protocol.keys.secrets import UnlockSecret
from strongroom_protocol.keys.slots import Unlock
from strongroom_protocol.manifest.keyring import parse_keyring
from strongroom_protocol.manifest.slots import Kdf, SlotKind
from strongroom_protocol.relay_api import messages
from strongroom_protocol.rows.compression import inflate
from strongroom_protocol.seal.chunks import cut_out, open_chunk
from strongroom_protocol.seal.objects import HEADER_BYTES, Header, ObjectOpener, ObjectType, object_name, open_object
from strongroom_protocol.wire import cbor

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "spec/strongroom.cddl").read_text()
OWN = Cddl(TEXT)
Found = dict[str, list[bytes]]

SEALED = {
    ObjectType.BODY: "body",
    ObjectType.ROOT: "engine-root",
    ObjectType.INDEX: "index-top",
    ObjectType.DIRECTORY: "hot-page",  # few enough conversations that none is cold
    ObjectType.KEYRING_PRIVATE: "keyring-private",
}


# pycddl 0.6 misjudges a choice between arrays or maps inside a map, and an optional array at the end of one; these
# rules have only the stricter reader.
BEYOND_PYCDDL = {"packed-details", "engine-root", "directory-rows", "hot-page", "index-page"}


@cache
def schema(rule: str) -> pycddl.Schema:
    return pycddl.Schema(f"start = {rule}\n{TEXT}")


def check(rule: str, data: bytes) -> None:
    """By pycddl, and by the verifier's own reader, which is stricter about bounds and keys."""
    if rule not in BEYOND_PYCDDL:
        schema(rule).validate_cbor(data)
    OWN.check(rule, cbor.decode(data))


def fits(rule: str, data: bytes) -> bool:
    try:
        check(rule, data)
    except (pycddl.ValidationError, Bad):
        return False
    return True


def signed(found: Found, rule: str, message: bytes) -> None:
    """A COSE_Sign1, its protected header and its payload."""
    protected, _, payload, _ = cbor.decode(message)
    found["cose-sign1"].append(message)
    found["cose-protected"].append(protected)
    found[rule].append(payload)


# ---------------------------------------------------------------- vectors

SIGNED_INPUTS = {
    ("keyring", "message"): "keyring", ("epochs", "keyring"): "keyring", ("head", "message"): "head",
    ("head", "head"): "head", ("head", "previous"): "head", ("head", "keyring"): "keyring",
    ("receipt", "message"): "receipt", ("receipt", "one"): "receipt", ("receipt", "other"): "receipt",
    ("anchor", "head"): "head", ("witness", "head"): "head",
    ("pin", "known"): "keyring", ("pin", "keyring"): "keyring", ("pin", "head"): "head",
}  # fmt: skip
PLAIN_INPUTS = {
    ("keys", "core"): "genesis-core", ("hpke-slots", "slots"): "slot-set", ("head", "delta"): "delta",
    ("pin", "pin"): "pin", ("body", "content"): "body", ("root", "content"): "engine-root",
    ("index", "content"): "index-top", ("index", "top"): "index-top", ("index", "page"): "index-page",
    ("link", "offer"): "link-offer", ("link", "verdict"): "link-verdict",
    ("anchor", "anchor"): "anchor", ("proof", "proof"): "fork-proof", ("proof", "evidence"): "evidence",
    ("witness", "request"): "witness-request", ("witness", "answer"): "witness-response",
    ("witness", "seen"): "witness-head", ("witness", "core"): "genesis-core",
    ("directory", "page"): "directory-rows", ("directory", "hot"): "hot-page", ("media", "descriptor"): "media",
}  # fmt: skip
PLAIN_OUTPUTS = {
    ("anchor", "anchor"): "anchor",
    ("kit", "kit"): "recovery-kit",
    ("frame", "plaintext"): "frame",
    ("link", "offer"): "link-offer",
    ("link", "answer"): "link-answer",
    ("link", "verdict"): "link-verdict",
    ("pin", "pin"): "pin",
    ("media", "descriptor"): "media",
}


def in_vector(area: str, vector: dict[str, Any]) -> Found:
    """The structures of one vector."""
    found: Found = defaultdict(list)
    given, output = vector["input"], vector["output"]
    for name, value in given.items():
        chain = name == "chain" and isinstance(value, list)
        values = value if chain else [value]
        rule = "keyring" if chain else SIGNED_INPUTS.get((area, name))
        if rule is not None:
            for message in filter(None, values):
                signed(found, rule, bytes.fromhex(message))
        elif (area, name) in PLAIN_INPUTS and value is not None:
            found[PLAIN_INPUTS[area, name]].append(bytes.fromhex(value))
    for name, value in output.items():
        if (area, name) in PLAIN_OUTPUTS:
            found[PLAIN_OUTPUTS[area, name]].append(bytes.fromhex(value))
    if area == "batch":
        found["batch-body"].append(bytes.fromhex(given.get("content") or output["content"])[64:])
    if area == "frame" and given["op"] == "decode":
        framed(found, bytes.fromhex(given["frame"]))
    if area == "cose":
        message = bytes.fromhex(given.get("message") or output["message"])
        found["cose-sign1"].append(message)
    return found


def framed(found: Found, frame: bytes) -> None:
    codec, length = frame[0], int.from_bytes(frame[1:5], "big")
    plain = inflate(frame[5:], length, dictionary=codec == 2) if codec else frame[5:]
    found["frame"].append(plain)
    details = cbor.decode(plain)[4].get(19)
    if details is not None:
        found["packed-details"].append(details)


def positive() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted((ROOT / "spec/vectors").glob("*.json")):
        if path.stem != "recorded":
            yield from ((path.stem, vector) for vector in json.loads(path.read_text()) if vector["expect"] == "ok")


def test_every_structure_of_a_positive_vector_is_of_its_rule() -> None:
    wrong, seen = [], set()
    for area, vector in positive():
        for rule, items in in_vector(area, vector).items():
            seen.add(rule)
            wrong += [(vector["name"], rule) for item in items if not fits(rule, item)]
    assert wrong == []
    assert seen >= set(PLAIN_INPUTS.values()) | set(SIGNED_INPUTS.values()) | {"frame", "packed-details", "batch-body"}


# ---------------------------------------------------------------- a live vault


class Recording:
    """A transport that keeps the encoding of everything that is asked and answered."""

    def __init__(self, inner: Any, found: Found, objects: dict[bytes, bytes]) -> None:
        self.inner, self.found, self.objects = inner, found, objects

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def keep(self, rule: str, data: bytes) -> None:
        self.found[rule].append(data)

    def put_object(self, data: bytes) -> None:
        self.objects[object_name(data)] = data

    async def relay_info(self) -> Any:
        answer = await self.inner.relay_info()
        self.keep("relay-info", answer.encode())
        return answer

    async def login(self, name: str) -> Any:
        self.keep("login-request", messages.encode_login(name))
        answer = await self.inner.login(name)
        self.keep("login-response", answer.encode())
        return answer

    async def unlock(self, name: str, statement: bytes, account_id: bytes | None = None) -> Any:
        self.keep("unlock-request", messages.UnlockRequest(name, statement).encode())
        signed(self.found, "unlock-statement", statement)
        answer = await self.inner.unlock(name, statement, account_id)
        self.keep("unlock-response", answer.encode())
        self.keep("slot-set", answer.slots)
        return answer

    async def block(self, account_id: bytes, message: bytes) -> None:
        signed(self.found, "block", message)
        await self.inner.block(account_id, message)

    async def register(self, request: Any) -> Any:
        self.keep("register-request", request.encode())
        self.keep("slot-set", request.slots)
        self.keep("genesis-core", cbor.encode(request.core.to_cbor()))
        self.keep("delta", cbor.encode(request.delta.to_cbor()))
        signed(self.found, "keyring", request.keyring)
        return self._committed(request, await self.inner.register(request))

    async def commit(self, account_id: bytes, request: Any) -> Any:
        self.keep("commit-request", request.encode())
        self.keep("delta", cbor.encode(request.delta.to_cbor()))
        if request.keyring is not None:
            signed(self.found, "keyring", request.keyring)
        return self._committed(request, await self.inner.commit(account_id, request))

    def _committed(self, request: Any, answer: Any) -> Any:
        signed(self.found, "head", request.head)
        for data in request.objects:
            self.put_object(data)
        self.keep("commit-response", answer.encode())
        signed(self.found, "receipt", answer.head_receipt)
        if answer.keyring_receipt is not None:
            signed(self.found, "receipt", answer.keyring_receipt)
        return answer

    async def keyrings(self, account_id: bytes, first: int, *more: Any) -> Any:
        answer = await self.inner.keyrings(account_id, first, *more)
        self.keep("keyring-response", messages.encode_keyrings(answer))
        return answer

    async def head(self, account_id: bytes, since: int | None) -> Any:
        answer = await self.inner.head(account_id, since)
        self.keep("head-response", answer.encode())
        return answer

    async def missing(self, account_id: bytes, names: Any) -> Any:
        self.keep("missing-request", messages.encode_names(list(names)))
        answer = await self.inner.missing(account_id, names)
        self.keep("missing-response", messages.encode_names(answer))
        return answer

    async def put(self, account_id: bytes, name: bytes, data: bytes | memoryview) -> None:
        self.put_object(bytes(data))
        await self.inner.put(account_id, name, data)

    async def read(self, account_id: bytes, ranges: Any) -> Any:
        self.keep("read-request", messages.encode_ranges(list(ranges)))
        answer = await self.inner.read(account_id, ranges)
        self.keep("read-response", messages.encode_pieces(answer))
        return answer

    async def usage(self, account_id: bytes) -> Any:
        answer = await self.inner.usage(account_id)
        self.keep("usage-response", answer.encode())
        return answer


async def live(folder: Path) -> Found:
    """Every structure of a vault into which samples were imported, and of a second device that joined it."""
    found: Found = defaultdict(list)
    objects: dict[bytes, bytes] = {}
    opener = cheap(UnlockSecret(secrets.token_bytes(32)))
    relay = f"file://{folder / 'relay'}"
    inner = await open_transport(relay, create=True)
    transport: Any = Recording(inner, found, objects)
    session = await account.create(
        folder / "one", transport, relay=relay, name="alice", device_name="laptop", openers=[(opener, "passphrase")]
    )
    vault = Vault(session, name="alice", relay=relay)
    samples = sorted((ROOT / "samples/irc-ubuntu").glob("*.txt"))
    for path in samples[:4]:
        rows = list(detect(path).read(path, ImportOptions(chat="irc:#ubuntu"), ImportReport()))
        for piece in (rows[:100], rows):
            await import_rows(vault._session, piece)
    await vault.status()
    second = await account.login(folder / "two", transport, relay=relay, name="alice", opener=opener)
    async with await Owner.unlock(second, "alice", opener) as owner:
        await owner.confirm("phone")
        await owner.revoke(session.device.id)
    await Vault(second, name="alice", relay=relay).chats()
    sealed(second, objects, found)
    for one in (session, second):
        found["pin"].append(one.pin.encode())
        one.state.close()
    await inner.close()
    return found


def cheap(secret: UnlockSecret) -> Callable[[str, bytes, Kdf], Unlock]:
    return lambda name, salt, kdf: Unlock(SlotKind.PASSPHRASE, secret)


def sealed(session: Session, objects: dict[bytes, bytes], found: Found) -> None:
    """What is inside the objects."""
    epochs, ident = session.epochs(), session.account
    tops: list[IndexTop] = []
    private = [parse_keyring(keyring.message, account=ident).private for keyring in session.keyrings]
    for data in [*objects.values(), *private]:
        kind = Header.parse(data, "object").type
        if kind in (ObjectType.SEGMENT, ObjectType.INDEX_PAGES):
            continue
        _, content = open_object(epochs, ident, object_name(data), data, kind)
        if kind is ObjectType.BATCH:
            found["batch-body"].append(content[64:])
            for frame in cbor.decode(content[64:])[4]:
                framed(found, frame)
            continue
        found[SEALED[kind]].append(content)
        if kind is ObjectType.INDEX:
            tops.append(IndexTop.parse(content))

    def chunk(name: bytes, ref: ChunkRef, kind: ObjectType) -> bytes:
        data = objects[name]
        opener = ObjectOpener(epochs, ident, data[:HEADER_BYTES], kind, subject="object")
        return open_chunk(opener, ref, cut_out(data, ref, subject="object"), subject="object")

    for top in tops:
        for fence in top.fences:
            page = chunk(top.pages.name, fence.chunk, ObjectType.INDEX_PAGES)
            found["index-page"].append(page)
            for _, frame in parse_page(page, top):
                framed(found, chunk(frame.segment, frame.chunk, ObjectType.SEGMENT))


EXPECTED = {
    "cose-sign1", "cose-protected", "genesis-core", "slot-set", "unlock-statement", "keyring", "keyring-private",
    "head", "delta", "receipt", "body", "pin", "batch-body", "engine-root", "index-top", "index-page",
    "hot-page", "frame", "register-request", "relay-info", "login-request", "login-response",
    "unlock-request", "unlock-response", "keyring-response", "head-response", "read-request", "read-response",
    "commit-request", "commit-response", "usage-response",
}  # fmt: skip


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Found:
    return asyncio.run(live(tmp_path_factory.mktemp("live")))


def test_every_structure_of_a_live_vault_is_of_its_rule(vault: Found) -> None:
    assert set(vault) >= EXPECTED
    wrong = [(rule, item.hex()[:200]) for rule, items in vault.items() for item in items if not fits(rule, item)]
    assert wrong == []


def test_a_changed_field_number_is_noticed(vault: Found) -> None:
    """Each field of each map of a live vault, renumbered, makes a structure that is not of its rule."""
    unnoticed = []
    for rule in sorted(EXPECTED):
        value = cbor.decode(vault[rule][0])
        if not isinstance(value, dict):
            continue
        for key in value:
            moved = {key + 64 if other == key else other: item for other, item in value.items()}
            if fits(rule, cbor.encode(moved)):
                unnoticed.append((rule, key))
    assert unnoticed == []


def test_a_field_more_is_noticed(vault: Found) -> None:
    values = {rule: cbor.decode(vault[rule][0]) for rule in EXPECTED}
    maps = {rule: value for rule, value in values.items() if isinstance(value, dict)}
    assert [rule for rule, value in maps.items() if fits(rule, cbor.encode(value | {64: 0}))] == []
    lists = {rule: value for rule, value in values.items() if isinstance(value, list)}
    assert [rule for rule, value in lists.items() if fits(rule, cbor.encode([*value, 0]))] == []


def test_every_rule_can_be_the_start() -> None:
    for rule in OWN.rules:
        schema(rule)
