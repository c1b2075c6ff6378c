"""Files up and down: once, resumed, deduplicated, from the middle, in constant memory (section 5.6)."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adversary.hostile import Hostile
from relay_process import RelayProcess
from strongroom.commit import commit
from strongroom.engine.change import Change
from strongroom.media import Sealing, upload, upload_many
from strongroom.media_reading import download, part_of, read
from strongroom.media_staging import reseal, stage, unstage, upload_staged
from strongroom.session import Session
from strongroom_protocol.errors import (
    Failure,
    InvalidArgument,
    ReadOnly,
    RelayUnreachable,
    StrongroomError,
    UntrustedDataError,
)
from strongroom_protocol.keys.epochs import EpochKeys
from strongroom_protocol.keys.secrets import EpochSecret
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.seal.media import Media, part_bytes, part_shape
from strongroom_protocol.seal.media_parts import ACCOUNT_SCOPE
from strongroom_protocol.seal.objects import HEADER_BYTES
from vaults import Bench, create_at, opener

PART, CHUNK = part_bytes(), LIMITS.media_chunk_bytes
BIG = os.urandom(2 * PART + 3 * CHUNK + 12_345)  # three parts, the last of five chunks with its padding
SMALL = b"a small file"


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


@pytest.fixture
async def session(bench: Bench) -> Session:
    """Of a new account, behind a transport that counts and fails on demand."""
    device = await bench.create()
    device.session.transport = Hostile(device.session.transport)
    return device.session


def spy(session: Session) -> Hostile:
    transport = session.transport
    assert isinstance(transport, Hostile)
    return transport


def puts(session: Session) -> list[bytes]:
    """Names of the objects put."""
    return [entry[2] for entry in spy(session).trace if entry[0] == "put"]


async def whole(session: Session, media: Media, *place: int, staged: Path | None = None) -> bytes:
    return b"".join([piece async for piece in read(session.source(), media, *place, staged=staged)])


def broken(after: int) -> Any:
    """Answers that break off: the relay is gone after so many."""
    left = iter(range(after))

    def answer(honest: Any, *_: Any) -> Any:
        if next(left, None) is None:
            raise RelayUnreachable("gone")
        return honest

    return answer


# Up ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, PART - 1, PART, PART + 1, len(BIG)])
async def test_files_come_back(session: Session, size: int) -> None:
    data = BIG[:size]
    media = await upload(session, io.BytesIO(data), conversation="chat")
    assert (media.size, media.sha256) == (size, hashlib.sha256(data).digest())
    assert set(puts(session)) == media.names
    assert await whole(session, Media.decode(media.encode())) == data


async def test_a_pipe_is_read_to_its_end_whatever_it_gives_at_once(session: Session) -> None:
    class Trickle(io.RawIOBase):
        def __init__(self) -> None:
            self.left = memoryview(BIG)

        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:
            piece, self.left = self.left[: min(size, 77_777)], self.left[min(size, 77_777) :]
            return bytes(piece)

    seen: list[int] = []
    media = await upload(session, Trickle(), conversation="chat", progress=seen.append)
    assert media == await upload(session, io.BytesIO(BIG), conversation="chat")
    assert seen == sorted(seen)
    assert seen[-1] == len(BIG) + 1  # the marker


async def test_attack_068_069_070_what_is_sent_twice_is_stored_once_in_its_conversation_only(session: Session) -> None:
    first = await upload(session, io.BytesIO(BIG), conversation="chat")
    size = (await session.transport.usage(session.account)).stored
    spy(session).behave()
    assert await upload(session, io.BytesIO(BIG), conversation="chat") == first
    assert puts(session) == []
    assert (await session.transport.usage(session.account)).stored == size
    # In another conversation nothing shows that it is there: as much goes up as of a file that nobody has.
    other = await upload(session, io.BytesIO(BIG), conversation="another chat")
    fresh = await upload(session, io.BytesIO(os.urandom(len(BIG))), conversation="another chat")
    assert sorted(puts(session)) == sorted(other.names | fresh.names)
    assert not other.names & first.names
    assert [part.size for part in other.parts] == [part.size for part in fresh.parts]
    # The user may widen it.
    wide = await upload(session, io.BytesIO(SMALL), conversation="chat", scope=ACCOUNT_SCOPE)
    assert wide == await upload(session, io.BytesIO(SMALL), conversation="another chat", scope=ACCOUNT_SCOPE)


async def test_attack_069_the_same_file_in_two_accounts_is_unlinkable(bench: Bench, session: Session) -> None:
    theirs = (await bench.create("bert", folder="bert")).session
    mine = await upload(session, io.BytesIO(BIG), conversation="chat")
    assert not mine.names & (await upload(theirs, io.BytesIO(BIG), conversation="chat")).names


@pytest.mark.parametrize("after", [0, 1, 2])
async def test_an_upload_that_broke_off_goes_on(session: Session, after: int) -> None:
    honest, there, one_by_one = spy(session).honest, set[bytes](), asyncio.Lock()

    async def put(account: bytes, name: bytes, data: bytes) -> None:
        async with one_by_one:  # a part that is on its way when another fails is given up
            if len(there) == after:
                raise RelayUnreachable("gone")
            await honest.put(account, name, data)
            there.add(name)

    spy(session).instead("put", put)
    with pytest.raises(RelayUnreachable):
        await upload(session, io.BytesIO(BIG), conversation="chat")
    spy(session).behave()
    media = await upload(session, io.BytesIO(BIG), conversation="chat")
    assert len(there) == after
    assert len(puts(session)) == 3 - after
    assert set(puts(session)) == media.names - there
    assert await whole(session, media) == BIG


async def test_many_files_go_up_together_and_are_asked_for_together(session: Session) -> None:
    async def slowly(honest: list[bytes], *_: Any) -> list[bytes]:
        await asyncio.sleep(0.005)  # while one question is on its way, others gather
        return honest

    spy(session).replace("missing", slowly)
    files = [os.urandom(1000) for _ in range(200)]
    made = await upload_many(session, ((io.BytesIO(data), "chat") for data in [*files, *files]))
    assert made[:200] == made[200:]
    assert sorted(puts(session)) == sorted(name for media in made[:200] for name in media.names)
    assert spy(session).calls.count("missing") < 200
    assert await whole(session, made[7]) == files[7]
    spy(session).replace("missing", broken(0))
    with pytest.raises(RelayUnreachable):
        await upload_many(session, [(io.BytesIO(os.urandom(9)), "chat") for _ in range(40)])


async def test_what_cannot_be_read_is_its_own_error(session: Session) -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            piece = super().read(size)
            if not piece:
                raise OSError(5, "Input/output error")
            return piece

    with pytest.raises(OSError, match="Input/output"):
        await upload(session, Failing(BIG), conversation="chat")


async def test_a_file_too_large_is_refused(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    from strongroom_protocol.seal.media_parts import MediaSealer

    monkeypatch.setattr(MediaSealer, "_require_room", _too_large)
    with pytest.raises(InvalidArgument):
        await upload(session, io.BytesIO(BIG), conversation="chat")


def _too_large(sealer: Any) -> None:
    raise InvalidArgument("too large")


async def test_a_read_only_device_uploads_nothing(bench: Bench, session: Session, tmp_path: Path) -> None:
    guest = (await bench.login()).session
    media = await upload(session, io.BytesIO(SMALL), conversation="chat")
    with pytest.raises(ReadOnly):
        await upload(guest, io.BytesIO(SMALL), conversation="chat")
    with pytest.raises(ReadOnly):
        await stage(guest, io.BytesIO(SMALL), tmp_path / "stage", conversation="chat")
    assert await whole(guest, media) == SMALL


async def test_the_commit_that_carries_a_file_keeps_its_parts(bench: Bench, session: Session) -> None:
    media = await upload(session, io.BytesIO(BIG), conversation="chat")

    async def build(change: Change) -> bool:
        change.uploaded |= media.names
        return True

    await commit(session, build)
    later = (await bench.login()).session
    assert await whole(later, media) == BIG
    assert (await later.transport.missing(later.account, sorted(media.names))) == []


# Down -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offset", "length"),
    [(0, 10), (CHUNK - 1, 2), (PART - 1, 2), (PART + CHUNK, CHUNK), (len(BIG) - 5, 99), (len(BIG), 5), (3, 2 * PART)],
)
async def test_reading_from_the_middle(session: Session, offset: int, length: int) -> None:
    media = await upload(session, io.BytesIO(BIG), conversation="chat")
    spy(session).behave()
    assert await whole(session, media, offset, length) == BIG[offset : offset + length]
    asked = [item for entry in spy(session).trace for item in entry[2]]
    end = min(offset + length, len(BIG))
    chunks = -(-end // CHUNK) - offset // CHUNK if end > offset else 0
    parts = (end - 1) // PART - offset // PART + 1 if end > offset else 0
    tables = sum(part_shape(media.size, offset // PART + n).table[1] for n in range(parts))
    # Header and table come with the first stretch of a part, and again with the one that was asked for meanwhile.
    assert sum(size for _, _, size in asked) <= 2 * (parts * HEADER_BYTES + tables) + chunks * (CHUNK + 16)
    assert sum(at >= HEADER_BYTES and size == CHUNK + 16 for _, at, size in asked) <= chunks
    if chunks == 1:
        assert len(asked) == 3
        assert len(spy(session).trace) == 1  # header, table and chunk in one request


async def test_a_reader_that_stops_early_stops_fetching(session: Session) -> None:
    media = await upload(session, io.BytesIO(BIG), conversation="chat")
    spy(session).behave()
    pieces = read(session.source(), media)
    assert BIG.startswith(await anext(pieces))
    await pieces.aclose()  # type: ignore[attr-defined]
    asked = len(spy(session).trace)
    await asyncio.sleep(0)
    assert asked == len(spy(session).trace) <= 2


def flip(place: int) -> Any:
    """`read` that changes one bit of whatever range is asked `place` bytes into any object, when it covers it."""

    def answer(honest: list[bytes | None], _: bytes, ranges: Any) -> list[bytes | None]:
        found = []
        for piece, (_, offset, length) in zip(honest, ranges, strict=True):
            at = place - offset
            hit = piece is not None and 0 <= at < length
            found.append(piece[:at] + bytes((piece[at] ^ 1,)) + piece[at + 1 :] if hit and piece else piece)
        return found

    return answer


async def test_attack_018_a_damaged_chunk_costs_no_other(session: Session) -> None:
    media = await upload(session, io.BytesIO(BIG), conversation="chat")
    spy(session).replace("read", flip(HEADER_BYTES + 3 * (CHUNK + 16) + 9))  # chunk 3 of every part
    source, good = session.source(), bytearray()

    async def collect() -> None:
        async for piece in read(source, media):
            good.extend(piece)

    with pytest.raises(UntrustedDataError) as caught:
        await collect()
    assert good == BIG[: 3 * CHUNK]
    assert (caught.value.failure, caught.value.subject) == (Failure.DIGEST, media.parts[0].name.hex())
    assert source.damage == {media.parts[0].name.hex(): Failure.DIGEST}
    assert await whole(session, media, 4 * CHUNK, 100) == BIG[4 * CHUNK : 4 * CHUNK + 100]
    for place, failure in ((40, Failure.COMMITMENT), (part_shape(media.size, 0).table[0], Failure.DIGEST)):
        spy(session).replace("read", flip(place))
        with pytest.raises(UntrustedDataError) as caught:
            await whole(session, media)
        assert caught.value.failure is failure


async def test_attack_021_parts_swapped_and_withheld(session: Session) -> None:
    media = await upload(session, io.BytesIO(BIG), conversation="chat")
    honest = spy(session).honest
    names = [part.name for part in media.parts]

    async def swapped(account: bytes, ranges: Any) -> list[bytes | None]:
        other = dict(zip(names, names[1:] + names[:1], strict=True))
        return await honest.read(account, [(other[name], *rest) for name, *rest in ranges])

    spy(session).instead("read", swapped)
    with pytest.raises(UntrustedDataError) as caught:
        await whole(session, media)
    assert caught.value.failure in (Failure.DIGEST, Failure.SEAL)
    spy(session).instead("read", lambda _, ranges: [None] * len(ranges))
    with pytest.raises(UntrustedDataError) as caught:
        await whole(session, media)
    assert caught.value.failure is Failure.MISSING


@pytest.mark.spec("MEDIA-6")
async def test_a_whole_file_is_the_one_that_the_message_names(session: Session, tmp_path: Path) -> None:
    made = await upload(session, io.BytesIO(BIG), conversation="chat")
    lying = Media(made.size, bytes(32), made.parts, made.tables)
    for media in (lying, Media.of(0, bytes(32), [(b"n" * 32, b"t" * 32)])):
        with pytest.raises(UntrustedDataError) as caught:
            await whole(session, media)
        assert caught.value.failure is Failure.DIGEST
        with pytest.raises(UntrustedDataError):
            await download(session.source(), media, tmp_path / "out")
        assert not (tmp_path / "out").exists()


async def test_a_copy_on_this_device_comes_first_and_is_mended_by_the_relay(session: Session) -> None:
    media = await upload(session, io.BytesIO(BIG), conversation="chat")
    source, transport = session.source(), session.transport
    data = await transport.read(session.account, [(part.name, 0, part.size) for part in media.parts])
    for part, copy in zip(media.parts, data, strict=True):
        source.cache.put(part.name, copy or b"")
    spy(session).behave()
    assert await whole(session, media) == BIG
    assert spy(session).calls == []
    spoiled = bytearray(data[0] or b"")
    spoiled[HEADER_BYTES + CHUNK] ^= 1
    source.cache.put(media.parts[0].name, bytes(spoiled))
    assert await whole(session, media) == BIG
    assert spy(session).calls == ["read"]
    spoiled[0] ^= 1  # and one whose header is gone
    source.cache.put(media.parts[0].name, bytes(spoiled))
    assert await whole(session, media) == BIG
    spy(session).instead("read", _gone)
    with pytest.raises(UntrustedDataError) as caught:  # without the relay, damage is damage
        await whole(session, media)
    assert caught.value.failure is Failure.CONTEXT
    assert await whole(session, media, PART) == BIG[PART:]
    source.cache.keep_only([])
    with pytest.raises(RelayUnreachable):  # and what is not here was not read
        await whole(session, media)


def _gone(*_: Any) -> Any:
    raise RelayUnreachable("gone")


async def test_a_download_goes_on_where_it_broke_off(session: Session, tmp_path: Path) -> None:
    media = await upload(session, io.BytesIO(BIG), conversation="chat")
    path = tmp_path / "film.mp4"
    part = part_of(path, media)
    spy(session).behave()
    spy(session).replace("read", broken(5))
    with pytest.raises(RelayUnreachable):
        await download(session.source(), media, path)
    assert not path.exists()
    got = part.stat().st_size
    assert 0 < got < len(BIG)
    with part.open("ab") as file:
        file.write(b"half a chunk that a crash left")
    spy(session).behave()
    seen: list[int] = []
    await download(session.source(), media, path, progress=seen.append)
    assert path.read_bytes() == BIG
    assert not part.exists()
    assert seen[0] > got
    asked = sum(size for entry in spy(session).trace for _, _, size in entry[2])
    assert asked < len(BIG) - got + 2 * CHUNK
    await download(session.source(), media, path)  # again, over it
    assert path.read_bytes() == BIG


async def test_a_part_of_another_file_is_not_continued(session: Session, tmp_path: Path) -> None:
    media = await upload(session, io.BytesIO(BIG), conversation="chat")
    part_of(tmp_path / "out", media).write_bytes(bytes(5 * CHUNK))
    await download(session.source(), media, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == BIG
    part_of(tmp_path / "out", media).write_bytes(bytes(len(BIG) + CHUNK))
    await download(session.source(), media, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == BIG


# Staged -----------------------------------------------------------------------------------------------------------


async def test_staged_parts_wait_sealed_and_go_up_later(session: Session, tmp_path: Path) -> None:
    folder = tmp_path / "outbox"
    media = await stage(session, io.BytesIO(BIG), folder, conversation="chat")
    assert puts(session) == []
    assert {path.name for path in folder.iterdir()} == {name.hex() for name in media.names}
    for path in folder.iterdir():
        kept = path.read_bytes()
        assert hashlib.sha256(kept).hexdigest() == path.name
        assert BIG[:64] not in kept
        assert path.stat().st_mode & 0o777 == 0o600
    assert await whole(session, media, staged=folder) == BIG
    spy(session).replace("put", broken(1))
    with pytest.raises(RelayUnreachable):
        await upload_staged(session, folder, media)
    spy(session).behave()
    await upload_staged(session, folder, media)
    assert len(puts(session)) < 3
    unstage(folder, media)
    assert list(folder.iterdir()) == []
    spy(session).behave()
    await upload_staged(session, folder, media)
    assert puts(session) == []
    assert await whole(session, media) == BIG
    assert media == await upload(session, io.BytesIO(BIG), conversation="chat")


async def test_damaged_and_lost_staged_parts(session: Session, tmp_path: Path) -> None:
    media = await stage(session, io.BytesIO(SMALL), tmp_path, conversation="chat")
    (path,) = (tmp_path / name.hex() for name in media.names)
    kept = path.read_bytes()
    for damage in (lambda: path.write_bytes(kept[:-1]), path.unlink):
        damage()
        with pytest.raises(UntrustedDataError) as caught:
            await upload_staged(session, tmp_path, media)
        assert caught.value.failure is Failure.MISSING
    assert puts(session) == []


async def test_files_are_sealed_again_for_a_new_epoch(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged = await stage(session, io.BytesIO(BIG), tmp_path, conversation="chat")
    at_relay = await upload(session, io.BytesIO(SMALL), conversation="chat")
    old = session.epochs()
    epochs = {**old, 2: EpochKeys(session.account, 2, EpochSecret(os.urandom(32)))}
    newest = _Newest(session.keyring)
    monkeypatch.setattr(Session, "epochs", lambda _: epochs)
    monkeypatch.setattr(Session, "keyring", newest)
    again = await reseal(session, staged, tmp_path, conversation="chat")
    assert not again.names & staged.names
    assert (again.size, again.sha256) == (staged.size, staged.sha256)
    assert {(tmp_path / name.hex()).read_bytes()[2:6] for name in again.names} == {(2).to_bytes(4, "big")}
    assert await whole(session, again, staged=tmp_path) == BIG
    moved = await reseal(session, at_relay, None, conversation="chat")
    assert moved.names == set(puts(session)[-1:])
    assert await whole(session, moved) == SMALL


class _Newest:
    """The keyring as it will be after a rotation: the same devices, epoch 2."""

    epoch = 2

    def __init__(self, keyring: Any) -> None:
        self._keyring = keyring

    def __getattr__(self, name: str) -> Any:
        return getattr(self._keyring, name)


async def test_a_full_disk_leaves_nothing_half(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StrongroomError, match="disk"):
            await stage(session, io.BytesIO(BIG), tmp_path / "outbox", conversation="chat")
        async with asyncio.timeout(20):  # threads that were writing other parts end by themselves
            while list((tmp_path / "outbox").iterdir()):  # noqa: ASYNC110
                await asyncio.sleep(0.01)


# Over HTTP, and memory --------------------------------------------------------------------------------------------


async def test_over_http(tmp_path: Path) -> None:
    with RelayProcess(tmp_path / "relay", open_registration=True) as relay:
        vault = await create_at(relay.url, tmp_path / "device", opener())
        session = vault._session
        try:
            media = await upload(session, io.BytesIO(BIG), conversation="chat")
            assert await whole(session, media) == BIG
            assert await whole(session, media, PART - 5, 10) == BIG[PART - 5 : PART + 5]
            sent = session.transport.bytes_sent
            assert await upload(session, io.BytesIO(BIG), conversation="chat") == media
            assert session.transport.bytes_sent - sent < 4096
            await upload_many(session, [(io.BytesIO(bytes((n,))), "chat") for n in range(50)])
            await download(session.source(), media, tmp_path / "out")
            assert (tmp_path / "out").read_bytes() == BIG
        finally:
            await session.transport.close()
            session.state.close()


MEMORY = """
import asyncio, resource, sys
sys.path[:0] = {path!r}
from pathlib import Path
from strongroom.media import upload
from strongroom.media_reading import read
from vaults import create_at, opener

