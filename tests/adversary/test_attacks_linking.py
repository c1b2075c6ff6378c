"""Linking with a stranger at hand or a relay in between: attacks 029, 057, 058 (spec chapter 15)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from adversary.hostile import Hostile
from linked import ADDRESS, Linking, linking_bench
from strongroom.transport.base import Transport
from strongroom_protocol.errors import CallError, Failure, NotFound, RelayConflict, UntrustedDataError, WrongSecret
from strongroom_protocol.keys.hpke import KemKey
from strongroom_protocol.keys.secrets import KemSeed
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.link.code import LinkSecret, parse
from strongroom_protocol.link.exchange import Mailbox, Slot, slot_number
from strongroom_protocol.link.messages import REFUSED, Answer, Newcomer, Offer, Verdict
from strongroom_protocol.link.new import ANSWER_RANDOMNESS, New
from strongroom_protocol.link.old import RUN_RANDOMNESS, Old
from vectors.link_area import SMALL

GUESS = LinkSecret(b"000000")


@pytest.fixture
async def link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Linking]:
    made = await linking_bench(tmp_path, monkeypatch)
    yield made
    made.bench.close()


def devices(link: Linking) -> int:
    return len(link.old.session.keyring.devices)


async def settled(link: Linking, *tasks: asyncio.Task[Any]) -> list[BaseException | None]:
    """How tasks ended; for those that would wait for ever, the time of the code is over after a while."""
    await asyncio.wait(tasks, timeout=0.5)
    link.clock.now += LIMITS.link_ms
    return [
        item if isinstance(item, BaseException) else None
        for item in await asyncio.gather(*tasks, return_exceptions=True)
    ]


async def stopped(task: asyncio.Task[Any]) -> None:
    """As if its process were killed."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def lies_there(transport: Transport, number: int, run: int, slot: Slot) -> bytes:
    """The message in a slot, as soon as somebody has written it."""
    while True:
        message = await transport.get_link(number, slot_number(run, slot))
        if message:
            return message
        await asyncio.sleep(0)


def nothing_happened(link: Linking, before: bytes) -> None:
    """No device was added, no name was told, no vault was made."""
    assert devices(link) == 1
    assert link.old.session.keyring.hash == before
    assert not (link.folder / "new" / "device.db").exists()


# ---------------------------------------------------------------- 057: link phishing


async def test_attack_057_link_phishing_replay_of_a_used_code_lets_nobody_in(link: Linking) -> None:
    """Single use: somebody who films the code and enters it after its owner finds the mailbox taken and finished."""
    offer = await link.offer()
    _, session = await link.both(offer, offer.code)
    session.state.close()
    link.folder = link.folder / "thief"
    link.folder.mkdir()
    (ended,) = await settled(link, asyncio.create_task(link.join(offer.code)))
    assert isinstance(ended, NotFound)
    assert devices(link) == 2
    assert len(link.asked) == 1
    assert not (link.folder / "new").exists()


async def test_attack_057_link_phishing_replay_of_recorded_messages_is_worthless(link: Linking) -> None:
    """A thief of the relay's storage writes all that the new device wrote into a later link."""
    offer = await link.offer()
    _, session = await link.both(offer, offer.code)
    session.state.close()
    transport = await link.transport(ADDRESS)
    number = parse(offer.code).number
    recorded = {slot: await transport.get_link(number, slot_number(1, slot)) for slot in (Slot.ANSWER, Slot.NEWCOMER)}
    again = await link.offer()
    for slot, message in recorded.items():
        await transport.put_link(parse(again.code).number, slot_number(1, slot), message)
    (ended,) = await settled(link, asyncio.create_task(again.complete(link.confirm)))
    assert isinstance(ended, NotFound)
    assert devices(link) == 2
    assert len(link.asked) == 1


async def test_attack_057_link_phishing_expired_codes_are_refused_by_the_devices_themselves(link: Linking) -> None:
    """Also when the relay keeps the mailbox open for the phisher."""
    offer = await link.offer()
    relay = await link.bench.open()
    relay.limits = LIMITS
    old = asyncio.create_task(offer.complete(link.confirm))
    await asyncio.sleep(0.02)
    real = link.clock.now
    link.clock.now += LIMITS.link_ms  # of the devices; the relay's own clock stands still
    relay.clock = lambda: real
    with pytest.raises(NotFound):
        await old
    old = asyncio.create_task(offer.complete(link.confirm))
    new = New(Mailbox(ADDRESS, parse(offer.code).number), 2**47)
    transport = await link.transport(ADDRESS)
    message = await transport.get_link(new.mailbox.number, slot_number(1, Slot.OFFER))
    reply = new.answer(parse(offer.code).secret, 1, message, os.urandom(ANSWER_RANDOMNESS), 0).reply
    await transport.put_link(new.mailbox.number, slot_number(1, Slot.ANSWER), reply)
    with pytest.raises(NotFound):
        await old
    assert link.asked == []
    assert devices(link) == 1


