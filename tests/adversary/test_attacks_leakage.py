"""What sizes and requests tell a relay: attacks 066, 067, 068, 072, 073."""

from __future__ import annotations

import dataclasses
import http.client
import io
import random
from pathlib import Path
from typing import Any

import pytest

from adversary.hostile import Hostile
from relay_process import RelayProcess
from strongroom import session as session_module
from strongroom.commit import commit
from strongroom.engine.fold import fold
from strongroom_protocol.relay_api import messages
from strongroom_protocol.rows.model import Op, Row
from strongroom_protocol.seal.objects import ObjectType
from strongroom_protocol.wire.padding import padme
from vaults import Bench, Device, create_at, opener, talk

NOW = 1_750_000_000_000
HEX = "0123456789abcdef"


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clocks and gaps between sequences, which are of no one's content, do not vary the lengths of integers."""
    monkeypatch.setattr(session_module, "SEQUENCE_GAP", 1)
    monkeypatch.setattr(session_module, "now_ms", lambda: NOW)


def _text(seed: int, length: int) -> str:
    """Text that does not compress well below 4 bits a character."""
    return "".join(random.Random(seed).choices(HEX, k=length))


def _sizes(item: Any) -> Any:
    """What a relay sees of a request: every length and number, nothing that is random."""
    if isinstance(item, (bytes, memoryview)):
        return len(item)
    if isinstance(item, (tuple, list)):
        return tuple(map(_sizes, item))
    if dataclasses.is_dataclass(item):
        return tuple(_sizes(getattr(item, field.name)) for field in dataclasses.fields(item))
    return item if isinstance(item, (str, int, type(None))) else type(item).__name__


def _behind(device: Device) -> Hostile:
    hostile = Hostile(device.session.transport)
    device.session.transport = hostile
    return hostile


async def _folding(change: Any) -> bool:
    await fold(change)
    return True


def _rows(chat: str, texts: list[str], *, start: int = 1_700_000_000_000) -> list[tuple[str, Row]]:
    return [(chat, Row(Op.PUT, start + n * 1000, id=f"i{n:05}", text=text)) for n, text in enumerate(texts)]


# Lengths --------------------------------------------------------------------------------------------------------------


async def test_attack_066_messages_of_one_bucket_look_alike(tmp_path: Path, steady: None) -> None:
    """Commits of one message of 1 to 1,500 characters each: as many different sizes as PADMÉ has lengths there."""
    bench = Bench(tmp_path)
    device = await bench.create()
    hostile = _behind(device)
    lengths = [*range(1, 60, 7), *range(60, 1500, 60)]
    seen: dict[int, int] = {}
    for n, length in enumerate(lengths):
        hostile.trace.clear()
        await device.add(_rows("chat", [_text(n, length)], start=1_700_000_000_000 + n * 10**6))
        (request,) = [entry[2] for entry in hostile.trace if entry[0] == "commit"]
        (seen[length],) = [len(data) for data in request.objects if data[1] == ObjectType.BATCH]
    assert len({seen[length] for length in lengths if length < 60}) == 1
    buckets = {max(256, padme(length)) + 94 + 16 for length in range(1, 2000)}
    assert set(seen.values()) <= buckets
    assert 3 < len(set(seen.values())) < len(lengths)
    bench.close()


# Compression ----------------------------------------------------------------------------------------------------------

QUIET = [f"{n} nothing of interest" for n in range(700)]


