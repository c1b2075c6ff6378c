"""What a reviewer of keys and freshness found (docs/reviews/0003): each test failed before its finding was mended."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adversary.hostile import Hostile
from strongroom.commit import next_head, sealer_for
from strongroom.engine.sealer import Sealer
from strongroom.owner import Owner
from strongroom.session import DeviceKeys
from strongroom.transport.base import CommitRequest, Transport
from strongroom.unlocking import SecretsOrUnlock
from strongroom_protocol.engine.body import Body
from strongroom_protocol.engine.root import EngineRoot
from strongroom_protocol.errors import (
    CallError,
    Failure,
    InvalidArgument,
    NotFound,
    RelayRefused,
    RelayUnreachable,
    StorageFull,
    StrongroomError,
    UntrustedDataError,
)
from strongroom_protocol.keys.private import KeyringPrivate
from strongroom_protocol.keys.secrets import KemSeed, SigningSeed, UnlockSecret
from strongroom_protocol.keys.slots import Unlock
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.manifest.head import Head
from strongroom_protocol.manifest.keyring import Keyring, parse_keyring, recipient_id
from strongroom_protocol.manifest.slots import SlotKind
from strongroom_protocol.relay_api.problems import Problem, ProblemError
from strongroom_protocol.seal.objects import ObjectType, object_name
from strongroom_protocol.wire import cbor, cose
from strongroom_relay.service import accounts, commits
from vaults import Bench, Device, messages_of, talk, texts


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def _opener(kind: SlotKind) -> SecretsOrUnlock:
    keys = Unlock(kind, UnlockSecret(secrets.token_bytes(32)))
    return lambda name, salt, kdf: keys


def _behind(device: Device) -> Hostile:
    hostile = Hostile(device.session.transport)
    device.session.transport = hostile
    return hostile


async def _pair(bench: Bench) -> tuple[Device, Device]:
    """The owner's device and one that will be stolen, with a little history that both have read."""
    first = await bench.create()
    thief = await bench.login("b", confirm=True)
    await first.add(talk("chat", 3))
    for device in (first, thief):
        await device.snapshot()
    return first, thief


async def _plant(thief: Device, make: Callable[[Body, EngineRoot, Sealer], Body | bytes]) -> Head:
    """A commit by a device of the account whose body is whatever `make` says; the relay cannot look into it."""
    session, base = thief.session, await thief.snapshot()
    sealed: dict[bytes, bytes] = {}
    sealer = sealer_for(session, session.epochs()[session.keyring.epoch], sealed.__setitem__)
    made, sequence = make(base.body, base.root, sealer), next(sealer.sequences)
    if isinstance(made, Body):
        made = replace(made, sequences=dict(made.sequences) | {session.device.id: sequence}).encode()
    ref = sealer.object(ObjectType.BODY, made, sequence=sequence)
    head, delta = next_head(
        session, base.head, session.keyring, sealer, (ref, sequence), set(sealed), {base.head.body}
    )  # fmt: skip
    request = CommitRequest(head.message, delta, tuple(sealed.values()), None, None)
    await session.transport.commit(session.account, request)
    return head


ENTRY = 26
"""Bytes of one device and one number in a body's maps."""


def _filled(known: dict[bytes, int], body: Body) -> dict[bytes, int]:
    """With entries of devices that never were, until a reader just takes the body."""
    room = (LIMITS.body_bytes - 32 - len(body.encode())) // ENTRY
    return dict(known) | {secrets.token_bytes(16): 2**53 - 1 for _ in range(room)}


def _noise(body: Body, root: EngineRoot, sealer: Sealer) -> bytes:
    return b"nothing that anybody reads"


def _full_of_sequences(body: Body, root: EngineRoot, sealer: Sealer) -> Body:
    return replace(body, sequences=_filled(body.sequences, body))


def _full_of_seen(body: Body, root: EngineRoot, sealer: Sealer) -> Body:
    return replace(body, seen=_filled(body.seen, body))


def _accuse_all(body: Body, root: EngineRoot, sealer: Sealer) -> Body:
    return replace(body, sequences=dict.fromkeys(body.sequences, 2**53 - 1))