async def test_attack_057_link_phishing_swapped_roles_do_not_link(link: Linking) -> None:
    """The phisher shows a code as an invitation. An old device has nowhere to enter it; and two that show, or two that
    enter, do not meet: who answers an answer, or offers to an offer, has another name for itself."""
    assert not hasattr(link.owner, "join")
    code = parse((await link.offer()).code)
    mailbox = Mailbox(ADDRESS, code.number)
    phisher = Old(mailbox, code.secret, LinkSecret(bytes(20)), 2**47, os.urandom(RUN_RANDOMNESS))
    victim = Old(mailbox, code.secret, LinkSecret(bytes(20)), 2**47, os.urandom(RUN_RANDOMNESS))
    shown = Offer.parse(phisher.offer())
    for share in (shown.short, shown.long):
        answer = Answer(1, share, bytes(1168), os.urandom(32)).encode()
        assert victim.take(answer, 0).judge(os.urandom(RUN_RANDOMNESS)).run == 2
    new = New(mailbox, 2**47)
    first = new.answer(code.secret, 1, phisher.offer(), os.urandom(ANSWER_RANDOMNESS), 0)
    with pytest.raises(UntrustedDataError):
        new.answer(code.secret, 1, first.reply, os.urandom(ANSWER_RANDOMNESS), 0)
    proof = Answer.parse(first.reply).confirmation  # the new device's own proof, sent back to it
    with pytest.raises(UntrustedDataError) as caught:
        first.judged(Verdict(proof).encode(), Newcomer(bytes(32), bytes(1216), "n"), 0)
    assert caught.value.failure is Failure.LINK


@pytest.mark.spec("LINK-25")
async def test_attack_057_link_phishing_no_confirmation_no_device(link: Linking) -> None:
    """The code was read over a shoulder: the person sees a name that is not theirs, and says no."""
    before = link.old.session.keyring.hash
    link.says = False
    offer = await link.offer()
    old = asyncio.create_task(offer.complete(link.confirm))
    with pytest.raises(CallError):
        await link.join(offer.code, name="Eve's phone")
    assert await old is None
    assert [name for name, _ in link.asked] == ["Eve's phone"]
    nothing_happened(link, before)


async def test_attack_057_link_phishing_a_question_that_nobody_answers_adds_nobody(link: Linking) -> None:
    before = link.old.session.keyring.hash
    offer = await link.offer()

    async def never(name: str, fingerprint: str) -> bool:
        await asyncio.Event().wait()
        return True

    old = asyncio.create_task(offer.complete(never))
    (ended,) = await settled(link, asyncio.create_task(link.join(offer.code)))
    assert isinstance(ended, NotFound)
    await stopped(old)
    nothing_happened(link, before)


async def test_attack_057_link_phishing_a_yes_after_the_time_adds_nobody(link: Linking) -> None:
    before = link.old.session.keyring.hash
    offer = await link.offer()

    def late(name: str, fingerprint: str) -> bool:
        link.clock.now += LIMITS.link_ms
        return True

    ended = await settled(link, asyncio.create_task(offer.complete(late)), asyncio.create_task(link.join(offer.code)))
    assert isinstance(ended[0], NotFound)
    nothing_happened(link, before)


async def test_attack_057_link_phishing_the_fingerprint_is_of_the_keys_that_are_added(link: Linking) -> None:
    offer = await link.offer()
    newcomer, session = await link.both(offer, offer.code)
    assert newcomer is not None
    assert link.asked == [(newcomer.name, newcomer.fingerprint)]
    assert newcomer.fingerprint.replace(" ", "") == session.device.id.hex()
    assert session.keyring.device(session.device.id) is not None
    session.state.close()


# ---------------------------------------------------------------- 058: the relay in between

Change = Callable[[bytes], bytes]


def swapped_share(message: bytes) -> bytes:
    return Offer(os.urandom(31) + b"\0", os.urandom(31) + b"\0", Offer.parse(message).kem_key).encode()


def swapped_kem(message: bytes) -> bytes:
    offer = Offer.parse(message)
    return Offer(offer.short, offer.long, KemKey(KemSeed(os.urandom(96))).public).encode()


