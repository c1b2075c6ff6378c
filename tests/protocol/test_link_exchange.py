"""Both sides of a link as states: what they agree on, in which order, how often, for how long (chapter 15)."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

import pytest

from strongroom_protocol.errors import Failure, NotFound, UntrustedDataError
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.link.code import LinkSecret, long_text, parse, short_code, short_secret
from strongroom_protocol.link.exchange import Mailbox, Slot, slot_number
from strongroom_protocol.link.messages import REFUSED, Answer, Newcomer, Offer, Verdict, Welcome, parse_welcome
from strongroom_protocol.link.new import ANSWER_RANDOMNESS, New, Step
from strongroom_protocol.link.old import RUN_RANDOMNESS, Old, Phase
from strongroom_protocol.relay_api.links import SLOTS

MAILBOX = Mailbox("https://relay.example", 482193)
SHORT, LONG, WRONG = LinkSecret(b"K7QM2X"), LinkSecret(bytes(range(20))), LinkSecret(b"K7QM2Y")
NOW, EXPIRES = 1_000, 601_000
NEWCOMER = Newcomer(bytes(32), bytes(1216), "phone")
WELCOME = Welcome("ada", b"anchor")


def old() -> Old:
    return Old(MAILBOX, SHORT, LONG, EXPIRES, os.urandom(RUN_RANDOMNESS))


def new(mailbox: Mailbox = MAILBOX) -> New:
    return New(mailbox, EXPIRES)


def answered(new: New, offer: bytes, secret: LinkSecret = SHORT, run: int = 1) -> New:
    return new.answer(secret, run, offer, os.urandom(ANSWER_RANDOMNESS), NOW)


def judged(old: Old, answer: bytes) -> Old:
    return old.take(answer, NOW).judge(os.urandom(RUN_RANDOMNESS))


def confirmed(secret: LinkSecret = SHORT) -> tuple[Old, New]:
    """Both after the verdict."""
    one = old()
    two = answered(new(), one.offer(), secret)
    one = judged(one, two.reply)
    return one, two.judged(one.verdict(), NEWCOMER, NOW)


def refused(call: Callable[[], object], failure: Failure = Failure.LINK) -> None:
    with pytest.raises(UntrustedDataError) as caught:
        call()
    assert caught.value.failure is failure


@pytest.mark.parametrize("secret", [SHORT, LONG], ids=["short", "long"])
def test_both_come_to_the_end_with_either_secret_and_stored_at_every_step(secret: LinkSecret) -> None:
    one, two = old(), new()
    two = New.parse(answered(two, Old.parse(one.encode()).offer(), secret).encode())
    one = Old.parse(one.take(two.reply, NOW).encode())
    one = Old.parse(one.judge(os.urandom(RUN_RANDOMNESS)).encode())
    two = New.parse(two.judged(one.verdict(), NEWCOMER, NOW).encode())
    one = Old.parse(one.meet(two.introduction, NOW).encode())
    assert one.newcomer == NEWCOMER
    one = Old.parse(Old.parse(one.agree(NOW).encode()).welcome(WELCOME).encode())
    assert two.welcomed(one.closing, NOW) == WELCOME


def test_a_no_reaches_the_new_device() -> None:
    one, two = confirmed()
    assert two.welcomed(one.meet(two.introduction, NOW).decline().closing, NOW) is None


def test_slots_of_all_runs_lie_apart_and_within_the_mailbox() -> None:
    numbers = [slot_number(run, slot) for run in range(1, LIMITS.link_tries + 1) for slot in Slot]
    assert sorted(numbers) == list(range(SLOTS))


def test_every_message_has_one_length_whatever_its_content() -> None:
    for name in ("", "x" * 128):
        one, two = old(), new()
        two = answered(two, one.offer())
        one = judged(one, two.reply)
        two = two.judged(one.verdict(), Newcomer(bytes(32), bytes(1216), name), NOW)
        one = one.meet(two.introduction, NOW).agree(NOW)
        lengths = (len(two.introduction), len(one.welcome(Welcome("a" + name[:100], bytes(250))).closing))
        assert lengths == (1552, 784)


@pytest.mark.spec("LINK-8", "LINK-11", "LINK-12")
def test_three_wrong_answers_and_the_link_is_over_on_both_ends() -> None:
    one, two = old(), new()
    offers = set()
    for run in range(1, LIMITS.link_tries + 1):
        assert (one.run, one.phase, two.step) == (run, Phase.OFFERED, Step.WAITING)
        offers.add(one.offer())
        two = answered(two, one.offer(), WRONG, run)
        one = judged(one, two.reply)
        two = two.judged(REFUSED, NEWCOMER, NOW)
    assert len(offers) == LIMITS.link_tries
    assert (one.phase, two.step, two.left) == (Phase.SPENT, Step.SPENT, 0)
    refused(lambda: one.take(two.reply, NOW))
    with pytest.raises(NotFound):
        answered(replace(two, step=Step.WAITING), old().offer())


@pytest.mark.spec("LINK-8")
def test_the_right_code_after_two_wrong_ones_still_links() -> None:
    one, two = old(), new()
    for secret, phase in ((WRONG, Phase.OFFERED), (WRONG, Phase.OFFERED), (LONG, Phase.CONFIRMED)):
        run = one.run
        two = answered(two, one.offer(), secret, run)
        one = judged(one, two.reply)
        assert one.phase is phase
        two = two.judged(one.verdict() if phase is Phase.CONFIRMED else REFUSED, NEWCOMER, NOW)
    assert two.step is Step.CONFIRMED


@pytest.mark.spec("LINK-9")
def test_no_message_is_taken_out_of_turn() -> None:
    one, two = confirmed()
    refused(lambda: one.take(two.reply, NOW))
    refused(lambda: one.judge(os.urandom(RUN_RANDOMNESS)))
    refused(lambda: one.agree(NOW))
    refused(lambda: one.welcome(WELCOME))
    refused(lambda: one.meet(two.introduction, NOW).welcome(WELCOME))
    refused(lambda: one.meet(two.introduction, NOW).meet(two.introduction, NOW))
    refused(lambda: two.judged(one.verdict(), NEWCOMER, NOW))
    refused(lambda: answered(two, old().offer()))
    refused(lambda: new().judged(REFUSED, NEWCOMER, NOW))
    closed = one.meet(two.introduction, NOW).agree(NOW).welcome(WELCOME).closing
    refused(lambda: new().welcomed(closed, NOW))


@pytest.mark.spec("LINK-10", "LINK-14")
def test_nothing_is_taken_when_the_time_is_over() -> None:
    one, two = old(), new()
    two = answered(two, one.offer())
    with pytest.raises(NotFound):
        new().answer(SHORT, 1, one.offer(), os.urandom(ANSWER_RANDOMNESS), EXPIRES)
    with pytest.raises(NotFound):
        one.take(two.reply, EXPIRES)
    one = judged(one, two.reply)
    with pytest.raises(NotFound):
        two.judged(one.verdict(), NEWCOMER, EXPIRES)
    two = two.judged(one.verdict(), NEWCOMER, NOW)
    with pytest.raises(NotFound):
        one.meet(two.introduction, EXPIRES)
    met = one.meet(two.introduction, NOW)
    with pytest.raises(NotFound):
        met.agree(EXPIRES)
    with pytest.raises(NotFound):
        two.welcomed(met.agree(NOW).welcome(WELCOME).closing, EXPIRES)


def test_a_stored_answer_is_the_only_one_that_is_judged() -> None:
    """A relay that shows another answer after a crash does not get another guess for it."""
    one = old()
    first = answered(new(), one.offer(), WRONG)
    stored = Old.parse(one.take(first.reply, NOW).encode())
    second = answered(new(), one.offer())
    refused(lambda: stored.take(second.reply, NOW))
    assert stored.judge(os.urandom(RUN_RANDOMNESS)).run == 2


@pytest.mark.spec("LINK-13")
def test_who_does_not_know_the_code_gets_no_name() -> None:
    one = old()
    two = answered(new(), one.offer(), WRONG)
    refused(lambda: two.judged(Verdict(os.urandom(32)).encode(), NEWCOMER, NOW))
    two = answered(new(), one.offer())
    right = judged(one, two.reply).verdict()
    for at in range(len(right)):
        wrong = right[:at] + bytes([right[at] ^ 1]) + right[at + 1 :]
        with pytest.raises(UntrustedDataError):
            two.judged(wrong, NEWCOMER, NOW)


def test_any_changed_byte_of_offer_or_answer_is_a_failed_try() -> None:
    one = old()
    offer = one.offer()
    answer = answered(new(), offer).reply
    for at in [*range(0, 80), *range(80, len(answer), 23)]:
        wrong = answer[:at] + bytes([answer[at] ^ 1]) + answer[at + 1 :]
        assert judged(one, wrong).phase is Phase.OFFERED, at
    for at in [*range(0, 80), *range(80, len(offer), 23)]:
        wrong = offer[:at] + bytes([offer[at] ^ 1]) + offer[at + 1 :]
        try:
            reply = answered(new(), wrong).reply
        except UntrustedDataError:
            continue
        assert judged(one, reply).phase is Phase.OFFERED, at


@pytest.mark.spec("LINK-6")
def test_long_messages_are_not_read() -> None:
    one = old()
    for parse_it in (Offer.parse, Answer.parse, Verdict.parse, Newcomer.parse):
        refused(lambda parse_it=parse_it: parse_it(bytes(4097)), Failure.LIMIT)  # type: ignore[misc]
    two = answered(new(), one.offer())
    assert judged(one, two.reply + bytes(10_000)).phase is Phase.OFFERED
    assert len(one.take(bytes(100_000), NOW).answer) == LIMITS.link_message_bytes + 1


def test_secrets_do_not_show() -> None:
    one, two = confirmed()
    shown = repr(one) + repr(two) + repr(parse("482193-K7Q-M2X"))
    assert "K7QM2X" not in shown
    assert "randomness" not in shown


def test_codes_come_back_from_what_is_shown() -> None:
    for uniform in (bytes(4), b"\xff" * 4, os.urandom(4)):
        secret = short_secret(uniform)
        found = parse(short_code(7, secret))
        assert (found.number, found.secret, found.relay) == (7, secret, None)
    found = parse(long_text("https://relay.example", 999_999, LONG))
    assert (found.number, found.secret, found.relay) == (999_999, LONG, "https://relay.example")


@pytest.mark.spec("LINK-2", "LINK-3", "LINK-4", "LINK-5")
@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("482193", "this has 6"), ("48219X-K7Q-M2X", "six digits"), ("482193-K7Q-M2!", "not used"),
        ("strongroom-link:AAAA", "not complete"),
    ],
)  # fmt: skip
def test_a_typo_is_explained(typed: str, said: str) -> None:
    with pytest.raises(UntrustedDataError, match=said) as caught:
        parse(typed)
    assert caught.value.failure is Failure.CODE
    assert caught.value.hint


@pytest.mark.spec("LINK-31")
@pytest.mark.parametrize("name", ["Ada", "a b", "../../x", "a\u202eb", "\x1b[2J"])
def test_a_name_that_no_account_has_is_refused(name: str) -> None:
    assert parse_welcome(WELCOME.encode()) == WELCOME
    with pytest.raises(UntrustedDataError) as caught:
        parse_welcome(Welcome(name, b"anchor").encode())
    assert caught.value.failure is Failure.SCHEMA