def _last_version(body: Body, root: EngineRoot, sealer: Sealer) -> Body:
    made = sealer.mirrored(ObjectType.ROOT, replace(root, version=2**53 - 1).encode())
    return replace(body, root=made)


POISONS = [_noise, _full_of_sequences, _full_of_seen, _accuse_all, _last_version]


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("poison", POISONS)
async def test_a_stolen_device_cannot_make_its_removal_impossible(bench: Bench, poison: Any, fresh: bool) -> None:
    """Whatever it commits as the newest state: an owner's device, or a fresh one, takes it back and removes it."""
    first, thief = await _pair(bench)
    head = await _plant(thief, poison)
    owner_device = await bench.login("c") if fresh else first
    async with await bench.owner(owner_device) as owner:
        await owner.undo(head.version - 1, thief.session.device.id, revoke=True, device_name="c")
    assert owner_device.session.keyring.device(thief.session.device.id) is None
    await owner_device.add(talk("chat", 1, start=1_800_000_000_000))
    for device in (first, await bench.login("d")):
        found = texts((await messages_of(await device.snapshot(fresh=True)))["chat"])
        assert len(list(found)) == 4


@pytest.mark.spec("BODY-3")
@pytest.mark.parametrize("poison", [_full_of_sequences, _full_of_seen])
async def test_nobody_commits_a_body_that_no_reader_takes(bench: Bench, poison: Any) -> None:
    """A full body is the thief's doing; the one after it would be the honest device's, and its rows would be lost."""
    first, thief = await _pair(bench)
    head = await _plant(thief, poison)
    with pytest.raises(UntrustedDataError) as caught:
        await first.add(talk("chat", 1, start=1_800_000_000_000))
    assert caught.value.failure is Failure.LIMIT
    assert "undo" in caught.value.hint  # what to do, which the reader of a body (BODY-5) could not say
    late = await bench.login("c")
    assert (await late.snapshot()).head.version >= head.version


@pytest.mark.spec("BODY-4")
async def test_nobody_commits_a_root_that_no_reader_takes(bench: Bench) -> None:
    """A stolen device leaves the last version number there is; the next import would have counted on from it."""
    first, thief = await _pair(bench)
    head = await _plant(thief, _last_version)
    with pytest.raises(UntrustedDataError) as caught:
        await first.add(talk("chat", 600, start=1_800_000_000_000))
    assert caught.value.failure is Failure.SCHEMA
    assert (await (await bench.login("c")).snapshot()).head.version == head.version


@pytest.mark.spec("KR-29")
async def test_what_is_noted_of_a_change_never_makes_the_next_one_impossible(bench: Bench) -> None:
    bench.opener = _opener(SlotKind.BOTH)
    first = await bench.create()
    async with await bench.owner(first) as owner:
        await owner.add_slot(_opener(SlotKind.BOTH), "paper" * 40)
        (key,) = [slot.key for slot in owner.slots() if not slot.this]
        await owner.remove_slot(key)  # "passphrase and recovery code removed; authority: passphrase and recovery code"
        assert len(first.vault.devices()) == 1
        await owner.add_slot(_opener(SlotKind.RECOVERY), "another")
    assert [event.what.partition(";")[0] for event in first.vault.key_events()] == [
        "account created", "slot added", "passphrase and recovery code removed", "slot added",
    ]  # fmt: skip


@pytest.mark.spec("KR-30")
async def test_a_sealed_part_that_nobody_can_read_stops_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    first, thief = await _pair(bench)
    with monkeypatch.context() as patch:  # whoever once had the root secret, for a minute
        patch.setattr(KeyringPrivate, "_content", lambda self: b"nothing that anybody reads")
        async with await bench.owner(thief) as owner:
            await owner.add_slot(_opener(SlotKind.RECOVERY), "spare")
    await first.session.sync()
    assert [device.name for device in first.vault.devices()] == ["", ""]
    async with await bench.owner(first) as owner:
        await owner.revoke(thief.session.device.id)
    assert [event.what.partition(";")[0] for event in first.vault.key_events()] == ["device removed"]


