"""Revoked devices, replaced secrets and a relay that helps them: attacks 005, 006, 013, 014, 017, 047, 060 to 064."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adversary.hostile import Hostile
from strongroom.owner import Owner
from strongroom.transport.base import CommitRequest, CommitResponse, HeadResponse
from strongroom.transport.reading import read_all
from strongroom.unlocking import SecretsOrUnlock
from strongroom_protocol.errors import Failure, NotFound, RelayRefused, StrongroomError, UntrustedDataError, WrongSecret
from strongroom_protocol.keys.epochs import open_epochs, wrap_epoch
from strongroom_protocol.keys.hpke import KemKey
from strongroom_protocol.keys.secrets import EpochSecret, KemSeed, UnlockSecret
from strongroom_protocol.keys.slots import Unlock
from strongroom_protocol.manifest.head import Delta, Head, parse_head, sign_head
from strongroom_protocol.manifest.keyring import Device as Listed
from strongroom_protocol.manifest.keyring import parse_keyring, recipient_id
from strongroom_protocol.manifest.receipt import Chain, Receipt
from strongroom_protocol.manifest.slots import SlotKind, SlotSet
from strongroom_protocol.relay_api.messages import UnlockResponse
from strongroom_protocol.relay_api.problems import Problem, ProblemError, to_error
from strongroom_protocol.seal.objects import HEADER_BYTES, Header, open_object
from strongroom_protocol.wire import cbor, cose, merkle
from vaults import Bench, Device, messages_of, talk, texts

LATER = 1_800_000_000_000


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def _passphrase(secret: bytes) -> SecretsOrUnlock:
    keys = Unlock(SlotKind.PASSPHRASE, UnlockSecret(secret))
    return lambda name, salt, kdf: keys


def _behind(device: Device) -> Hostile:
    hostile = Hostile(device.session.transport)
    device.session.transport = hostile
    return hostile


async def _family(bench: Bench, *folders: str) -> list[Device]:
    """A first device and others, all confirmed, and a little history."""
    devices = [await bench.create()]
    devices += [await bench.login(folder, confirm=True) for folder in folders]
    await devices[0].add(talk("chat", 3))
    for device in devices:
        await device.session.sync()
    return devices


async def _revoke(bench: Bench, by: Device, gone: Device) -> None:
    async with await bench.owner(by) as owner:
        await owner.revoke(gone.session.device.id)


async def _says(device: Device) -> list[str | None]:
    return list(texts((await messages_of(await device.snapshot()))["chat"]))


def _objects(bench: Bench) -> dict[bytes, bytes]:
    """Everything the relay stores."""
    assert bench.relay is not None
    store = bench.relay.store
    with store._connect() as database:
        rows = database.execute("SELECT account, name, data FROM objects").fetchall()
    return {
        bytes(name): bytes(data) if data is not None else store.files.path_of(account, bytes(name)).read_bytes()
        for account, name, data in rows
    }


def _opened(objects: dict[bytes, bytes], epochs: Any, account: bytes) -> set[bytes]:
    """The objects of which a reader of these epochs can open anything."""
    found = set()
    for name, data in objects.items():
        try:
            header = Header.parse(data[:HEADER_BYTES], "object")
            open_object(epochs, account, name, data, header.type)
        except StrongroomError:
            continue
        found.add(name)
    return found


async def test_attack_060_a_revoked_device_with_the_whole_relay_opens_nothing_new(bench: Bench) -> None:
    """It keeps every key and file it had, and is given the relay's whole storage."""
    first, thief = await _family(bench, "b")
    await first.add(talk("chat", 2, start=LATER - 10**9, ids="before"))
    await thief.snapshot()
    before = _objects(bench)
    held = dict(thief.session.epochs())
    control = _opened(before, held, first.session.account)
    assert len(control) > 3  # what it could read while it was a device
    await _revoke(bench, first, thief)
    await first.add(talk("chat", 2, start=LATER, ids="after"))
    late = await bench.login("c", confirm=True)
    await late.add(talk("other", 2, start=LATER))
    after = {name: data for name, data in _objects(bench).items() if name not in before}
    assert len(after) > 5
    assert _opened(after, held, first.session.account) == set()
    assert _opened(after, first.session.epochs(), first.session.account) != set()
    # Nor do the wraps of any later keyring open with its keys, whatever it takes them for.
    kem = thief.session.device.kem
    for keyring in late.session.keyrings[-2:]:
        assert recipient_id(kem.public) not in keyring.wraps
        with pytest.raises(UntrustedDataError):
            open_epochs(keyring, kem)
        for wrap in keyring.wraps.values():
            given = replace(keyring, wraps={recipient_id(kem.public): wrap})
            with pytest.raises(UntrustedDataError):
                open_epochs(given, kem)


