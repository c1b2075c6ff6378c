"""Attacks on what a person types: 003, 004, 008, 010, 011, 012, 016."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from adversary.collision import ENC_BYTES, colliding, hpke_key
from adversary.hostile import Hostile, shape
from strongroom import account
from strongroom.unlocking import SecretsOrUnlock
from strongroom_protocol.errors import Failure, StrongroomError, UntrustedDataError, WrongSecret
from strongroom_protocol.keys import slots as slots_module
from strongroom_protocol.keys import table
from strongroom_protocol.keys.hpke import wrap
from strongroom_protocol.keys.secrets import Passphrase, RecoveryCode, UnlockSecret
from strongroom_protocol.keys.slots import Unlock, unlock
from strongroom_protocol.keys.table import Key, derive
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.manifest.slots import Kdf, Slot, SlotKind, SlotSet
from strongroom_protocol.relay_api.messages import LoginResponse, UnlockResponse
from vaults import NAME, Bench, opener, talk

PHRASE = b"correct horse battery staple"
PRESET = Kdf.preset()
LEGAL = [
    Kdf(PRESET.memory_kib + 1, PRESET.passes, PRESET.lanes),
    Kdf(LIMITS.kdf_memory_kib_max, PRESET.passes, PRESET.lanes),
    *(Kdf(PRESET.memory_kib, passes, PRESET.lanes) for passes in range(PRESET.passes + 1, LIMITS.kdf_passes_max + 1)),
]


@pytest.fixture
def argon(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, int]]:
    """Counts calls of Argon2id; in its place a quick hash of everything that it gets."""
    calls: list[dict[str, int]] = []

    def quick(secret: bytes, salt: bytes, **options: Any) -> bytes:
        calls.append(options)
        return hashlib.sha256(repr((secret, salt, sorted(options.items(), key=str))).encode()).digest()

    monkeypatch.setattr(slots_module, "hash_secret_raw", quick)
    return calls


def phrase(typed: bytes = PHRASE) -> SecretsOrUnlock:
    return account.with_secrets(Passphrase(typed), None)


async def _refused(bench: Bench, hostile: Hostile, used: SecretsOrUnlock, *kinds: type[StrongroomError]) -> list[str]:
    """A login is refused and leaves nothing behind; the calls that it made."""
    folder = bench.folder / "refused"
    hostile.trace.clear()
    with pytest.raises(kinds):
        await account.login(folder, hostile, relay="file:///x", name=NAME, opener=used)
    assert not (folder / "device.db").exists()
    assert {"put", "commit", "missing", "read", "head"}.isdisjoint(hostile.calls)
    return hostile.calls


async def _accepted(bench: Bench, hostile: Hostile, used: SecretsOrUnlock) -> None:
    hostile.behave()
    session = await account.login(bench.folder / "accepted", hostile, relay="file:///x", name=NAME, opener=used)
    session.state.close()
    hostile.behave()


@pytest.fixture
async def bench(tmp_path: Path, argon: list[dict[str, int]]) -> Any:
    made = Bench(tmp_path, opener=phrase())
    yield made
    made.close()


@dataclasses.dataclass(frozen=True, slots=True)
class Held:
    """What the relay holds of an account."""

    answer: UnlockResponse
    keyrings: list[tuple[bytes, bytes]]

    @property
    def slots(self) -> SlotSet:
        return SlotSet.parse(self.answer.slots, account=self.answer.account)

    def give(self, hostile: Hostile, slots: SlotSet | None = None) -> None:
        """From now on to whoever asks, without looking at signatures: these slots and the keyrings."""
        answer = self.answer if slots is None else replace(self.answer, slots=slots.encode())
        hostile.instead("unlock", lambda *_: answer)
        hostile.instead("keyrings", lambda _, first: self.keyrings[first - 1 :])


async def _held(bench: Bench, name: str = NAME) -> Held:
    hostile = Hostile(await bench.transport())
    answers: list[UnlockResponse] = []
    keyrings: list[tuple[bytes, bytes]] = []

    def unlocked(honest: UnlockResponse, *_: Any) -> UnlockResponse:
        answers.append(honest)
        return honest

    def chain(honest: list[tuple[bytes, bytes]], *_: Any) -> list[tuple[bytes, bytes]]:
        keyrings.extend(honest)
        return honest

    hostile.replace("unlock", unlocked)
    hostile.replace("keyrings", chain)
    session = await account.login(bench.folder / name, hostile, relay="file:///x", name=name, opener=bench.opener)
    session.state.close()
    return Held(answers[0], keyrings)


# The header -----------------------------------------------------------------------------------------------------------


async def test_attack_003_kdf_header_changed_within_the_limits(bench: Bench, argon: list[dict[str, int]]) -> None:
    """Other memory, other passes, any bit of the salt: the keys are others, also where the relay gives slots freely."""
    await bench.create()
    held = await _held(bench)
    hostile = Hostile(await bench.transport())
    await _accepted(bench, hostile, phrase())
    changes: list[Callable[[LoginResponse], LoginResponse]] = [
        lambda honest, kdf=kdf: replace(honest, kdf=kdf) for kdf in LEGAL  # type: ignore[misc]
    ]  # fmt: skip
    changes += [
        lambda honest, bit=bit: replace(honest, salt=_flipped(honest.salt, bit))  # type: ignore[misc]
        for bit in (0, 7, 100, 255)
    ]
    argon.clear()
    for change in changes:
        hostile.replace("login", lambda honest, _, change=change: change(honest))
        held.give(hostile)
        await _refused(bench, hostile, phrase(), WrongSecret)
    assert len(argon) == len(changes)  # once a login and nothing tried twice
    hostile.behave()
    hostile.replace("login", lambda honest, _: changes[0](honest))
    assert await _refused(bench, hostile, phrase(), WrongSecret) == ["login", "unlock"]


def test_attack_003_every_bit_of_salt_and_every_parameter_gives_other_keys(argon: list[dict[str, int]]) -> None:
    salt = secrets.token_bytes(32)
    given = [(salt, PRESET), *((salt, kdf) for kdf in LEGAL), *((_flipped(salt, bit), PRESET) for bit in range(256))]
    keys = [
        slots_module._stretch(Passphrase(PHRASE), NAME, salt, kdf) for salt, kdf in given
    ]  # fmt: skip
    assert len(set(keys)) == len(given) == len(argon)


async def test_attack_003_a_device_that_knows_the_account_derives_nothing(
    bench: Bench, argon: list[dict[str, int]]
) -> None:
    device = await bench.create()
    hostile = Hostile(device.session.transport)
    device.session.transport = hostile
    hostile.replace("login", lambda honest, _: replace(honest, salt=bytes(32)))
    argon.clear()
    pin = device.session.pin
    with pytest.raises(UntrustedDataError) as caught:
        await bench.owner(device, phrase())
    assert (caught.value.failure, hostile.calls, argon) == (Failure.KDF, ["login"], [])
    assert device.session.pin == pin
    hostile.behave()
    (await bench.owner(device, phrase())).close()


async def test_attack_004_everything_of_another_account_of_the_same_passphrase(bench: Bench) -> None:
    """Salt, slots and keyrings of berta for anna: the name is in the derivation, so the same words open nothing."""
    await bench.create()
    await bench.create("berta", folder="other")
    hostile = Hostile(await bench.transport())
    await _accepted(bench, hostile, phrase())
    held = await _held(bench, "berta")

    async def berta(_: str) -> LoginResponse:
        found: LoginResponse = await hostile.honest.login("berta")
        return found

    hostile.instead("login", berta)
    held.give(hostile)
    assert await _refused(bench, hostile, phrase(), WrongSecret) == ["login", "unlock"]


def _flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


# Oracles --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 4, 6])
async def test_attack_008_a_wrap_that_opens_under_many_guesses(tmp_path: Path, count: int) -> None:
    """The relay knows `count` guesses and gives each its slot, all with one wrap that opens under every one of them."""
    right = secrets.token_bytes(32)
    bench = Bench(tmp_path, opener=opener(right))
    await bench.create()
    held = await _held(bench)
    found, account_id = held.slots, held.answer.account
    guesses = [right, *(secrets.token_bytes(32) for _ in range(count - 1))]
    keys = [Unlock(SlotKind.RECOVERY, UnlockSecret(guess)) for guess in guesses]
    bare = [Slot(key.kind, key.sign.public, key.kem.public, b"", key.tag(account_id)) for key in keys]
    infos = [slots_module._wrap_info(account_id, found.salt, found.kdf, slot) for slot in bare]
    enc = wrap(keys[0].kem.public, b"", info=b"")[:ENC_BYTES]
    shared = enc + colliding(
        [hpke_key(derive(Key.SLOT_KEM, guess), enc, info) for guess, info in zip(guesses, infos, strict=True)]
    )
    for key, info in zip(keys, infos, strict=True):
        assert len(key.kem.open(shared, info=info, subject="slot")) == 16 * (count + 1)  # the fixture: it opens
    planted = replace(found, slots=tuple(replace(slot, wrap=shared) for slot in bare))
    hostile = Hostile(await bench.transport())
    await _accepted(bench, hostile, bench.opener)
    shapes = []
    for slots in (planted, replace(planted, slots=planted.slots[: count // 2])):  # a set that splits the guesses
        held.give(hostile, slots)
        for guess in (*guesses, secrets.token_bytes(32)):
            await _refused(bench, hostile, opener(guess), UntrustedDataError, WrongSecret)
            shapes.append(shape(hostile.trace))
    assert all(one == shapes[0] for one in shapes)
    bench.close()


async def test_attack_010_no_request_tells_whether_the_secret_was_right(tmp_path: Path) -> None:
    """Whatever the relay changes in a slot: with the right words and with wrong ones the same requests follow."""
    right = opener()
    bench = Bench(tmp_path, opener=right)
    await bench.create()
    held = await _held(bench)
    found = held.slots

    def each(change: Callable[[Slot], Slot]) -> SlotSet:
        return replace(found, slots=tuple(map(change, found.slots)))

    answers = {
        f"wrap {place}": each(lambda slot, place=place: replace(slot, wrap=_flipped(slot.wrap, place * 8)))  # type: ignore[misc]
        for place in (0, 1087, 1088, 1119, 1120, -1)
    }
    answers |= {
        "tag": each(lambda slot: replace(slot, tag=bytes(32))),
        "unlock key": each(lambda slot: replace(slot, unlock_key=bytes(32))),
        "kem key": each(lambda slot: replace(slot, kem_key=bytes(len(slot.kem_key)))),
        "salt": replace(found, salt=bytes(32)),
        "kdf": replace(found, kdf=LEGAL[0]),
    }
    hostile = Hostile(await bench.transport())
    await _accepted(bench, hostile, right)
    shapes = {}
    for name, slots in answers.items():
        held.give(hostile, slots)
        for used in (right, opener()):
            await _refused(bench, hostile, used, UntrustedDataError, WrongSecret)
            shapes[name, used is right] = shape(hostile.trace)
    first = next(iter(shapes.values()))
    assert [name for name, found in shapes.items() if found != first] == []
    assert [call[0] for call in first] == ["login", "unlock"]
    # A set with a slot that opens is compared with the keyring: who has the right words asks for that, as always.
    held.give(hostile, replace(found, blind=bytes(32)))
    assert await _refused(bench, hostile, right, UntrustedDataError) == ["login", "unlock", "keyrings", "keyrings"]
    assert await _refused(bench, hostile, opener(), WrongSecret) == ["login", "unlock"]
    bench.close()


# Guessing -------------------------------------------------------------------------------------------------------------


async def test_attack_011_a_guess_costs_one_whole_argon2id(bench: Bench, argon: list[dict[str, int]]) -> None:
    """With all that the relay stores a guess can be tested: by one Argon2id at the floor, for one account at a time."""
    await bench.create()
    await bench.create("berta", folder="other")
    found = (await _held(bench)).slots
    stored = {slot.unlock_key for slot in found.slots}
    guesses = [b"%d wrong words" % n for n in range(50)] + [PHRASE]
    argon.clear()
    hits = [
        guess for guess in guesses
        if unlock(name=NAME, salt=found.salt, kdf=found.kdf, passphrase=Passphrase(guess)).sign.public in stored
    ]  # fmt: skip
    assert hits == [PHRASE]
    assert len(argon) == len(guesses)
    assert {(call["memory_cost"], call["time_cost"]) for call in argon} == {(256 * 1024, 3)}
    salts = {slots_module.argon2_salt(name, salt) for name in (NAME, "berta") for salt in (found.salt, bytes(32))}
    assert len(salts) == 4  # what was computed for one account is worth nothing for the other


async def test_attack_011_with_two_secrets_guessing_is_hopeless(bench: Bench, argon: list[dict[str, int]]) -> None:
    """The right passphrase without the code gives none of the values that are stored."""
    code = RecoveryCode(secrets.token_bytes(20))
    bench.opener = account.with_secrets(Passphrase(PHRASE), code)
    await bench.create()
    held = await _held(bench)
    (slot,), salt, kdf, account_id = held.slots.slots, held.slots.salt, PRESET, held.answer.account
    tried = {
        "both": unlock(name=NAME, salt=salt, kdf=kdf, passphrase=Passphrase(PHRASE), code=code),
        "passphrase": unlock(name=NAME, salt=salt, kdf=kdf, passphrase=Passphrase(PHRASE)),
        "code": unlock(name=NAME, salt=salt, kdf=kdf, code=code),
        "another code": unlock(
            name=NAME, salt=salt, kdf=kdf, passphrase=Passphrase(PHRASE), code=RecoveryCode(secrets.token_bytes(20))
        ),
    }  # fmt: skip
    fits = {
        name for name, key in tried.items()
        if slot.unlock_key == key.sign.public or slot.kem_key == key.kem.public or slot.tag == key.tag(account_id)
    }  # fmt: skip
    assert fits == {"both"}


async def test_attack_012_the_passphrase_is_read_by_argon2id_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In all that a vault does only the stretching reads it; if that gave one value for all, so would the rest."""
    readers: set[str] = set()
    reveal = Passphrase.reveal

    def watched(self: Passphrase) -> bytes:
        if type(self) is Passphrase:
            frame = inspect.currentframe()
            assert frame is not None
            assert frame.f_back is not None
            readers.add(f"{frame.f_back.f_globals['__name__']}.{frame.f_back.f_code.co_name}")
        return reveal(self)

    monkeypatch.setattr(Passphrase, "reveal", watched)
    monkeypatch.setattr(slots_module, "hash_secret_raw", lambda *_, **__: bytes(range(32)))
    bench = Bench(tmp_path, opener=phrase())
    device = await bench.create()
    await device.add(talk("chat", 3))
    await bench.login("b", confirm=True)
    async with await bench.owner(device) as owner:
        await owner.change_passphrase(Passphrase(b"another set of words"))
    assert readers == {"strongroom_protocol.keys.slots._stretch"}
    one, other = (
        unlock(name=NAME, salt=bytes(32), kdf=PRESET, passphrase=Passphrase(typed)) for typed in (PHRASE, b"other")
    )
    assert (one.sign.public, one.kem.public, one.tag(bytes(32))) == (
        other.sign.public, other.kem.public, other.tag(bytes(32)),
    )  # fmt: skip
    bench.close()


