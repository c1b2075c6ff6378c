"""Linking two devices over a relay in this process: steps, resuming, what is left behind (chapter 15)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adversary.hostile import Hostile
from client.test_transport_http import hostile, http
from linked import ADDRESS, Linking, linking_bench
from strongroom import joining, link_pending, linking, mailbox
from strongroom.linking import LinkProgress, LinkStep
from strongroom.owner import Owner
from strongroom.session import DeviceKeys
from strongroom.state import State
from strongroom_protocol.errors import (
    CallError,
    Failure,
    InvalidArgument,
    NotFound,
    ReadOnly,
    RelayUnreachable,
    StrongroomError,
    UntrustedDataError,
    WrongSecret,
)
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.link.new import New, Step
from strongroom_protocol.link.old import Old, Phase
from strongroom_protocol.manifest.keyring import device_id
from vaults import Bench, messages_of, talk

WRONG = "{}-000-000"


@pytest.fixture
async def link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Linking]:
    made = await linking_bench(tmp_path, monkeypatch)
    yield made
    made.bench.close()


def wrong(code: str) -> str:
    """A code for the same mailbox with another secret."""
    return WRONG.format(code[:6])


async def lost(*_: Any) -> None:
    raise RelayUnreachable("gone")


class Crash(BaseException):
    """The process dies here."""


async def crash(*_: Any) -> None:
    raise Crash


def stored_old(link: Linking) -> Old | None:
    found = link.old.session.state.get(linking.STATE)
    return None if found is None else Old.parse(found)


def stored_new(link: Linking) -> New:
    with State.open(link.folder / "new" / link_pending.FOLDER) as state:
        return New.parse(state.require(linking.STATE))


@pytest.mark.parametrize("form", ["code", "text"])
async def test_a_new_device_reads_and_writes_and_holds_nothing_else(link: Linking, form: str) -> None:
    await link.old.add(talk("c", 5))
    before = link.old.session.keyring
    offer = await link.offer()
    newcomer, session = await link.both(offer, getattr(offer, form))
    assert newcomer is not None
    assert link.asked == [("phone", newcomer.fingerprint)]
    assert session.device.id == newcomer.id
    keyring = session.keyring
    assert keyring.version == before.version + 1
    assert keyring.epoch == before.epoch
    assert session.may_write
    assert (session.pin.head_version, session.pin.head_hash) == (
        link.old.session.pin.head_version, link.old.session.pin.head_hash,
    )  # fmt: skip
    mine = await messages_of(await session.snapshot())
    assert mine == await messages_of(await link.old.snapshot())
    assert session.state.get("guest-epoch") is None
    assert session.state.require("relay").decode() == ADDRESS
    assert link.old.session.state.get(linking.STATE) is None
    assert not (link.folder / "new" / link_pending.FOLDER).exists()
    session.state.close()


async def test_progress_tells_both_sides(link: Linking) -> None:
    offer = await link.offer()
    old: list[LinkProgress] = []
    new: list[LinkProgress] = []
    async with asyncio.TaskGroup() as group:
        done = group.create_task(offer.complete(link.confirm, old.append))
        await asyncio.sleep(0.02)
        joined = joining.join(link.folder / "new", code=offer.code, relay=ADDRESS, device_name="p", progress=new.append)
        task = group.create_task(joined)
    assert [item.step for item in old if item.step is not LinkStep.WAITING] == [LinkStep.CODE_ACCEPTED, LinkStep.ADDING]
    assert (old[0].step, old[0].seconds, old[0].tries) == (LinkStep.WAITING, 600, 3)
    found = done.result()
    assert found is not None
    assert {item.fingerprint for item in new} == {found.fingerprint}
    task.result().state.close()


async def test_pictures_of_the_code(link: Linking) -> None:
    offer = await link.offer()
    assert offer.svg().startswith(b"<?xml")
    assert offer.png().startswith(b"\x89PNG\r\n\x1a\n")
    assert len(offer.terminal().splitlines()) > 20
    assert offer.expires == link.clock.now + LIMITS.link_ms


async def test_a_wrong_code_can_be_entered_again(link: Linking) -> None:
    offer = await link.offer()
    told: list[LinkProgress] = []
    task = asyncio.create_task(offer.complete(link.confirm, told.append))
    with pytest.raises(WrongSecret, match="tries left: 2"):
        await link.join(wrong(offer.code))
    assert not link_pending.under_way(link.folder / "new")
    assert link_pending.tries_left(link.folder / "new") == 2
    session = await link.join(offer.code)
    assert (await task) is not None
    assert [item.tries for item in told if item.step is LinkStep.WRONG_CODE] == [2]
    session.state.close()


async def test_three_wrong_codes_end_it_on_both_sides(link: Linking) -> None:
    offer = await link.offer()
    task = asyncio.create_task(offer.complete(link.confirm))
    for left in (2, 1, 0):
        with pytest.raises(WrongSecret, match=f"tries left: {left}"):
            await link.join(wrong(offer.code))
    with pytest.raises(NotFound):
        await task
    with pytest.raises(NotFound):
        await link.join(offer.code)
    assert stored_old(link) is None
    assert link.asked == []
    assert len(link.old.session.keyring.devices) == 1
    fresh = await link.offer()  # a new code, with tries of its own
    _, session = await link.both(fresh, fresh.code)
    session.state.close()


@pytest.mark.spec("LINK-25")
@pytest.mark.parametrize("says", [False, None, 1])
async def test_nobody_is_added_without_a_yes(link: Linking, says: Any) -> None:
    link.says = says
    offer = await link.offer()
    task = asyncio.create_task(offer.complete(link.confirm))
    with pytest.raises(CallError, match="did not let this device in"):
        await link.join(offer.code)
    assert await task is None
    assert len(link.asked) == 1
    assert len(link.old.session.keyring.devices) == 1
    assert not (link.folder / "new").exists()


async def test_the_question_may_take_its_time(link: Linking) -> None:
    offer = await link.offer()

    async def slowly(name: str, fingerprint: str) -> bool:
        await asyncio.sleep(0.02)
        return True

    async with asyncio.TaskGroup() as group:
        done = group.create_task(offer.complete(slowly))
        joined = group.create_task(link.join(offer.code))
    assert done.result() is not None
    joined.result().state.close()


@pytest.mark.spec("LINK-24")
async def test_an_answer_is_counted_before_it_is_judged(link: Linking, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash in between is no way to a further guess."""
    offer = await link.offer()
    task = asyncio.create_task(offer.complete(link.confirm))
    monkeypatch.setattr(linking.LinkOffer, "_judge", lambda self: (_ for _ in ()).throw(Crash))
    new = asyncio.create_task(link.join(wrong(offer.code)))
    with pytest.raises(Crash):
        await task
    stored = stored_old(link)
    assert stored is not None
    assert stored.phase is Phase.ANSWERED
    monkeypatch.undo()
    new.cancel()
    await asyncio.gather(new, return_exceptions=True)