def _forged(device: Device, past: Head, *, keyring: Any, epoch: int, log: tuple[bytes, ...]) -> tuple[Head, Delta]:
    """A head that the revoked device signs, on `past`, as well made as it can be."""
    body = b"\0" * 32
    delta = Delta((body,), ())
    head = sign_head(
        account=past.account, version=past.version + 1, previous=past.hash, keyring_version=keyring.version,
        keyring_hash=keyring.hash, epoch=epoch, device=device.session.device.id, sequence=2**40, body=body,
        body_size=400, log_root=merkle.root_of(log), delta=delta, time=past.time + 1,
        key=device.session.device.sign.public, signer=device.session.device.sign.sign,
    )  # fmt: skip
    return head, delta


def _accepted(bench: Bench, head: Head) -> bytes:
    """The receipt of a relay that helps."""
    assert bench.relay is not None
    return bench.relay.sign_receipt(Receipt(head.account, Chain.HEAD, head.version, head.hash, head.previous, 1))


async def test_attack_061_a_revoked_device_writes_with_the_relays_help(bench: Bench) -> None:
    """Heads under the old and under the new keyring, with receipts that are good: every honest device refuses them."""
    first, thief, other = await _family(bench, "b", "c")
    old_keyring, old_epoch = thief.session.keyring, thief.session.keyring.epoch
    await _revoke(bench, first, thief)
    await other.session.sync()
    newest = other.session.stored_head()
    size, log = other.session.pin.log()
    hostile = _behind(other)
    honest = await other.session.transport.head(newest.account, newest.version)
    assert parse_head(honest.head, account=newest.account).hash == newest.hash  # the same run unmutated passes
    await other.session.sync()
    for keyring, epoch, failures in (
        (old_keyring, old_epoch, {Failure.KEYRING, Failure.SIGNER, Failure.ROLLBACK}),
        (other.session.keyring, other.session.keyring.epoch, {Failure.SIGNER}),
    ):
        head, _ = _forged(thief, newest, keyring=keyring, epoch=epoch, log=log)
        answer = HeadResponse(head.message, _accepted(bench, head), peaks=log, consistency=(), body=None, cut_path=())
        hostile.replace("head", lambda honest, account, since, answer=answer: answer)
        pin, stored = other.session.pin, other.session.state.get("pin")
        with pytest.raises(UntrustedDataError) as caught:
            await other.session.sync()
        assert caught.value.failure in failures
        assert (other.session.pin, other.session.state.get("pin")) == (pin, stored)
        hostile.behave()
    # An honest relay takes nothing of it either.
    assert size == newest.version
    with pytest.raises(NotFound):
        await thief.session.sync()
    with pytest.raises(NotFound):
        await thief.add(talk("chat", 1, start=LATER))
    assert len(await _says(first)) == 3


