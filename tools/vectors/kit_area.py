"""Vectors of recovery kits."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from strongroom_protocol.errors import Failure
from strongroom_protocol.keys.kit import PREFIX, Kit
from strongroom_protocol.keys.secrets import RecoveryCode
from strongroom_protocol.manifest.anchor import Anchor
from strongroom_protocol.manifest.slots import SlotKind
from strongroom_protocol.wire import cbor
from vectors import world
from vectors.case import Area, Case, Json, bad, good, stream
from vectors.world import ACCOUNT, OTHER_ACCOUNT, TIME, Drop

WITNESS = "https://witness.example#" + stream("witness of a kit").hex()


def _of_text(given: Mapping[str, Any]) -> Json:
    kit = Kit.from_text(given["text"])
    return {
        "kit": kit.encode(), "text": kit.to_text(), "name": kit.name, "relay": kit.relay, "account": kit.account,
        "code": kit.code.reveal(), "witness": kit.witness, "time": kit.time, "kind": int(kit.kind),
    }  # fmt: skip


def _kit(**change: Any) -> Kit:
    keyring, head = world.keyring_2(), world.head_2()
    anchor = Anchor(ACCOUNT, keyring.version, keyring.hash, head.version, head.hash, stream("log root"), TIME)
    fields: dict[str, Any] = {
        "name": "ada", "relay": "https://relay.example", "code": RecoveryCode(stream("code of a kit", 20)),
        "anchor": anchor, "witness": None, "time": TIME + 60_000, "kind": SlotKind.RECOVERY,
    }  # fmt: skip
    return Kit(**fields | change)


def _text_of(data: bytes) -> str:
    check = hashlib.sha256(data).digest()[:4]
    return PREFIX + base64.b32encode(data + check).decode().rstrip("=")


def _cases() -> Iterator[Case]:
    kit = _kit()
    text, payload = kit.to_text(), cbor.decode(kit.encode())

    def accepted(name: str, ids: str, typed: str) -> Case:
        return good(name, ids, "text", text=typed)

    def refused(name: str, expect: str, ids: str, typed: str) -> Case:
        return bad(name, expect, ids, "text", text=typed)

    yield accepted("as-made", "KIT-1 KIT-2 KIT-3 KIT-4 KIT-5", text)
    yield accepted("lower-case", "KIT-1", text.lower())
    yield accepted("from-a-qr-code", "KIT-1", text.upper())
    yield accepted("in-lines", "KIT-1", "\n".join(text[at : at + 40] for at in range(0, len(text), 40)) + "\n")
    yield accepted("with-witness-and-passphrase", "KIT-1", _kit(witness=WITNESS, kind=SlotKind.BOTH).to_text())
    yield refused("another-prefix", Failure.CODE, "KIT-1", "strongroom-anchor:" + text.removeprefix(PREFIX))
    yield refused("no-prefix", Failure.CODE, "KIT-1", text.removeprefix(PREFIX))
    yield refused("too-long", Failure.CODE, "KIT-1", text + " " * 4096)
    yield refused("no-letter-of-base32", Failure.CODE, "KIT-2", text[:60] + "1" + text[61:])
    yield refused("one-letter-left-over", Failure.CODE, "KIT-2", PREFIX + "A" * 9)
    yield refused("padded", Failure.CODE, "KIT-2", text + "=")
    yield refused("another-letter", Failure.CODE, "KIT-3", text[:60] + ("A" if text[60] != "A" else "B") + text[61:])
    yield refused("cut-off", Failure.CODE, "KIT-3", text[:-8])
    yield refused("empty", Failure.CODE, "KIT-3", PREFIX)

    def made(name: str, expect: str, ids: str, /, **fields: Any) -> Case:
        mine = dict(payload)
        world.apply(mine, fields)
        return refused(name, expect, ids, _text_of(cbor.encode(mine)))

    for key in payload:
        yield made(f"field-{key}-missing", Failure.SCHEMA, "ENC-12", **{f"f{key}": Drop})
    yield made("field-unknown", Failure.SCHEMA, "ENC-12", f10=0)
    yield made("newer-format", Failure.NEWER_FORMAT, "ENC-10", f1=2)
    yield made("code-short", Failure.SCHEMA, "ENC-7", f5=bytes(19))
    yield made("kind-of-a-passphrase", Failure.SCHEMA, "ENC-6", f9=1)
    yield made("anchor-of-another-account", Failure.ACCOUNT, "KIT-4", f4=OTHER_ACCOUNT)
    yield made("name-in-capitals", Failure.SCHEMA, "KIT-5", f2="Ada")
    yield made("name-with-markup", Failure.SCHEMA, "KIT-5", f2="<b>ada</b>")
    newer = cbor.encode(cbor.decode(kit.anchor.encode()) | {1: 2})
    yield made("newer-anchor", Failure.NEWER_FORMAT, "ENC-10", f6=newer)


KIT = Area("kit", _cases, {"text": _of_text})