@pytest.mark.spec("LINK-26")
async def test_an_answer_is_stored_before_it_is_sent(link: Linking) -> None:
    offer = await link.offer()
    old = asyncio.create_task(offer.complete(link.confirm))
    hostiles: list[Hostile] = []

    def wrap(transport: Any) -> Hostile:
        hostiles.append(Hostile(transport))
        hostiles[-1].instead("put_link", crash)
        return hostiles[-1]

    link.wrap_new = wrap
    with pytest.raises(Crash):
        await link.join(offer.code)
    stored = stored_new(link)
    assert (stored.step, stored.tries) == (Step.ANSWERED, 1)
    link.wrap_new = lambda transport: transport
    session = await link.join(None)
    assert (await old) is not None
    session.state.close()


@pytest.mark.parametrize("call", ["put_link", "get_link", "head", "keyrings"])
@pytest.mark.parametrize("count", [1, 2, 3, 6])
async def test_the_new_side_goes_on_after_a_crash_anywhere(link: Linking, call: str, count: int) -> None:
    offer = await link.offer()
    old = asyncio.create_task(offer.complete(link.confirm))
    left = [count]

    async def dying(*arguments: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            raise Crash
        return await getattr(real[0], call)(*arguments)

    real: list[Any] = []

    def wrap(transport: Any) -> Hostile:
        real.append(transport)
        made = Hostile(transport)
        made.instead(call, dying)
        return made

    link.wrap_new = wrap
    try:
        session = await link.join(offer.code)
    except Crash:
        assert not (link.folder / "new" / "device.db").exists()
        link.wrap_new = lambda transport: transport
        resumed = link_pending.under_way(link.folder / "new")
        session = await link.join(None if resumed else offer.code)
    assert (await old) is not None
    assert session.may_write
    session.state.close()


@pytest.mark.parametrize("call", ["put_link", "get_link", "commit", "head"])
@pytest.mark.parametrize("count", [1, 2, 3])
async def test_the_old_side_goes_on_after_a_crash_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, count: int
) -> None:
    hostiles: list[Hostile] = []

    def wrap(transport: Any) -> Hostile:
        hostiles.append(Hostile(transport))
        return hostiles[-1]

    link = await linking_bench(tmp_path, monkeypatch, wrap_old=wrap)
    offer = await link.offer()
    left = [count]

    async def dying(answer: Any, *arguments: Any) -> Any:  # what was asked was done: the answer is lost
        left[0] -= 1
        if left[0] == 0:
            raise Crash
        return answer

    hostiles[0].replace(call, dying)
    new = asyncio.create_task(link.join(offer.code))
    code = offer.code
    try:
        await offer.complete(link.confirm)
    except Crash:
        hostiles[0].behave()
        link.bench.drop(link.old)
        link.old = await link.bench.reopen("a", wrap=wrap)
        link.old.session.transport.origin = ADDRESS
        link.owner = await Owner.unlock(link.old.session, "anna", link.bench.opener)
        again = await link.offer()
        assert again.code == code
        assert (await again.complete(link.confirm)) is not None
    session = await new
    assert len(session.keyring.devices) == 2
    assert session.keyring.version == 2
    session.state.close()
    link.bench.close()


