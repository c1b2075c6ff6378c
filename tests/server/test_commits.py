"""Commits: compare-and-swap of head and keyring (chapters 09, 11, 12)."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace

import pytest

from server.account_builder import DeviceKeys, name_of
from server.conftest import Bench, refused
from strongroom_protocol.manifest.head import Delta
from strongroom_protocol.manifest.keyring import Cut
from strongroom_protocol.manifest.receipt import Chain, verify_receipt
from strongroom_protocol.relay_api.problems import Problem, ProblemError
from strongroom_relay.service import accounts, reading
from strongroom_relay.service.relay import Principal


async def newest(bench: Bench) -> bytes:
    return (await reading.head(bench.relay, bench.who, None)).head


async def test_a_commit_advances_the_head_with_a_receipt(bench: Bench) -> None:
    for _ in range(5):
        request = bench.account.commit()
        answer = await bench.commit(request)
        bench.account.done(request)
        head = bench.account.newest
        verify_receipt(
            answer.head_receipt, receipt_key=bench.relay.receipt_key, account=head.account, chain=Chain.HEAD,
            version=head.version, hash_=head.hash, previous=head.previous,
        )  # fmt: skip
    got = await reading.head(bench.relay, bench.who, 2)
    assert got.head == bench.account.newest.message
    assert got.peaks == bench.account.peaks


@pytest.mark.spec("API-5")
async def test_the_same_commit_again_gives_the_same_receipts(bench: Bench) -> None:
    request = bench.account.commit()
    first = await bench.commit(request)
    bench.clock.now += 1000
    assert await bench.commit(request) == first
    bench.account.done(request)
    later = bench.account.commit()
    await bench.commit(later)
    assert await bench.commit(request) == first


@pytest.mark.spec("API-6")
async def test_a_commit_on_an_older_head_conflicts(bench: Bench) -> None:
    winner, loser = bench.account.commit(), bench.account.commit()
    await bench.commit(winner)
    assert await refused(bench.commit(loser)) is Problem.CONFLICT
    assert await newest(bench) == winner.head
    with pytest.raises(ProblemError) as caught:
        await bench.commit(loser)
    assert caught.value.extra == {"version": 2}
    ahead = bench.account.commit(version=9)
    assert await refused(bench.commit(ahead)) is Problem.CONFLICT


@pytest.mark.spec("API-4")
async def test_attack_089_a_head_is_committed_by_the_key_that_signed_it(bench: Bench) -> None:
    guest = await bench.guest()
    assert await refused(bench.commit(bench.account.commit(), guest)) is Problem.SIGNATURE
    stranger = Principal(bench.account.id, os.urandom(32), True)
    assert await refused(bench.commit(bench.account.commit(), stranger)) is Problem.SIGNATURE


async def test_a_head_of_an_unknown_device_is_refused(bench: Bench) -> None:
    stranger = DeviceKeys()
    who = Principal(bench.account.id, stranger.sign.public, True)
    assert await refused(bench.commit(bench.account.commit(device=stranger), who)) is Problem.BAD_REQUEST


async def test_a_wrong_log_root_or_delta_is_refused_and_changes_nothing(bench: Bench) -> None:
    before = await newest(bench)
    assert await refused(bench.commit(bench.account.commit(log_root=os.urandom(32)))) is Problem.BAD_REQUEST
    wrong = replace(bench.account.commit(), delta=Delta.of([os.urandom(32)], ()))
    assert await refused(bench.commit(wrong)) is Problem.BAD_REQUEST
    assert await newest(bench) == before
    await bench.commit(bench.account.commit())


@pytest.mark.spec("LIFE-4")
async def test_a_commit_needs_all_that_it_adds_and_its_body_among_it(bench: Bench) -> None:
    absent = os.urandom(32)
    with pytest.raises(ProblemError) as caught:
        await bench.commit(bench.account.commit(adds=[absent]))
    assert caught.value.problem is Problem.MISSING_OBJECTS
    assert caught.value.extra == {"missing": [absent.hex()]}
    assert await refused(bench.commit(bench.account.commit(with_body=False))) is Problem.MISSING_OBJECTS
    bodiless = bench.account.commit(body=b"body")
    assert await refused(bench.commit(replace(bodiless, objects=()))) is Problem.MISSING_OBJECTS
    assert await bench.get(name_of(b"body")) is None


@pytest.mark.spec("API-7")
async def test_a_head_under_an_older_keyring_conflicts(bench: Bench) -> None:
    old = bench.account.keyring
    keyring = bench.account.next_keyring(add=(DeviceKeys(),))
    request = bench.account.commit(keyring=keyring)
    answer = await bench.commit(request)
    assert answer.keyring_receipt is not None
    bench.account.done(request, keyring)
    stale = replace(bench.account.commit(keyring=old), keyring=None)
    assert await refused(bench.commit(stale)) is Problem.CONFLICT


@pytest.mark.spec("API-8")
async def test_a_keyring_is_cut_at_the_newest_head(bench: Bench) -> None:
    keyring = bench.account.next_keyring(cut=Cut(1, os.urandom(32)))
    assert await refused(bench.commit(bench.account.commit(keyring=keyring))) is Problem.CONFLICT
    keyring = bench.account.next_keyring(cut=Cut(2, bench.account.newest.hash))
    assert await refused(bench.commit(bench.account.commit(keyring=keyring))) is Problem.CONFLICT


@pytest.mark.spec("API-9")
async def test_slots_and_keyring_change_together(bench: Bench) -> None:
    slots = bench.account.make_slots(2)
    keyring = bench.account.next_keyring(slots_hash=slots.hash())
    alone = bench.account.commit(keyring=keyring)
    assert await refused(bench.commit(alone)) is Problem.BAD_REQUEST
    unsaid = bench.account.commit(keyring=bench.account.next_keyring(), slots=slots)
    assert await refused(bench.commit(unsaid)) is Problem.BAD_REQUEST
    good = bench.account.commit(keyring=keyring, slots=slots)
    await bench.commit(good)
    bench.account.done(good, keyring, slots)
    assert (await accounts.login(bench.relay, "anna")).salt == slots.salt


@pytest.mark.spec("API-34")
async def test_slots_without_a_keyring_are_refused(bench: Bench) -> None:
    request = bench.account.commit(slots=bench.account.make_slots(2))
    assert await refused(bench.commit(request)) is Problem.BAD_REQUEST


async def test_a_keyring_that_the_root_did_not_sign_is_refused(bench: Bench) -> None:
    from strongroom_protocol.keys.root import Root
    from strongroom_protocol.keys.secrets import RootSecret

    thief = Root(RootSecret(os.urandom(32)))
    keyring = bench.account.next_keyring(root=thief)
    assert await refused(bench.commit(bench.account.commit(keyring=keyring))) is Problem.BAD_REQUEST
    again = replace(bench.account.commit(), keyring=bench.account.keyring.message)
    assert await refused(bench.commit(again)) is Problem.BAD_REQUEST


async def test_a_guest_that_the_root_adds_becomes_a_device(bench: Bench) -> None:
    who = await bench.guest()
    keys = bench.guests[0]
    keyring = bench.account.next_keyring(add=(keys,))
    request = bench.account.commit(keyring=keyring, device=keys)
    await bench.commit(request, who)
    bench.account.done(request, keyring)
    now = await accounts.identify(bench.relay, bench.account.id, keys.sign.public)
    assert now.writes
    request = bench.account.commit(device=keys)
    await bench.commit(request, now)


async def test_a_removed_device_is_nobody(bench: Bench) -> None:
    keys = DeviceKeys()
    added = bench.account.next_keyring(add=(keys,))
    request = bench.account.commit(keyring=added)
    await bench.commit(request)
    bench.account.done(request, added)
    removed, _ = bench.account.keyring_without(keys)
    request = bench.account.commit(keyring=removed)
    await bench.commit(request)
    bench.account.done(request, removed)
    who = accounts.identify(bench.relay, bench.account.id, keys.sign.public)
    assert await refused(who) is Problem.NOT_FOUND
    late = bench.account.commit(device=keys)
    assert await refused(bench.commit(late, Principal(bench.account.id, keys.sign.public, True))) is Problem.BAD_REQUEST


async def test_attack_084_of_racing_commits_exactly_one_wins_each_version(bench: Bench) -> None:
    """Clients that read, build on what they read, and commit: the accepted heads are one chain without gaps."""
    from strongroom_protocol.manifest.head import parse_head

    accepted: list[tuple[int, bytes]] = []

    async def client() -> None:
        wins = 0
        while wins < 3:
            request = bench.account.commit()
            try:
                await bench.commit(request)
            except ProblemError as problem:
                if problem.problem is not Problem.CONFLICT:
                    raise
                await asyncio.sleep(0)
                continue
            wins += 1
            head = parse_head(request.head, account=bench.account.id)
            accepted.append((head.version, head.hash))
            if bench.account.newest.hash == head.previous:
                bench.account.done(request)

    await asyncio.gather(*(client() for _ in range(8)))
    assert [version for version, _ in sorted(accepted)] == list(range(2, 26))
    assert [head.hash for head in bench.account.heads[1:]] == [hash_ for _, hash_ in sorted(accepted)]


async def test_a_refused_commit_leaves_no_part_of_itself(bench: Bench) -> None:
    usage = await commits_usage(bench)
    keyring = bench.account.next_keyring(add=(DeviceKeys(),))
    request = bench.account.commit(keyring=keyring, objects=(os.urandom(1000),), adds=[os.urandom(32)])
    assert await refused(bench.commit(request)) is Problem.MISSING_OBJECTS
    assert await commits_usage(bench) == usage
    assert len(await reading.keyrings(bench.relay, bench.who, 1)) == 1
    await bench.commit(bench.account.commit())


async def commits_usage(bench: Bench) -> tuple[int, int]:
    from strongroom_relay.service import objects

    usage = await objects.usage(bench.relay, bench.who)
    return usage.stored, usage.objects