PUBLIC = {Key.EPOCH_CHECK, Key.SLOT_ACCOUNT}
"""Rows of the key table whose value is meant to be seen."""


class _Derivations:
    """HKDF that remembers what it gave out, by label."""

    def __init__(self, **options: Any) -> None:
        self._label = options["info"].split(b"\0")[0].decode().removeprefix("strongroom/v1/")
        self._real = HKDF(**options)

    def derive(self, ikm: bytes) -> bytes:
        found = self._real.derive(ikm)
        self.made.setdefault(self._label, set()).add(found)
        return found

    made: dict[str, set[bytes]]


async def test_attack_016_no_derived_secret_is_ever_sent_or_stored_by_the_relay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every key of the table that a vault derives, looked for in every request and in the relay's files."""
    monkeypatch.setattr(_Derivations, "made", {}, raising=False)
    monkeypatch.setattr(table, "HKDF", _Derivations)
    seen: list[Hostile] = []

    def wrapped(transport: Any) -> Hostile:
        seen.append(Hostile(transport))
        return seen[-1]

    bench = Bench(tmp_path, opener=account.with_secrets(None, RecoveryCode(secrets.token_bytes(20))))
    device = await bench.create(wrap=wrapped)
    await device.add(talk("chat", 50))
    await bench.login("b", wrap=wrapped, confirm=True)
    async with await bench.owner(device) as owner:
        await owner.revoke(bench.devices[1].session.device.id)
    await device.add(talk("chat", 50, start=1_710_000_000_000))
    public = {key.value[0] for key in PUBLIC}
    private = {value for label, made in _Derivations.made.items() if label not in public for value in made}
    # Of an object's 64 bytes the second half is its commitment, which stands in its header; the first is the key.
    private = {value[:32] for value in private}
    assert {"unlock-sign", "slot-kem", "root-sign", "epoch", "object", "salt"} <= set(_Derivations.made)
    sent = b"|".join(piece for hostile in seen for entry in hostile.trace for piece in _pieces(entry))
    bench.close()
    stored = b"|".join(path.read_bytes() for path in sorted((tmp_path / "relay").rglob("*")) if path.is_file())
    assert next(iter(_Derivations.made["epoch-check"])) in sent  # the control: what is public is found
    assert [value.hex() for value in private if value in sent or value in stored] == []


def _pieces(item: Any) -> Iterator[bytes]:
    if isinstance(item, (bytes, memoryview)):
        yield bytes(item)
    elif isinstance(item, str):
        yield item.encode()
    elif isinstance(item, (tuple, list)):
        for part in item:
            yield from _pieces(part)
    elif dataclasses.is_dataclass(item):
        for field in dataclasses.fields(item):
            yield from _pieces(getattr(item, field.name))