async def test_a_relay_that_comes_back_in_time_is_waited_for(link: Linking) -> None:
    offer = await link.offer()
    old = asyncio.create_task(offer.complete(link.confirm))
    failures = [3]

    async def sometimes(found: Any, *_: Any) -> Any:
        if failures[0]:
            failures[0] -= 1
            raise RelayUnreachable("gone")
        return found

    def wrap(transport: Any) -> Hostile:
        made = Hostile(transport)
        made.replace("put_link", sometimes)
        return made

    link.wrap_new = wrap
    session = await link.join(offer.code)
    assert (await old) is not None
    assert failures == [0]
    session.state.close()


async def test_a_relay_that_stays_away_ends_it_and_leaves_nothing(
    link: Linking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox, "UNREACHABLE_S", 0.01)
    offer = await link.offer()

    def wrap(transport: Any) -> Hostile:
        made = Hostile(transport)
        made.instead("get_link", lost)
        return made

    link.wrap_new = wrap
    with pytest.raises(RelayUnreachable):
        await link.join(offer.code)
    assert not (link.folder / "new").exists()


async def test_the_time_runs_out_on_both_sides(link: Linking) -> None:
    offer = await link.offer()
    task = asyncio.create_task(offer.complete(link.confirm))
    await asyncio.sleep(0.01)
    link.clock.now += LIMITS.link_ms
    with pytest.raises(NotFound):
        await task
    assert stored_old(link) is None
    with pytest.raises(NotFound):
        await link.join(offer.code)
    assert not (link.folder / "new").exists()