def own_offer(message: bytes) -> bytes:
    relays = Old(Mailbox(ADDRESS, 0), GUESS, LinkSecret(os.urandom(20)), 2**47, os.urandom(RUN_RANDOMNESS))
    return relays.offer()


def exchanged_shares(message: bytes) -> bytes:
    offer = Offer.parse(message)
    return Offer(offer.long, offer.short, offer.kem_key).encode()


def low_order_offer(message: bytes) -> bytes:
    point = bytes.fromhex(SMALL[4])
    return Offer(point, point, Offer.parse(message).kem_key).encode()


def low_order_answer(message: bytes) -> bytes:
    answer = Answer.parse(message)
    return Answer(answer.kind, bytes.fromhex(SMALL[1]), answer.wrap, answer.confirmation).encode()


def other_kind(message: bytes) -> bytes:
    answer = Answer.parse(message)
    return Answer(3 - answer.kind, answer.share, answer.wrap, answer.confirmation).encode()


def other_wrap(message: bytes) -> bytes:
    answer = Answer.parse(message)
    return Answer(answer.kind, answer.share, os.urandom(1168), answer.confirmation).encode()


def flipped(message: bytes) -> bytes:
    return message[:-1] + bytes([message[-1] ^ 1])


SWAPS: list[tuple[Slot, Change]] = [
    (Slot.OFFER, swapped_share), (Slot.OFFER, swapped_kem), (Slot.OFFER, own_offer), (Slot.OFFER, exchanged_shares),
    (Slot.OFFER, low_order_offer), (Slot.OFFER, flipped), (Slot.OFFER, lambda _: b"\xff"),
    (Slot.ANSWER, low_order_answer), (Slot.ANSWER, other_kind), (Slot.ANSWER, other_wrap), (Slot.ANSWER, flipped),
    (Slot.ANSWER, lambda _: b"\xff"), (Slot.VERDICT, flipped), (Slot.VERDICT, lambda _: Verdict(bytes(32)).encode()),
    (Slot.VERDICT, lambda _: REFUSED), (Slot.VERDICT, lambda _: b""[:0] or b"\0"),
    (Slot.NEWCOMER, flipped), (Slot.NEWCOMER, lambda message: os.urandom(len(message))), (Slot.WELCOME, flipped),
]  # fmt: skip


def changing(transport: Transport, slot: Slot, change: Change) -> Hostile:
    """Gives another message than the one that lies in this slot of the first run."""
    made = Hostile(transport)
    kept: dict[int, bytes] = {}

    def answer(honest: bytes, _: int, number: int) -> bytes:
        if number != slot_number(1, slot) or not honest:
            return honest
        return kept.setdefault(number, change(honest))

    made.replace("get_link", answer)
    return made


@pytest.mark.spec("LINK-7", "LINK-13")
@pytest.mark.parametrize(("slot", "change"), SWAPS, ids=lambda value: getattr(value, "name", None))
async def test_attack_058_link_mitm_every_swap_of_a_message_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slot: Slot, change: Change
) -> None:
    """Whatever message the relay changes, the link does not come about; nobody is asked when the swap came before the
    proofs, no name is told to anybody."""
    link = await linking_bench(tmp_path, monkeypatch, wrap_old=lambda transport: changing(transport, slot, change))
    link.wrap_new = lambda transport: changing(transport, slot, change)
    before = link.old.session.keyring.hash
    offer = await link.offer()
    old = asyncio.create_task(offer.complete(link.confirm))
    new = asyncio.create_task(link.join(offer.code))
    ended = await settled(link, old, new)
    assert ended[1] is not None
    assert not (link.folder / "new" / "device.db").exists()
    if slot is Slot.WELCOME:  # the last: the device was added with the person's yes, and does not believe it
        assert isinstance(ended[1], UntrustedDataError)
        assert devices(link) == 2
    else:
        nothing_happened(link, before)
        assert link.asked == []
    link.bench.close()


