"""Other formats, other encodings, other lengths: attacks 019, 030, 035, 048."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from adversary.conftest import Scene
from adversary.hostile import Hostile
from strongroom.transport.base import HeadResponse
from strongroom_protocol.engine.body import Body
from strongroom_protocol.errors import Failure, UntrustedDataError, UpgradeRequired
from strongroom_protocol.manifest.head import parse_head
from strongroom_protocol.manifest.keyring import parse_keyring
from strongroom_protocol.manifest.receipt import Chain, Receipt
from strongroom_protocol.manifest.slots import SlotSet
from strongroom_protocol.seal.objects import HEADER_BYTES, ObjectOpener, ObjectType, object_name, open_object
from strongroom_protocol.wire import cbor, cose
from vaults import talk

TODAY = 1
"""The one format version of every structure."""


def _failure(call: Callable[..., Any], *arguments: Any, **named: Any) -> Failure:
    with pytest.raises(UntrustedDataError) as caught:
        call(*arguments, **named)
    assert isinstance(caught.value, UpgradeRequired) == (caught.value.failure is Failure.NEWER_FORMAT)
    return caught.value.failure


async def _first_of_each(scene: Scene) -> dict[ObjectType, tuple[bytes, bytes]]:
    """Name and bytes of one object of each type that the vault has."""
    found: dict[ObjectType, tuple[bytes, bytes]] = {}
    await scene.writer.add(talk("big", 600))
    snapshot = await scene.victim.snapshot()
    async for ref, kind in snapshot.objects():
        if kind not in found:
            (data,) = await scene.hostile.honest.read(scene.victim.session.account, [(ref.name, 0, ref.size)])
            assert data is not None
            found[kind] = (ref.name, data)
    return found


def _signed_again(scene: Scene, payload: bytes) -> bytes:
    device = scene.writer.session.device
    return cose.sign(cose.Context.HEAD, payload, device.sign.public, device.sign.sign)


async def _newest(scene: Scene) -> tuple[HeadResponse, bytes]:
    """The honest answer after one more commit, and its head's payload."""
    session = scene.victim.session
    answer = await scene.hostile.honest.head(session.account, session.pin.head_version)
    return answer, cose.verify(cose.Context.HEAD, answer.head, maximum=4096).payload


async def _serve(scene: Scene, honest: HeadResponse, message: bytes) -> None:
    """The head, with a receipt for whatever it is: the relay is malicious."""
    assert scene.bench.relay is not None
    old = parse_head(honest.head, account=scene.victim.session.account)
    receipt = Receipt(old.account, Chain.HEAD, old.version, bytes(32), old.previous, old.time)
    answer = replace(honest, head=message, receipt=scene.bench.relay.sign_receipt(receipt))
    scene.hostile.instead("head", lambda *_: answer)


# Versions and suites --------------------------------------------------------------------------------------------------


async def test_attack_030_every_version_and_type_of_an_object(scene: Scene) -> None:
    """256 versions and 256 types of each kind of object, under the name that the changed bytes have."""
    epochs, account = scene.victim.session.epochs(), scene.victim.session.account
    tried = 0
    for kind, (name, data) in (await _first_of_each(scene)).items():
        whole = kind not in (ObjectType.SEGMENT, ObjectType.INDEX_PAGES)
        if whole:
            open_object(epochs, account, name, data, kind)
        for version in range(256):
            for place, byte in ((0, version), (1, version)):
                changed = data[:place] + bytes((byte,)) + data[place + 1 :]
                if changed == data:
                    continue
                if whole:
                    found = _failure(open_object, epochs, account, object_name(changed), changed, kind)
                else:
                    found = _failure(ObjectOpener, epochs, account, changed[:HEADER_BYTES], kind, subject="segment")
                newer = place == 0 and byte > TODAY
                assert found is (Failure.NEWER_FORMAT if newer else Failure.CONTEXT)
                tried += 1
    assert tried >= 6 * 510


FORMATS = (0, *range(2, 256), 2**16, 2**32 - 1)