def _device() -> DeviceKeys:
    return DeviceKeys(SigningSeed(secrets.token_bytes(32)), KemSeed(secrets.token_bytes(96)))


@pytest.mark.spec("KR-28")
@pytest.mark.parametrize("shared", ["sign", "kem", "root"])
async def test_a_newcomer_with_a_key_that_is_listed_already(bench: Bench, shared: str) -> None:
    """Removing the one device would have left its key to the other."""
    first, _ = await _pair(bench)
    mine, new = first.session.device, _device()
    async with await bench.owner(first) as owner:
        sign = mine.sign.public if shared == "sign" else new.sign.public
        kem = {"sign": new.kem.public, "kem": mine.kem.public, "root": owner.root.kem.public}[shared]
        with pytest.raises(UntrustedDataError) as caught:
            await owner.add_device(sign, kem, "twin")
    assert caught.value.failure is Failure.KEYRING
    await first.add(talk("chat", 1, start=1_800_000_000_000))


@pytest.mark.spec("KR-28")
async def test_a_relay_refuses_two_devices_with_one_signing_key(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before, its list of members could not hold them: an internal error."""
    first, _ = await _pair(bench)
    refused: list[tuple[Problem, Any]] = []
    honest = first.session.transport

    async def commit(account: bytes, request: CommitRequest) -> Any:
        twin = replace(first.session.keyring.devices[0], kem_key=_device().kem.public)
        old = parse_keyring(request.keyring or b"", account=account)
        wraps = dict(old.wraps) | {recipient_id(twin.kem_key): next(iter(old.wraps.values()))}
        payload = replace(old, devices=(*old.devices, replace(twin, added=old.version)), wraps=wraps).to_cbor()
        message = cose.sign(cose.Context.KEYRING, cbor.encode(payload), owner.root.sign.public, owner.root.sign.sign)
        assert bench.relay is not None
        who = await accounts.identify(bench.relay, account, first.session.device.sign.public)
        try:
            await commits.commit(bench.relay, who, replace(request, keyring=message))
        except ProblemError as problem:
            refused.append((problem.problem, problem.extra.get("failure")))
        raise RelayUnreachable("enough seen")

    async with await bench.owner(first) as owner:
        monkeypatch.setattr(honest, "commit", commit)
        with pytest.raises(RelayUnreachable):
            await owner.add_slot(_opener(SlotKind.RECOVERY), "spare")
    assert refused == [(Problem.BAD_REQUEST, Failure.KEYRING)]


@pytest.mark.spec("RCPT-3")
async def test_a_keyring_without_a_receipt_is_not_taken_for_accepted(bench: Bench) -> None:
    first, thief = await _pair(bench)
    hostile = _behind(first)
    hostile.replace("commit", lambda honest, *_: replace(honest, keyring_receipt=None))
    pin = first.session.pin
    async with await bench.owner(first) as owner:
        with pytest.raises(UntrustedDataError) as caught:
            await owner.revoke(thief.session.device.id)
    assert caught.value.failure is Failure.RECEIPT
    assert (first.session.pin.keyring_version, first.session.pin.head_version) == (
        pin.keyring_version,
        pin.head_version,
    )


@pytest.mark.spec("RCPT-3")
async def test_an_account_without_a_receipt_for_its_keyring(bench: Bench) -> None:
    def wrap(transport: Transport) -> Hostile:
        hostile = Hostile(transport)
        hostile.replace("register", lambda honest, *_: replace(honest, keyring_receipt=None))
        return hostile

    with pytest.raises(UntrustedDataError) as caught:
        await bench.create(wrap=wrap)
    assert caught.value.failure is Failure.RECEIPT


@pytest.mark.parametrize(
    "error", [NotFound("x"), StorageFull("x"), RelayUnreachable("x"), UntrustedDataError(Failure.SCHEMA, "x")]
)
async def test_no_answer_to_a_block_stops_the_removal(bench: Bench, error: StrongroomError) -> None:
    """13.10, step 2: a relay that knows no blocks answers "not found"."""
    first, thief = await _pair(bench)

    def refuse(*_: Any) -> None:
        raise error

    _behind(first).instead("block", refuse)
    async with await bench.owner(first) as owner:
        await owner.revoke(thief.session.device.id)
    assert first.session.keyring.device(thief.session.device.id) is None


@pytest.mark.spec("BLOCK-6")
async def test_a_request_that_began_before_the_block_does_not_commit(bench: Bench) -> None:
    """A stolen device may keep requests open, with all of them sent but the last byte."""
    first, thief = await _pair(bench)
    assert bench.relay is not None
    relay, session = bench.relay, thief.session
    who = await accounts.identify(relay, session.account, session.device.sign.public)
    sent: list[CommitRequest] = []

    def keep(account: bytes, request: CommitRequest) -> None:
        sent.append(request)
        raise RelayUnreachable("still on its way")

    _behind(thief).instead("commit", keep)
    with pytest.raises(RelayUnreachable):
        await thief.add(talk("chat", 1, start=1_800_000_000_000))
    async with await bench.owner(first) as owner:
        await owner._block(session.device.id)
    with pytest.raises(ProblemError) as caught:
        await commits.commit(relay, who, sent[0])
    assert caught.value.problem is Problem.NOT_FOUND


@pytest.mark.spec("LIFE-16")
async def test_a_full_account_does_not_keep_a_stolen_device(bench: Bench) -> None:
    (await bench.open()).cap = 400_000
    first, thief = await _pair(bench)
    account, size = first.session.account, 60_000
    while size > 100:
        data = secrets.token_bytes(size)
        try:
            await thief.session.transport.put(account, object_name(data), data)
        except StorageFull:
            size //= 2
    with pytest.raises(StorageFull):
        await first.add(talk("chat", 2, ids="full"))
    async with await bench.owner(first) as owner:
        await owner.revoke(thief.session.device.id)
    assert first.session.keyring.device(thief.session.device.id) is None
    with pytest.raises(StorageFull):  # the room is for keys alone
        await first.add(talk("chat", 2, ids="full"))


def _grown(owner: Owner, last: Keyring, size: int) -> list[Keyring]:
    """Successors as long as an owner may make them, until they are more than `size` bytes."""
    chain: list[Keyring] = []
    while sum(len(keyring.message) for keyring in chain) <= size:
        cut = last.cut
        assert cut is not None
        made = replace(
            last, version=last.version + 1, previous=last.hash, private=bytes(65_536), handover=None, core=None,
            cut=replace(cut, version=cut.version + 1),
        )  # fmt: skip
        last = made.sign(owner.root.sign.sign)
        chain.append(last)
    return chain


async def test_many_changes_of_keys_do_not_lock_a_device_out(bench: Bench) -> None:
    """What a device stores of its keyrings outgrows one CBOR item of the wire: 94 changes with 64 devices sufficed."""
    first, _ = await _pair(bench)
    session = first.session
    async with await bench.owner(first) as owner:
        grown = [*session.keyrings, *_grown(owner, session.keyring, LIMITS.cbor_bytes)]
    session.remember(replace(session.pin, keyring_version=grown[-1].version, keyring_hash=grown[-1].hash), grown)
    bench.drop(first)
    again = await bench.reopen("a")
    assert again.session.keyring.hash == grown[-1].hash


@pytest.mark.spec("ROOT-6")
async def test_a_device_that_the_person_never_saw_is_not_confirmed(bench: Bench) -> None:
    """The relay shows a list without the third device to the person, and the newest one when it is confirmed."""
    first, _ = await _pair(bench)
    fresh = await bench.login("c")
    seen = fresh.vault.devices()
    async with await bench.owner(first) as owner:
        third = _device()
        await owner.add_device(third.sign.public, third.kem.public, "third")
    with pytest.raises(InvalidArgument, match="another device was added"):
        await fresh.vault.confirm_devices()
    assert len(seen) == 2
    assert not fresh.vault.writable
    assert len(fresh.vault.devices()) == 3
    await fresh.vault.confirm_devices()
    assert fresh.vault.writable


async def test_more_devices_and_slots_than_there_is_room_for(bench: Bench) -> None:
    """The person's mistake, not the relay's; a slot set that nobody parses is never made."""
    first, _ = await _pair(bench)
    async with await bench.owner(first) as owner:
        for n in range(15):
            await owner.add_slot(_opener(SlotKind.RECOVERY), str(n))
        with pytest.raises(InvalidArgument, match="at most 16"):
            await owner.add_slot(_opener(SlotKind.RECOVERY), "one too many")
        assert len(owner.slots()) == 16


@pytest.mark.spec("CLIENT-35")
async def test_the_answer_to_a_registration_is_lost(bench: Bench) -> None:
    """The account was made; its first device must not throw its keys away."""

    def lost(*_: Any) -> None:
        raise RelayUnreachable("the answer is lost")

    def wrap(transport: Transport) -> Hostile:
        hostile = Hostile(transport)
        hostile.replace("register", lost)
        return hostile

    with pytest.raises(RelayUnreachable):
        await bench.create(wrap=wrap)
    with pytest.raises(CallError, match="already a vault"):
        await bench.create()
    device = await bench.reopen("a")
    await device.add(talk("chat", 1))
    assert device.session.pin.head_version == 2


@pytest.mark.spec("CLIENT-35")
async def test_a_registration_that_was_refused_leaves_nothing(bench: Bench) -> None:
    await bench.create()
    with pytest.raises(RelayRefused):
        await bench.create(folder="b")
    assert not (bench.folder / "b" / "device.db").exists()


@pytest.mark.spec("SLOT-12")
async def test_nothing_is_asked_for_an_account_that_the_slot_was_not_made_for(bench: Bench) -> None:
    """A relay that answers an unlock with an account of its own does not get the client to take in its keyrings."""
    await bench.create()
    foreign = await bench.create("boris", folder="x")
    slots = (await bench.owner(foreign))._unlocked.slots
    mine = replace(slots.slots[0], tag=bytes(32))
    hostiles: list[Hostile] = []

    def wrap(transport: Transport) -> Hostile:
        hostiles.append(Hostile(transport))
        encoded = replace(slots, slots=(mine,)).encode()
        hostiles[0].replace(
            "unlock", lambda honest, *_: replace(honest, account=foreign.session.account, slots=encoded)
        )
        return hostiles[0]

    with pytest.raises(UntrustedDataError) as caught:
        await bench.login("c", wrap=wrap)
    assert caught.value.failure is Failure.ACCOUNT
    assert hostiles[0].calls == ["login", "unlock"]


async def test_a_lost_answer_to_a_confirmation_leaves_no_guest_secret(bench: Bench) -> None:
    await bench.create()
    fresh = await bench.login("b")

    def lost(*_: Any) -> None:
        raise RelayUnreachable("the answer is lost")

    hostile = _behind(fresh)
    hostile.replace("commit", lost)
    async with await bench.owner(fresh) as owner:
        with pytest.raises(RelayUnreachable):
            await owner.confirm("b")
    assert fresh.session.state.get("guest-epoch") is not None
    hostile.behave()
    await fresh.session.sync()
    assert fresh.vault.writable
    assert fresh.session.state.get("guest-epoch") is None
    await fresh.add(talk("chat", 1))


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("landed", [False, True])
async def test_a_lost_answer_to_a_removal_leaves_no_third_state(bench: Bench, landed: bool, crash: bool) -> None:
    first, thief = await _pair(bench)
    hostile = _behind(first)

    def lost(*_: Any) -> None:
        raise RelayUnreachable("no answer")

    (hostile.replace if landed else hostile.instead)("commit", lost)
    async with await bench.owner(first) as owner:
        with pytest.raises(RelayUnreachable):
            await owner.revoke(thief.session.device.id)
    hostile.behave()
    if crash:
        bench.drop(first)
        first = await bench.reopen("a")
    await first.add(talk("chat", 1, start=1_800_000_000_000))
    assert (first.session.keyring.device(thief.session.device.id) is None) == landed
    async with await bench.owner(first) as owner:  # the slots open the root of whichever it was
        if not landed:
            await owner.revoke(thief.session.device.id)
    with pytest.raises(NotFound):
        await thief.add(talk("chat", 1))
    assert first.session.keyring.epoch == 3