class Stream:
    left = 300 * 2**20
    def read(self, size):
        size = min(size, self.left)
        self.left -= size
        return bytes(size)

def rss():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

async def main():
    vault = await create_at("file://{folder}/relay", Path("{folder}/device"), opener())
    session = vault._session
    await upload(session, __import__("io").BytesIO(b"x"), conversation="chat")
    before = rss()
    media = await upload(session, Stream(), conversation="chat")
    up = rss()
    size = 0
    async for piece in read(session.source(), media):
        size += len(piece)
    assert size == media.size
    print(up - before, rss() - up)

asyncio.run(main())
"""


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    script = MEMORY.format(path=[str(Path(__file__).resolve().parents[1])], folder=tmp_path)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    up, down = map(int, done.stdout.split())
    assert up < 96  # MiB, of a file of 300: 56 held, and what the allocator keeps of it
    assert down < 24


async def test_two_sealings_share_nothing_but_the_epoch(session: Session) -> None:
    """Descriptors, not sessions, are what a file is found by: another device reads and resumes it."""
    one = await Sealing.to_relay(session).file(io.BytesIO(BIG), "chat")
    spy(session).behave()
    two = await Sealing.to_relay(session).file(io.BytesIO(BIG), "chat")
    assert one == two
    assert puts(session) == []