async def test_attack_030_every_format_of_every_structure(scene: Scene) -> None:
    """Signed once more by who may sign it: 0 is unknown, above 1 is newer, and nothing of it is used."""
    session = scene.writer.session
    async with await scene.bench.owner(scene.writer) as owner:
        root = owner.root
    device, account = session.device, session.account
    kinds: dict[str, tuple[bytes, Callable[[bytes], Any]]] = {
        "head": (
            cose.verify(cose.Context.HEAD, session.state.require("head"), maximum=4096).payload,
            lambda payload: parse_head(
                cose.sign(cose.Context.HEAD, payload, device.sign.public, device.sign.sign), account=account
            ),
        ),
        "keyring": (
            cbor.encode(session.keyring.to_cbor()),
            lambda payload: parse_keyring(
                cose.sign(cose.Context.KEYRING, payload, root.sign.public, root.sign.sign), account=account
            ),
        ),
        "body": (Body(seen={device.id: 1}).encode(), Body.parse),
        "slots": (await _slot_set(scene), lambda payload: SlotSet.parse(payload, account=account)),
    }
    for name, (payload, parse) in kinds.items():
        parse(payload)
        fields = cbor.decode(payload, subject=name)
        for version in FORMATS:
            wanted = Failure.NEWER_FORMAT if version > TODAY else Failure.SCHEMA
            assert _failure(parse, cbor.encode(fields | {1: version})) is wanted, (name, version)
        assert _failure(parse, cbor.encode({key: value for key, value in fields.items() if key != 1})) is Failure.SCHEMA


async def _slot_set(scene: Scene) -> bytes:
    kept: list[bytes] = []

    def keeping(transport: Any) -> Hostile:
        hostile = Hostile(transport)

        def keep(honest: Any, *_: Any) -> Any:
            kept.append(honest.slots)
            return honest

        hostile.replace("unlock", keep)
        return hostile

    await scene.bench.login("look", wrap=keeping)
    return kept[0]


async def test_attack_030_other_formats_and_algorithms_of_a_head_through_the_client(scene: Scene) -> None:
    await scene.victim.session.sync()
    await scene.writer.add(talk("late", 1))
    honest, payload = await _newest(scene)
    fields = cbor.decode(payload, subject="head")
    for version in (0, 2, 3, 255, 2**32 - 1):
        await _serve(scene, honest, _signed_again(scene, cbor.encode(fields | {1: version})))
        wanted = Failure.NEWER_FORMAT if version > TODAY else Failure.SCHEMA
        assert await scene.refused(scene.victim.vault.chats, wanted) == ["head"]
    parts = cbor.decode(honest.head, subject="head")
    key = scene.writer.session.device.sign.public
    for algorithm in (*range(-260, 20), None, "none", b""):
        if algorithm != cose.ALG_ED25519:
            header = cbor.encode({1: algorithm, 4: key})
            await _serve(scene, honest, cbor.encode([header, *parts[1:]]))
            assert await scene.refused(scene.victim.vault.chats, Failure.SCHEMA) == ["head"]
    scene.hostile.behave()
    await scene.victim.vault.chats()


# Encodings ------------------------------------------------------------------------------------------------------------


def _pairs(payload: bytes) -> list[bytes]:
    return [cbor.encode(key) + cbor.encode(value) for key, value in cbor.decode(payload, subject="x").items()]


def _other_encodings(payload: bytes) -> dict[str, bytes]:
    """The same map in forms that a lenient decoder reads as the same."""
    pairs = _pairs(payload)
    count = len(pairs)
    assert payload == bytes((0xA0 + count,)) + b"".join(pairs)
    joined = b"".join(pairs)
    return {
        "a key twice": bytes((0xA0 + count + 1,)) + pairs[0] + joined,
        "a key twice, last wins": bytes((0xA0 + count + 1,)) + joined + pairs[-1],
        "keys in another order": bytes((0xA0 + count,)) + b"".join(reversed(pairs)),
        "long count": bytes((0xB8, count)) + joined,
        "long integer": bytes((0xA0 + count,)) + b"\x18\x01" + joined[1:],
        "indefinite": b"\xbf" + joined + b"\xff",
        "bytes behind": payload + b"\0",
        "tagged": b"\xd9\xd9\xf7" + payload,
        "cut": payload[:-1],
        "shared reference": b"\xd8\x1c" + payload,
    }