async def test_what_was_under_way_when_the_time_ran_out_is_removed(link: Linking) -> None:
    offer = await link.offer()
    old = asyncio.create_task(offer.complete(link.confirm))
    hostiles: list[Hostile] = []

    def wrap(transport: Any) -> Hostile:
        hostiles.append(Hostile(transport))
        hostiles[-1].instead("put_link", crash)
        return hostiles[-1]

    link.wrap_new = wrap
    with pytest.raises(Crash):
        await link.join(offer.code)
    link.wrap_new = lambda transport: transport
    link.clock.now += LIMITS.link_ms
    with pytest.raises(NotFound):
        await old
    with pytest.raises(NotFound):
        await link.join(None)
    assert not (link.folder / "new").exists()
    fresh = await link.offer()
    assert fresh.code != offer.code
    _, session = await link.both(fresh, fresh.code)
    session.state.close()


async def test_a_device_that_was_added_and_could_not_be_told_is_named(link: Linking) -> None:
    offer = await link.offer()
    new = asyncio.create_task(link.join(offer.code))
    added = link.owner.add_device

    async def slow(*arguments: Any) -> Any:
        head = await added(*arguments)
        link.clock.now += LIMITS.link_ms
        return head

    link.owner.add_device = slow  # type: ignore[assignment,method-assign]
    with pytest.raises(CallError, match="phone") as caught:
        await offer.complete(link.confirm)
    assert "revoke" in caught.value.hint
    with pytest.raises(NotFound):
        await new
    assert not (link.folder / "new").exists()
    assert stored_old(link) is None