async def test_attack_061_a_revoked_device_cannot_make_a_keyring(bench: Bench) -> None:
    first, thief, other = await _family(bench, "b", "c")
    await _revoke(bench, first, thief)
    await other.session.sync()
    keyring = other.session.keyring
    key = thief.session.device.sign
    added = (*keyring.devices, Listed(key.public, thief.session.device.kem.public, keyring.version + 1))
    bare = replace(keyring, version=keyring.version + 1, previous=keyring.hash, devices=added)
    message = cose.sign(cose.Context.KEYRING, cbor.encode(bare.to_cbor()), key.public, key.sign)
    with pytest.raises(UntrustedDataError):
        parse_keyring(message, account=keyring.account)
    hostile = _behind(other)
    newest = other.session.stored_head()
    assert bench.relay is not None
    hashed = hashlib.sha256(message).digest()
    receipt = bench.relay.sign_receipt(
        Receipt(keyring.account, Chain.KEYRING, keyring.version + 1, hashed, keyring.hash, 1)
    )
    head, _ = _forged(
        thief, newest, keyring=replace(bare, message=message), epoch=keyring.epoch, log=other.session.pin.log()[1]
    )
    answer = HeadResponse(head.message, _accepted(bench, head), other.session.pin.log()[1], (), None, ())
    hostile.replace("head", lambda honest, account, since: answer)
    hostile.replace(
        "keyrings", lambda honest, account, version: [(message, receipt)] if version <= keyring.version + 1 else []
    )
    stored = other.session.state.get("pin")
    with pytest.raises(UntrustedDataError):
        await other.session.sync()
    assert other.session.state.get("pin") == stored


async def test_attack_047_a_back_dated_head_of_a_revoked_device(bench: Bench) -> None:
    """The relay puts a head of the removed device before the cut, at every version from its joining on."""
    first, thief, other = await _family(bench, "b", "c")
    await first.add(talk("chat", 2, start=LATER - 10**9, ids="x"))
    await other.session.sync()
    old = thief.session.keyring
    transport = first.session.transport
    heads = [
        parse_head((await transport.head_at(first.session.account, version)).head, account=first.session.account)
        for version in range(1, first.session.pin.head_version + 1)
    ]
    await _revoke(bench, first, thief)
    hostile = _behind(other)
    for past in heads[1:]:
        log: tuple[bytes, ...] = ()
        for index, head in enumerate(heads[: past.version]):
            log = merkle.append(index, log, head.hash)
        forged, _ = _forged(thief, past, keyring=old, epoch=old.epoch, log=log)
        answer = HeadResponse(forged.message, _accepted(bench, forged), log, (), None, ())
        for victim, since in ((other, "pinned before"), (other, "pinned after")):
            if since == "pinned after":
                hostile.behave()
                await victim.session.sync()
            hostile.replace("head", lambda honest, account, since, answer=answer: answer)
            stored = victim.session.state.get("pin")
            known = forged.version > victim.session.pin.head_version and since == "pinned before"
            if known:
                continue  # before the removal reached it, the branch is that of a device it still trusts: case 062
            with pytest.raises(UntrustedDataError):
                await victim.session.sync()
            assert victim.session.state.get("pin") == stored
    # A fresh device takes the newest keyring, and its cut is not in a log that goes on from the forged head.
    hostile_login: list[Hostile] = []

    def wrap(honest: Any) -> Hostile:
        hostile_login.append(Hostile(honest))
        hostile_login[0].replace("head", lambda honest, account, since: answer)
        return hostile_login[0]

    with pytest.raises(UntrustedDataError):
        await bench.login("d", wrap=wrap)
    assert not (bench.folder / "d" / "device.db").exists()
    await bench.login("e")


async def test_attack_062_a_suppressed_revocation(bench: Bench) -> None:
    """The relay keeps the removal from one device. Who knows of it never goes back; the other, once told, neither."""
    first, thief, away = await _family(bench, "b", "c")
    transport = first.session.transport
    since = away.session.pin.head_version
    frozen = {version: await transport.head(first.session.account, version) for version in (None, since)}
    chain = await transport.keyrings(first.session.account, 1)
    hostile = _behind(away)

    def suppress() -> None:
        hostile.instead("head", lambda account, since: frozen.get(since) or frozen[None])
        hostile.instead("keyrings", lambda account, version: chain[version - 1 :])

    suppress()
    await _revoke(bench, first, thief)
    await away.session.sync()  # the bound of what can be known: an old state is a valid one
    assert away.session.keyring.device(thief.session.device.id) is not None
    # What it writes meanwhile lands nowhere at an honest relay before it knows: the swap tells it.
    hostile.behave()
    await away.add(talk("chat", 1, start=LATER, ids="late"))
    assert away.session.keyring.device(thief.session.device.id) is None
    assert away.session.stored_head().epoch == first.session.keyring.epoch
    suppress()
    stored = away.session.state.get("pin")
    with pytest.raises(UntrustedDataError) as caught:
        await away.session.sync()
    assert caught.value.failure in {Failure.KEYRING, Failure.ROLLBACK}
    assert away.session.state.get("pin") == stored
    away.session.base = None  # as a device that begins anew; a running one goes on from its own commit
    with pytest.raises(UntrustedDataError):
        await away.add(talk("chat", 1, start=LATER + 10**6, ids="later"))
    hostile.behave()
    assert "chat says 0" in await _says(away)