async def test_attack_058_link_mitm_ephemeral_keys_replaced_on_both_legs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The relay runs one exchange with each device, guessing the code: both guesses fail, and both devices notice."""
    made: dict[str, Any] = {}

    class Between(Hostile):
        """Two mailboxes behind one number: each device only ever sees the relay's own messages."""

        def __init__(self, honest: Transport, side: str) -> None:
            super().__init__(honest)
            self.side = side
            self.slots: dict[int, bytes] = made.setdefault(side, {})

        async def put_link(self, number: int, slot: int, message: bytes) -> None:
            if self.slots.setdefault(slot, message) != message:
                raise RelayConflict("taken")
            run, place = slot // len(Slot) + 1, Slot(slot % len(Slot))
            mailbox = Mailbox(ADDRESS, number)
            if self.side == "old" and place is Slot.OFFER:
                new = New(mailbox, 2**47).answer(GUESS, run, message, os.urandom(ANSWER_RANDOMNESS), 0)
                self.slots[slot_number(run, Slot.ANSWER)] = new.reply
            if self.side == "new" and place is Slot.ANSWER:
                judged = made["relay"].take(message, 0).judge(os.urandom(RUN_RANDOMNESS))
                made["verdicts"] = made.get("verdicts", 0) + 1
                assert judged.run == made["relay"].run + 1  # the guess was wrong, and was the only one
                self.slots[slot_number(run, Slot.VERDICT)] = Verdict(os.urandom(32)).encode()

        async def get_link(self, number: int, slot: int) -> bytes:
            if self.side == "new" and slot == slot_number(1, Slot.OFFER):
                made.setdefault(
                    "relay",
                    Old(Mailbox(ADDRESS, number), GUESS, LinkSecret(bytes(20)), 2**47, os.urandom(RUN_RANDOMNESS)),
                )
                return bytes(made["relay"].offer())
            return self.slots.get(slot, b"")

    link = await linking_bench(tmp_path, monkeypatch, wrap_old=lambda transport: Between(transport, "old"))
    link.wrap_new = lambda transport: Between(transport, "new")
    before = link.old.session.keyring.hash
    offer = await link.offer()
    ended = await settled(
        link, asyncio.create_task(offer.complete(link.confirm)), asyncio.create_task(link.join(offer.code))
    )
    assert isinstance(ended[0], NotFound)  # three guesses, and over
    assert isinstance(ended[1], UntrustedDataError)
    assert made["verdicts"] == 1
    assert link.asked == []
    nothing_happened(link, before)
    link.bench.close()


async def guesses_at_old(link: Linking) -> int:
    """A relay that answers in the new device's place as often as it can; how many answers were judged."""
    offer = await link.offer()
    number = parse(offer.code).number
    transport = await link.transport(ADDRESS)
    old = asyncio.create_task(offer.complete(link.confirm))
    judged = 0
    for run in range(1, LIMITS.link_tries + 1):
        message = await lies_there(transport, number, run, Slot.OFFER)
        new = New(Mailbox(ADDRESS, number), 2**47).answer(GUESS, 1, message, os.urandom(ANSWER_RANDOMNESS), 0)
        await transport.put_link(number, slot_number(run, Slot.ANSWER), new.reply)
        assert await lies_there(transport, number, run, Slot.VERDICT) == REFUSED
        judged += 1
    with pytest.raises(NotFound):  # at once, with no further offer, and not for want of time
        await old
    assert link.old.session.state.get("link") is None
    return judged


@pytest.mark.spec("LINK-8")
async def test_attack_058_link_mitm_one_guess_a_run_and_three_in_all_at_the_old_device(link: Linking) -> None:
    assert await guesses_at_old(link) == LIMITS.link_tries
    assert link.asked == []
    assert devices(link) == 1


async def test_attack_058_link_mitm_another_answer_in_a_run_is_no_further_guess(link: Linking) -> None:
    """The relay takes back an answer whose guess was wrong, and shows another one to a device that it made restart."""
    offer = await link.offer()
    number = parse(offer.code).number
    transport = await link.transport(ADDRESS)
    old = asyncio.create_task(offer.complete(link.confirm))
    message = await lies_there(transport, number, 1, Slot.OFFER)
    mailbox = Mailbox(ADDRESS, number)
    wrong = New(mailbox, 2**47).answer(GUESS, 1, message, os.urandom(ANSWER_RANDOMNESS), 0).reply
    await transport.put_link(number, slot_number(1, Slot.ANSWER), wrong)
    await lies_there(transport, number, 2, Slot.OFFER)
    await stopped(old)
    right = New(mailbox, 2**47).answer(parse(offer.code).secret, 1, message, os.urandom(ANSWER_RANDOMNESS), 0).reply
    relay = await link.bench.open()
    await relay.store.write(
        lambda database: database.execute("UPDATE link_slots SET message = ? WHERE slot = ?", (right, int(Slot.ANSWER)))
    )
    again = await link.offer()
    assert again.code == offer.code
    (ended,) = await settled(link, asyncio.create_task(again.complete(link.confirm)))
    assert isinstance(ended, NotFound)
    assert link.asked == []
    assert devices(link) == 1