async def test_half_a_vault_of_a_crash_at_the_very_end_is_made_whole(link: Linking) -> None:
    offer = await link.offer()
    old = asyncio.create_task(offer.complete(link.confirm))
    put = State.put

    def dying(self: State, changes: Any, **more: Any) -> None:
        if self.folder == link.folder / "new":
            raise Crash
        put(self, changes, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(State, "put", dying)
        patch.setattr(Path, "unlink", lambda self, missing_ok=False: None)  # nor is anything cleaned up
        new = asyncio.create_task(link.join(offer.code))
        await asyncio.wait([new])
    assert isinstance(new.exception(), Crash)
    assert (await old) is not None
    assert (link.folder / "new" / "device.db").exists()
    session = await link.join(None)
    assert session.may_write
    session.state.close()


@pytest.mark.spec("LINK-23")
async def test_a_folder_vault_refuses_and_says_what_to_do(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    device = await bench.create()
    owner = await Owner.unlock(device.session, "anna", bench.opener)
    with pytest.raises(InvalidArgument) as caught:
        await linking.offer(device.session, owner, name="anna")
    assert "passphrase" in caught.value.hint
    await asyncio.to_thread(bench.close)
    with pytest.raises(InvalidArgument) as caught:
        await joining.join(tmp_path / "new", code="482193-K7Q-M2X", relay=f"file://{tmp_path}/relay", device_name="x")
    assert "passphrase" in caught.value.hint
    assert not (tmp_path / "new").exists()


async def test_a_guest_cannot_link(link: Linking) -> None:
    guest = await link.bench.login("guest")
    with pytest.raises(ReadOnly):
        await linking.offer(guest.session, link.owner, name="anna")


async def test_a_folder_with_a_vault_is_left_alone(link: Linking) -> None:
    offer = await link.offer()
    link.bench.drop(link.old)
    before = (link.folder / "a" / "device.db").read_bytes()
    with pytest.raises(CallError, match="already a vault"):
        await joining.join(link.folder / "a", code=offer.code, relay=ADDRESS, device_name="x")
    assert (link.folder / "a" / "device.db").read_bytes() == before


async def test_a_short_code_needs_a_relay_and_no_code_says_where_to_get_one(link: Linking) -> None:
    with pytest.raises(InvalidArgument, match="--relay"):
        await link.join("482193-K7Q-M2X", relay=None)
    with pytest.raises(InvalidArgument) as caught:
        await link.join(None)
    assert "strongroom link" in caught.value.hint
    with pytest.raises(UntrustedDataError) as typo:
        await link.join("482193-K7Q")
    assert typo.value.failure is Failure.CODE
    assert not (link.folder / "new").exists()


@pytest.mark.spec("LINK-27")
async def test_a_device_that_is_not_on_the_list_does_not_become_one(link: Linking) -> None:
    """The old device says so and means another: its keys, not ours, are in the keyring."""
    offer = await link.offer()
    guest = await link.bench.login("guest")  # lets the new device read as if it were listed
    added = link.owner.add_device

    async def other(sign_key: bytes, kem_key: bytes, name: str) -> Any:
        head = await added(sign_key, guest.session.device.kem.public, name)
        assert device_id(sign_key, kem_key) not in {one.id for one in link.old.session.keyring.devices}
        return head

    link.owner.add_device = other  # type: ignore[method-assign]
    old = asyncio.create_task(offer.complete(link.confirm))
    with pytest.raises(UntrustedDataError) as caught:
        await link.join(offer.code)
    assert caught.value.failure is Failure.LINK
    assert "revoke" in caught.value.hint
    await old
    assert not (link.folder / "new" / "device.db").exists()


async def test_a_code_of_another_relay_than_the_given_one_is_refused(link: Linking) -> None:
    offer = await link.offer()
    for relay in ("https://other.example", f"{ADDRESS}1"):
        with pytest.raises(InvalidArgument, match="another relay"):
            await link.join(offer.text, relay=relay)
    assert not (link.folder / "new").exists()
    _, session = await link.both(offer, offer.text)
    session.state.close()


@pytest.mark.spec("LINK-22")
async def test_a_long_message_of_a_relay_is_refused() -> None:
    async with hostile(http(b"x" * (LIMITS.link_message_bytes + 1))) as found:
        with pytest.raises(UntrustedDataError) as caught:
            await found.transport.get_link(1, 0)
        assert caught.value.failure is Failure.LIMIT
        assert found.requests[0].startswith(b"GET /v1/links/000001/0 ")
    async with hostile(http(b"x" * LIMITS.link_message_bytes)) as found:
        assert await found.transport.get_link(1, 0) == b"x" * LIMITS.link_message_bytes


@pytest.mark.spec("LINK-29")
@pytest.mark.parametrize("same", [True, False])
async def test_a_link_that_was_broken_off_goes_on_by_its_own_code_alone(
    link: Linking, same: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another code that is entered next is the one that is meant: what a stranger's began is given up, keys too."""
    seeds: list[bytes] = []

    def keys(sign: Any, kem: Any) -> DeviceKeys:
        seeds.append(sign.reveal())
        return DeviceKeys(sign, kem)

    monkeypatch.setattr(joining, "DeviceKeys", keys)
    offer = await link.offer()
    old = asyncio.create_task(offer.complete(link.confirm))

    async def dying(*_: Any) -> Any:
        raise Crash

    def wrap(transport: Any) -> Hostile:
        made = Hostile(transport)
        made.instead("put_link", dying)
        return made

    link.wrap_new = wrap
    with pytest.raises(Crash):
        await link.join(offer.code)
    assert link_pending.under_way(link.folder / "new")
    link.wrap_new = lambda transport: transport
    if same:
        session = await link.join(offer.code)
        assert (await old) is not None
        session.state.close()
        return
    number, _, letters = offer.code.partition("-")
    other = f"{(int(number) + 1) % 10**6:06}-{letters}"
    link.wrap_new = lambda transport: transport
    with pytest.raises(StrongroomError):
        await link.join(other)
    assert len(seeds) == len(set(seeds)) == 2
    assert not link_pending.under_way(link.folder / "new")
    old.cancel()
    await asyncio.gather(old, return_exceptions=True)