class _Turns:
    """Lets the calls of several devices through in one given order."""

    def __init__(self, order: Iterable[int]) -> None:
        self.order = list(order)
        self.moved = asyncio.Condition()

    async def turn(self, who: int) -> None:
        async with self.moved:
            await self.moved.wait_for(lambda: not self.order or self.order[0] == who)

    async def done(self, who: int, *, all_of_it: bool = False) -> None:
        async with self.moved:
            if all_of_it:
                self.order = [other for other in self.order if other != who]
            elif who in self.order:
                self.order.remove(who)
            self.moved.notify_all()


@pytest.mark.parametrize("order", sorted(set(itertools.permutations((0, 0, 1, 1)))), ids=str)
async def test_attack_063_two_devices_that_remove_each_other(bench: Bench, order: tuple[int, ...]) -> None:
    """Every interleaving of their blocks and commits: one result, never zero devices, and the survivor can write."""
    first, second = await _family(bench, "b")
    turns = _Turns(order)

    async def removal(number: int, by: Device, gone: Device) -> None:
        transport: Any = by.session.transport
        for call in ("block", "commit"):
            honest = getattr(transport, call)

            async def gated(*arguments: Any, honest: Any = honest) -> Any:
                await turns.turn(number)
                try:
                    return await honest(*arguments)
                finally:
                    await turns.done(number)

            setattr(transport, call, gated)
        try:
            async with await bench.owner(by) as owner:
                await owner.revoke(gone.session.device.id)
        finally:
            await turns.done(number, all_of_it=True)

    results = await asyncio.gather(
        removal(0, first, second), removal(1, second, first), return_exceptions=True
    )  # fmt: skip
    failed = [result for result in results if result is not None]
    assert len(failed) == 1
    assert isinstance(failed[0], StrongroomError)
    winner, loser = (first, second) if results[0] is None else (second, first)
    await winner.add(talk("chat", 1, start=LATER))
    assert [device.id for device in winner.session.keyring.devices] == [winner.session.device.id]
    with pytest.raises(NotFound):
        await loser.session.sync()


async def test_attack_064_a_device_id_under_other_keys(bench: Bench) -> None:
    """Even the root cannot give an id to other keys: whoever pinned the device would wrap to a stranger."""
    first, other = await _family(bench, "b")
    keyring = other.session.keyring
    stranger = KemKey(KemSeed(bytes(range(96))))
    async with await bench.owner(first) as owner:
        fields = keyring.to_cbor() | {3: keyring.version + 1, 4: keyring.hash, 17: None, 16: None}
        fields[14] = {1: other.session.pin.head_version, 2: other.session.pin.head_hash}
        fields[8] = [dict(item) for item in fields[8]]
        fields[8][0][3] = stranger.public
        message = cose.sign(cose.Context.KEYRING, cbor.encode(fields), owner.root.sign.public, owner.root.sign.sign)
    with pytest.raises(UntrustedDataError) as caught:
        parse_keyring(message, account=keyring.account)
    assert caught.value.failure is Failure.KEYRING