async def _world(folder: Path, secret: str, guess: str, *, same_chat: bool = False, many: bool = False) -> Any:
    """What the relay sees when `guess` is sent to a vault in which another conversation holds `secret`."""
    bench = Bench(folder)
    device = await bench.create()
    quiet = QUIET[: 700 if many else 20]
    await device.add(_rows("mine", [*quiet, f"the password is {secret}"]))
    hostile = _behind(device)
    chat = "mine" if same_chat else "theirs"
    mixed = [*_rows(chat, [*quiet, f"the password is {guess}"], start=1_710_000_000_000), *_rows("third", ["x"])]
    await device.add(mixed)
    both = _rows("mine", [f"again {secret}"], start=1_720_000_000_000)
    await device.add([*both, *_rows(chat, [f"again {guess}"], start=1_720_000_000_000)])
    await commit(device.session, _folding)
    await device.vault.compact()
    fresh = await bench.login("fresh", wrap=Hostile)
    await fresh.vault.restore()
    await fresh.vault.chats()
    found = _sizes(hostile.trace), _sizes(getattr(fresh.session.transport, "trace"))  # noqa: B009
    bench.close()
    return found


@pytest.mark.parametrize("many", [False, True], ids=["tail", "run"])
async def test_attack_067_no_conversation_has_a_say_in_the_size_of_anothers(
    tmp_path: Path, steady: None, many: bool
) -> None:
    """A peer sends the right guess of a secret in another conversation, and a wrong one: the relay sees no difference,
    in commits, folds, merges, the directory and a restore. The control: within one conversation it does.

    Two secrets rarely compress to the very same length by themselves, so pairs are tried until one does. A guess that
    counted would save hundreds of bytes in every pair.
    """
    worlds: dict[tuple[int, int], Any] = {}

    async def world(secret: int, guess: int) -> Any:
        if (secret, guess) not in worlds:
            folder = tmp_path / f"{secret} {guess}"
            worlds[secret, guess] = await _world(folder, _text(secret, 600), _text(guess, 600), many=many)
        return worlds[secret, guess]

    pairs = [(one, other) for other in range(100, 112) for one in range(100, other)]
    for one, other in pairs:
        if (
            await world(one, 0) == await world(other, 0)
            and await world(one, one) == await world(other, one)
            and await world(one, other) == await world(other, other)
        ):
            break
    else:
        pytest.fail("no pair of secrets is alike: a guess in another conversation shows")
    secret, miss = _text(one, 600), _text(other, 600)
    hit = await _world(tmp_path / "hit", secret, secret, same_chat=True, many=many)
    assert hit != await _world(tmp_path / "miss", secret, miss, same_chat=True, many=many)


async def test_attack_068_whether_a_file_is_there_already_does_not_show(tmp_path: Path, steady: None) -> None:
    """A peer sends a file that another conversation has, or one that it has not: the same requests and sizes. In the
    conversation that has it, the control, there is nothing to upload."""
    files = [random.Random(seed).randbytes(300_000) for seed in (1, 2)]

    async def world(sent: int, chat: str) -> Any:
        bench = Bench(tmp_path / f"{sent}{chat}")
        device = await bench.create()
        await device.vault.attach("mine", ("a.jpg", io.BytesIO(files[0])), text="see")
        await device.vault.flush()
        hostile = _behind(device)
        await device.vault.attach(chat, ("a.jpg", io.BytesIO(files[sent])), text="see")
        await device.vault.flush()
        found = [entry for entry in _sizes(hostile.trace) if entry[0] in ("missing", "put", "commit")]
        await device.vault.close()
        bench.devices.clear()
        bench.close()
        return found

    assert await world(0, "theirs") == await world(1, "theirs")
    assert await world(0, "mine") != await world(1, "mine")


# Accounts -------------------------------------------------------------------------------------------------------------