async def test_attack_035_other_encodings_of_a_head_through_the_client(scene: Scene) -> None:
    """Signed by a device of the account, with a receipt: still one encoding only. So it is for the envelope."""
    await scene.writer.add(talk("late", 1))
    honest, payload = await _newest(scene)
    assert _signed_again(scene, payload) == honest.head
    for other in _other_encodings(payload).values():
        await _serve(scene, honest, _signed_again(scene, other))
        assert await scene.refused(scene.victim.vault.chats, Failure.ENCODING) == ["head"]
    parts = [cbor.encode(part) for part in cbor.decode(honest.head, subject="head")]
    envelopes = {
        "long count": b"\x98\x04" + b"".join(parts),
        "indefinite": b"\x9f" + b"".join(parts) + b"\xff",
        "tagged": b"\xd2" + honest.head,
        "bytes behind": honest.head + b"\0",
        "long string": b"\x84" + parts[0] + parts[1] + b"\x5a" + len(payload).to_bytes(4, "big") + payload + parts[3],
    }
    for message in envelopes.values():
        await _serve(scene, honest, message)
        assert await scene.refused(scene.victim.vault.chats, Failure.ENCODING) == ["head"]
    scene.hostile.behave()
    await scene.victim.vault.chats()


async def test_attack_035_a_field_more_is_refused(scene: Scene) -> None:
    """Nothing rides along in what is signed, and nothing beside the signature."""
    await scene.writer.add(talk("late", 1))
    honest, payload = await _newest(scene)
    fields = cbor.decode(payload, subject="head")
    for extra in ({15: 0}, {15: b"x"}, {2**31: None}):
        await _serve(scene, honest, _signed_again(scene, cbor.encode(fields | extra)))
        assert await scene.refused(scene.victim.vault.chats, Failure.SCHEMA) == ["head"]
    protected, _, body, signature = cbor.decode(honest.head, subject="head")
    await _serve(scene, honest, cbor.encode([protected, {1: -19}, body, signature]))
    assert await scene.refused(scene.victim.vault.chats, Failure.SCHEMA) == ["head"]


# Lengths --------------------------------------------------------------------------------------------------------------


async def test_attack_019_every_length_of_every_kind_of_object(scene: Scene) -> None:
    """Cut at each length and with 1 to 64 bytes behind: by its name, and as a forger who found another of that name."""
    epochs, account = scene.victim.session.epochs(), scene.victim.session.account
    for kind, (name, data) in (await _first_of_each(scene)).items():
        if kind in (ObjectType.SEGMENT, ObjectType.INDEX_PAGES):
            continue
        others = [data[:length] for length in range(len(data))] + [data + bytes(more) for more in range(1, 65)]
        for changed in others:
            assert _failure(open_object, epochs, account, name, changed, kind) is Failure.NAME
            named = object_name(changed)
            assert _failure(open_object, epochs, account, named, changed, kind) in (Failure.CONTEXT, Failure.SEAL)


# Counting -------------------------------------------------------------------------------------------------------------


async def test_attack_048_one_keyring_shown_twice_is_no_second_step(scene: Scene, tmp_path: Any) -> None:
    """The chain with one link repeated, at each place, for a fresh device: refused, and nothing is stored."""
    chain = scene.writer.session.keyrings
    assert len(chain) > 1
    for place in range(len(chain)):
        hostiles: list[Hostile] = []

        def twice(transport: Any, place: int = place, hostiles: list[Hostile] = hostiles) -> Hostile:
            hostile = Hostile(transport)
            hostiles.append(hostile)

            def repeated(honest: list[tuple[bytes, bytes]], *_: Any) -> list[tuple[bytes, bytes]]:
                return honest[: place + 1] + honest[place:]

            hostile.replace("keyrings", repeated)
            return hostile

        with pytest.raises(UntrustedDataError) as caught:
            await scene.bench.login("twice", wrap=twice)
        assert caught.value.failure is Failure.LIMIT
        assert set(hostiles[0].calls) == {"login", "unlock", "keyrings"}
        assert not (scene.bench.folder / "twice" / "device.db").exists()
    await scene.bench.login("twice")


async def test_attack_048_a_second_signature_is_no_part_of_an_envelope(scene: Scene) -> None:
    await scene.writer.add(talk("late", 1))
    honest, _ = await _newest(scene)
    protected, unprotected, body, signature = cbor.decode(honest.head, subject="head")
    for parts in (
        [protected, unprotected, body, signature, signature],
        [protected, unprotected, body, [signature] * 2],
    ):
        await _serve(scene, honest, cbor.encode(parts))
        assert await scene.refused(scene.victim.vault.chats, Failure.SCHEMA) == ["head"]