async def test_attack_014_the_old_slots_after_a_change_of_passphrase(bench: Bench) -> None:
    """A device that knows the new state refuses them; a fresh one without an anchor sees the old state, and no more."""
    bench.opener = _passphrase(b"old" + bytes(29))
    first = await bench.create()
    await first.add(talk("chat", 2))
    transport = first.session.transport
    account = first.session.account
    old_chain = await transport.keyrings(account, 1)
    old_head = await transport.head(account, None)
    asked = await transport.login("anna")
    assert bench.relay is not None
    with bench.relay.store._connect() as database:
        (old_slots,) = database.execute("SELECT slots FROM accounts WHERE id = ?", (account,)).fetchone()
    async with await bench.owner(first) as owner:
        await owner._reslot(
            "passphrase changed", {bytes.fromhex(owner.slots()[0].key)}, _passphrase(b"new" + bytes(29))
        )
    await first.add(talk("chat", 2, start=LATER, ids="new"))

    def old_state(hostile: Hostile) -> None:
        hostile.instead("login", lambda name: asked)
        hostile.instead("unlock", lambda name, statement, of: _unlocked(account, bytes(old_slots)))
        hostile.instead("keyrings", lambda account, version: old_chain[version - 1 :])
        hostile.instead("head", lambda account, since: old_head)

    with pytest.raises(WrongSecret):  # honest: the old passphrase opens nothing
        await bench.login("b")
    hostile = _behind(first)
    old_state(hostile)
    stored = first.session.state.get("pin")
    for call in (first.session.sync, lambda: bench.owner(first)):
        with pytest.raises(StrongroomError) as caught:
            await call()
        assert isinstance(caught.value, (UntrustedDataError, WrongSecret))
        assert first.session.state.get("pin") == stored
    hostile.behave()

    def wrap(honest: Any) -> Hostile:
        made = Hostile(honest)
        old_state(made)
        # Its key is not admitted at the honest relay behind: what an accomplice would hand out is read for it.
        made.instead("read", lambda account, ranges: read_all(lambda rest: transport.read(account, rest), ranges))
        return made

    fresh = await bench.login("c", wrap=wrap)
    assert not fresh.vault.writable
    assert await _says(fresh) == ["chat says 0", "chat says 1"]  # the old state, as the threat model says
    with pytest.raises(StrongroomError):
        await fresh.add(talk("chat", 1, start=LATER))


def _unlocked(account: bytes, slots: bytes) -> Any:
    return UnlockResponse(account, slots, LATER)


async def test_attack_006_a_slot_of_the_relay_gets_no_root_secret(bench: Bench) -> None:
    """The relay slips a slot and a device of its own into what a change of secrets begins with."""
    first, other = await _family(bench, "b")
    evil = Unlock(SlotKind.RECOVERY, UnlockSecret(b"e" * 32))
    hostile = _behind(first)
    sent: list[CommitRequest] = []

    def watch(honest: CommitResponse, account: bytes, request: CommitRequest) -> CommitResponse:
        sent.append(request)
        return honest

    def planted(honest: Any, name: str, statement: bytes, account: bytes | None) -> Any:
        slots = SlotSet.parse(honest.slots, account=honest.account)
        like = slots.slots[0]
        theirs = replace(like, unlock_key=evil.sign.public, kem_key=evil.kem.public)
        return replace(honest, slots=replace(slots, slots=(*slots.slots, theirs)).encode())

    hostile.replace("commit", watch)
    async with await bench.owner(first) as owner:  # unmutated, a change goes through
        await owner.add_slot(_passphrase(b"p" * 32), "typed")
    assert len(sent) == 1
    hostile.replace("unlock", planted)
    stored = first.session.state.get("pin")
    with pytest.raises(UntrustedDataError) as caught:
        await bench.owner(first)
    assert caught.value.failure is Failure.SLOTS
    assert len(sent) == 1
    assert first.session.state.get("pin") == stored
    # And no wrap that was ever sent is for a key that is not listed.
    keyring = first.session.keyring
    slots = SlotSet.parse(sent[0].slots or b"", account=keyring.account)
    assert evil.kem.public not in {slot.kem_key for slot in slots.slots}
    assert set(keyring.wraps) == {
        recipient_id(keyring.root_kem_key),
        *(recipient_id(d.kem_key) for d in keyring.devices),
    }
    assert other.session.device.id in {device.id for device in keyring.devices}