async def test_attack_072_probing_for_names_over_http(tmp_path: Path) -> None:
    """Of 200 names one is an account's: status, headers and lengths are alike; salts stay, and look alike."""
    with RelayProcess(tmp_path / "relay", open_registration=True) as relay:
        vault = await create_at(relay.url, tmp_path / "a", opener(), name="anna")
        await vault.close()
        connection = http.client.HTTPConnection(*relay.address, timeout=20)
        answers: dict[str, tuple[Any, ...]] = {}
        salts: dict[str, bytes] = {}
        for name in ["anna", *(f"name{n}" for n in range(199))] * 2:
            connection.request(
                "POST", "/v1/login", messages.encode_login(name), {"Content-Type": "application/cbor"}
            )  # fmt: skip
            answer = connection.getresponse()
            body = answer.read()
            headers = sorted(
                (key.lower(), "" if key.lower() == "date" else value) for key, value in answer.getheaders()
            )
            answers[name] = (answer.status, headers, len(body))
            found = messages.LoginResponse.parse(body)
            assert salts.setdefault(name, found.salt) == found.salt, "a salt that changes is no account's"
            assert found.kdf.memory_kib == 256 * 1024
        connection.close()
    assert len({repr(answer) for answer in answers.values()}) == 1
    assert answers["anna"][0] == 200
    assert len(set(salts.values())) == len(salts)
    ones = [sum(salt[bit // 8] >> bit % 8 & 1 for salt in salts.values()) for bit in range(256)]
    assert all(40 < count < 160 for count in ones)  # of 200; six standard deviations are 42


# Access ---------------------------------------------------------------------------------------------------------------


async def _looking(device: Device, chat: str) -> None:
    """What a person does to find something in a chat."""
    shown = await device.vault.newest(chat)
    await device.vault.older(shown[0])
    await device.vault.around(chat, shown[len(shown) // 2].ref.time)
    await device.vault.message(chat, shown[0].ref.id, time=shown[0].ref.time)


def _everything(hostile: Hostile) -> list[tuple[Any, ...]]:
    """The requests as they were, names and ranges included."""
    return [entry for entry in hostile.trace if entry[0] not in ("login", "unlock")]


async def test_attack_073_a_restore_asks_for_everything_in_one_order(tmp_path: Path) -> None:
    """Two fresh devices ask for the same ranges in the same order, whatever either of them is about to read."""
    bench = Bench(tmp_path)
    writer = await bench.create()
    for n in range(4):
        await writer.add([*talk(f"chat {n}", 200, start=1_700_000_000_000 + n * 10**7)])
    traces = []
    for folder in ("b", "c"):
        device = await bench.login(folder, wrap=Hostile)
        await device.vault.restore()
        assert isinstance(device.session.transport, Hostile)
        traces.append(_everything(device.session.transport))
    assert traces[0] == traces[1]
    assert any(entry[0] == "read" for entry in traces[0])
    bench.close()


async def test_attack_073_what_is_looked_for_after_a_restore_stays_on_the_device(tmp_path: Path) -> None:
    """Nothing is fetched for it: the relay sees that a device asks for the newest head, and no more."""
    bench = Bench(tmp_path)
    writer = await bench.create()
    for n in range(3):
        await writer.add(talk(f"chat {n}", 200, start=1_700_000_000_000 + n * 10**7))
    device = await bench.login("b", wrap=Hostile)
    hostile = device.session.transport
    assert isinstance(hostile, Hostile)
    await _looking(device, "chat 0")
    before = _everything(hostile)
    assert any(entry[0] == "read" for entry in before)
    await device.vault.restore()
    seen = []
    for chat in ("chat 0", "chat 1", "chat 2"):
        hostile.trace.clear()
        await _looking(device, chat)
        seen.append(_everything(hostile))
    assert seen[0] == seen[1] == seen[2]
    assert {entry[0] for entry in seen[0]} <= {"head"}
    bench.close()


async def test_attack_073_before_a_restore_the_chat_that_is_opened_shows(tmp_path: Path) -> None:
    """The documented limit: which ranges are fetched, and when, is visible."""
    bench = Bench(tmp_path)
    writer = await bench.create()
    for n in range(2):
        await writer.add(talk(f"chat {n}", 600, start=1_700_000_000_000 + n * 10**7))
    reads = []
    for folder, chat in (("b", "chat 0"), ("c", "chat 1")):
        device = await bench.login(folder, wrap=Hostile)
        assert isinstance(device.session.transport, Hostile)
        await device.vault.newest(chat)
        reads.append([entry for entry in device.session.transport.trace if entry[0] == "read"])
    assert reads[0] != reads[1]
    bench.close()