@pytest.mark.spec("LINK-12", "LINK-26")
@pytest.mark.spec("LINK-30")
@pytest.mark.parametrize(
    "verdict",
    [REFUSED, b"no CBOR", b"\xa0", bytes(LIMITS.link_message_bytes + 1), None],
    ids=["null", "noise", "fields", "long", "not-found"],
)
async def test_attack_058_link_mitm_three_guesses_at_the_new_device_restarts_included(
    link: Linking, verdict: bytes | None
) -> None:
    """The relay poses as the old device, and makes the person enter the right code again and again. However it ends
    a try, it gives none back."""
    guesses = 0

    randomness = os.urandom(RUN_RANDOMNESS)

    def wrap(transport: Transport) -> Hostile:
        made = Hostile(transport)
        slots: dict[int, bytes] = {}

        def get(number: int, slot: int) -> bytes:
            if slot % len(Slot) == Slot.OFFER:
                posed = Old(Mailbox(ADDRESS, number), GUESS, LinkSecret(bytes(20)), 2**47, randomness)
                return slots.setdefault(slot, posed.offer())
            if verdict is None and slot % len(Slot) == Slot.VERDICT:
                raise NotFound("there is no such mailbox")
            return slots.get(slot, b"")

        def put(number: int, slot: int, message: bytes) -> None:
            nonlocal guesses
            guesses += 1
            slots[slot + 1] = verdict or b""

        made.instead("get_link", get)
        made.instead("put_link", put)
        return made

    link.wrap_new = wrap
    for left in (2, 1, 0):
        with pytest.raises((WrongSecret, UntrustedDataError, NotFound)) as caught:
            await link.join("482193-K7Q-M2X")
        assert verdict is not REFUSED or f"left: {left}" in str(caught.value)
    for _ in range(3):
        with pytest.raises(NotFound):
            await link.join("482193-K7Q-M2X")
    assert guesses == LIMITS.link_tries
    assert not (link.folder / "new" / "device.db").exists()


@pytest.mark.spec("LINK-1")
async def test_attack_029_low_order_shares_end_a_run_on_the_wire(link: Linking) -> None:
    """An answer of a point of small order, with every confirmation that it could have: spent, like any wrong one."""
    offer = await link.offer()
    number = parse(offer.code).number
    transport = await link.transport(ADDRESS)
    old = asyncio.create_task(offer.complete(link.confirm))
    for run in range(1, LIMITS.link_tries + 1):
        await lies_there(transport, number, run, Slot.OFFER)
        message = Answer(1, bytes.fromhex(SMALL[run]), bytes(1168), bytes(32)).encode()
        await transport.put_link(number, slot_number(run, Slot.ANSWER), message)
    with pytest.raises(NotFound):
        await old
    assert link.asked == []


async def test_attack_058_link_mitm_an_old_state_is_not_taken_for_the_anchors(link: Linking) -> None:
    """The relay lets the link through, and shows the new device the account as it was before."""
    offer = await link.offer()
    old_head = await link.old.session.transport.head(link.old.session.account, None)

    def wrap(transport: Transport) -> Hostile:
        made = Hostile(transport)
        made.replace("head", lambda honest, *_: old_head)
        made.replace("keyrings", lambda honest, _, first: honest[:1] if first == 1 else [])
        return made

    link.wrap_new = wrap
    old = asyncio.create_task(offer.complete(link.confirm))
    with pytest.raises(UntrustedDataError) as caught:
        await link.join(offer.code)
    assert caught.value.failure is Failure.ROLLBACK
    assert (await old) is not None
    assert not (link.folder / "new" / "device.db").exists()

    link.wrap_new = lambda transport: transport  # one lie has not cost the device that is listed its keys
    session = await link.join(None)
    assert session.keyring.device(session.device.id) is not None
    session.state.close()


async def test_attack_058_link_mitm_the_relay_sees_no_name_and_one_length(link: Linking) -> None:
    """Planted names are nowhere in what passes the relay."""
    seen: list[bytes] = []

    def kept(honest: bytes, *_: int) -> bytes:
        seen.append(honest)
        return honest

    def wrap(transport: Transport) -> Hostile:
        made = Hostile(transport)
        made.replace("get_link", kept)
        return made

    link.wrap_new = wrap
    offer = await link.offer()
    old = asyncio.create_task(offer.complete(link.confirm))
    session = await link.join(offer.code, name="canary-device-name")
    await old
    stored = await (await link.bench.open()).store.read(
        lambda database: [bytes(row[0]) for row in database.execute("SELECT message FROM link_slots")]
    )
    assert len(stored) == len(Slot)
    for message in [*stored, *seen]:
        assert b"canary" not in message
        assert link.old.session.account not in message
        assert parse(offer.code).secret.reveal() not in message
    session.state.close()