async def test_attack_017_nothing_that_a_relay_says_makes_a_client_rotate_keys(bench: Bench) -> None:
    """Every refusal it can give, to every call: no keyring, no slot set and no unlock is ever sent."""
    first = (await _family(bench))[0]
    hostile = _behind(first)
    for problem in Problem:
        for call in ("head", "keyrings", "commit", "read", "usage"):
            hostile.behave()

            def refuse(*arguments: Any, problem: Problem = problem) -> None:
                raise to_error(ProblemError(problem))

            hostile.instead(call, refuse)
            first.session.base = None
            try:
                await first.add(talk("chat", 1, start=LATER, ids=f"{problem.code}-{call}"))
                await first.session.transport.usage(first.session.account)
            except StrongroomError:
                pass
            assert not {"unlock", "login", "block", "register"} & set(hostile.calls)
            sent = [entry[2] for entry in hostile.trace if entry[0] == "commit"]
            assert all(request.keyring is None and request.slots is None for request in sent)
    hostile.behave()
    await first.add(talk("chat", 1, start=LATER + 10**6))
    assert first.session.keyring.version == 1


async def test_attack_013_a_device_is_not_locked_out_by_strangers(bench: Bench) -> None:
    """Ten thousand guesses at the passphrase: the owner's device still unlocks, and still saves."""
    bench.opener = _passphrase(b"right" + bytes(27))
    first = await bench.create()
    transport = await bench.transport()
    refusals = 0
    asked = await transport.login("anna")
    for number in range(10_000):
        wrong = _passphrase(number.to_bytes(32, "big"))
        keys = wrong("anna", asked.salt, asked.kdf)
        statement = cbor.encode(
            {1: asked.challenge, 2: transport.origin, 3: "anna", 4: "open", 5: asked.time, 6: bytes(32)}
        )
        try:
            await transport.unlock("anna", cose.sign(cose.Context.UNLOCK, statement, keys.sign.public, keys.sign.sign))
        except (WrongSecret, RelayRefused) as error:
            refusals += isinstance(error, WrongSecret)
    assert refusals <= 11  # so many were looked at; the others were refused unread
    with pytest.raises(RelayRefused):  # a stranger's device, with the right passphrase, has to wait
        await bench.login("b")
    async with await Owner.unlock(first.session, "anna", bench.opener) as owner:
        await owner.add_slot(_passphrase(b"p" * 32), "typed")
    await first.add(talk("chat", 1))


async def test_attack_005_a_wrap_replaced_by_the_relay_is_never_sealed_under(bench: Bench) -> None:
    """The relay replaces, in the newest keyring, the wrap for a device by one of an epoch secret of its own."""
    first, other = await _family(bench, "b")
    async with await bench.owner(first) as owner:
        await owner.add_slot(_passphrase(b"p" * 32), "typed")  # a keyring that `other` has not seen
    hostile = _behind(other)

    def replaced(honest: list[tuple[bytes, bytes]], account: bytes, version: int) -> list[tuple[bytes, bytes]]:
        changed = []
        for message, receipt in honest:
            parts = cbor.decode(message)
            payload = cbor.decode(parts[2])
            key = other.session.device.kem.public
            for wrap in payload[11]:
                if wrap[1] == recipient_id(key):
                    wrap[2] = wrap_epoch(EpochSecret(b"R" * 32), key, account=account, number=payload[10][-1][1])
            parts[2] = cbor.encode(payload)
            changed.append((cbor.encode(parts), receipt))
        return changed

    hostile.replace("keyrings", replaced)
    stored = other.session.state.get("pin")
    with pytest.raises(UntrustedDataError) as caught:
        await other.add(talk("chat", 1, start=LATER))
    assert caught.value.failure is Failure.SIGNATURE
    assert other.session.state.get("pin") == stored
    assert not {"put", "commit"} & set(hostile.calls)
    hostile.behave()
    await other.add(talk("chat", 1, start=LATER))
