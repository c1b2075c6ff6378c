"""Mailboxes for linking: who opens them, what lies in them, for how long (chapter 12.10)."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from relay_process import RelayProcess
from server.account_builder import Answer, ask
from server.conftest import Bench, Served, enrolled, refused
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.relay_api.links import SLOTS, LinkRequest, LinkResponse
from strongroom_protocol.relay_api.problems import Problem
from strongroom_relay.service import links
from strongroom_relay.service.objects import sweep

MINUTE = 60_000


def request() -> LinkRequest:
    return LinkRequest(os.urandom(16))


async def rows(bench: Bench, table: str) -> int:
    query = f"SELECT count(*) FROM {table}"
    return int((await bench.relay.store.read(lambda database: database.execute(query).fetchone()))[0])


async def test_messages_lie_in_their_slots(bench: Bench) -> None:
    made = await links.open_link(bench.relay, bench.who, request())
    assert made.lasts == LIMITS.link_ms
    assert await links.get_slot(bench.relay, made.number, 3) == b""
    await links.put_slot(bench.relay, made.number, 3, b"three")
    await links.put_slot(bench.relay, made.number, SLOTS - 1, bytes(4096))
    assert await links.get_slot(bench.relay, made.number, 3) == b"three"
    assert await links.get_slot(bench.relay, made.number, 4) == b""


async def test_only_devices_open_one(bench: Bench) -> None:
    guest = await bench.guest()
    assert await refused(links.open_link(bench.relay, guest, request())) is Problem.READ_ONLY


@pytest.mark.spec("LINK-15")
async def test_the_same_request_gives_the_same_mailbox(bench: Bench) -> None:
    asked = request()
    made = await links.open_link(bench.relay, bench.who, asked)
    bench.clock.now += MINUTE
    again = await links.open_link(bench.relay, bench.who, asked)
    assert (again.number, again.lasts) == (made.number, made.lasts - MINUTE)
    assert await rows(bench, "links") == 1


@pytest.mark.spec("LINK-15")
async def test_ids_of_accounts_are_apart(bench: Bench) -> None:
    asked, other = request(), await bench.second()
    made = await links.open_link(bench.relay, bench.who, asked)
    theirs = await links.open_link(bench.relay, replace(bench.who, account=other.id), asked)
    assert theirs.number != made.number


@pytest.mark.spec("LINK-16")
async def test_an_account_has_few_at_a_time(bench: Bench) -> None:
    for _ in range(LIMITS.link_mailboxes):
        await links.open_link(bench.relay, bench.who, request())
    assert await refused(links.open_link(bench.relay, bench.who, request())) is Problem.RATE
    other = await bench.second()
    await links.open_link(bench.relay, replace(bench.who, account=other.id), request())
    bench.clock.now += LIMITS.link_ms
    await links.open_link(bench.relay, bench.who, request())


@pytest.mark.spec("LINK-17")
async def test_a_relay_has_a_bounded_number(bench: Bench) -> None:
    bench.relay.limits = replace(LIMITS, link_mailboxes=100, link_mailboxes_total=5)
    for _ in range(5):
        await links.open_link(bench.relay, bench.who, request())
    assert await refused(links.open_link(bench.relay, bench.who, request())) is Problem.UNAVAILABLE


async def test_numbers_are_random_and_none_is_given_twice(bench: Bench) -> None:
    drawn = iter([(5).to_bytes(8, "big")] * 3 + [(6).to_bytes(8, "big")])
    bench.relay.randomness = lambda length: next(drawn)
    numbers = [(await links.open_link(bench.relay, bench.who, request())).number for _ in range(2)]
    assert numbers == [5, 6]


@pytest.mark.spec("LINK-18")
@pytest.mark.parametrize(("slot", "size"), [(SLOTS, 1), (99, 1), (0, 0), (0, 4097)])
async def test_what_has_no_place_is_refused(bench: Bench, slot: int, size: int) -> None:
    made = await links.open_link(bench.relay, bench.who, request())
    assert await refused(links.put_slot(bench.relay, made.number, slot, bytes(size))) is Problem.BAD_REQUEST
    assert await rows(bench, "link_slots") == 0


@pytest.mark.spec("LINK-19")
async def test_a_slot_is_written_once(bench: Bench) -> None:
    made = await links.open_link(bench.relay, bench.who, request())
    await links.put_slot(bench.relay, made.number, 0, b"first")
    await links.put_slot(bench.relay, made.number, 0, b"first")
    assert await refused(links.put_slot(bench.relay, made.number, 0, b"second")) is Problem.CONFLICT
    assert await links.get_slot(bench.relay, made.number, 0) == b"first"


@pytest.mark.spec("LINK-20", "LINK-28")
async def test_a_mailbox_is_gone_after_ten_minutes_and_swept(bench: Bench) -> None:
    made = await links.open_link(bench.relay, bench.who, request())
    await links.put_slot(bench.relay, made.number, 0, b"first")
    bench.clock.now += LIMITS.link_ms - 1
    await sweep(bench.relay)
    assert await links.get_slot(bench.relay, made.number, 0) == b"first"
    bench.clock.now += 1
    assert await refused(links.get_slot(bench.relay, made.number, 0)) is Problem.NOT_FOUND
    assert await refused(links.put_slot(bench.relay, made.number, 1, b"late")) is Problem.NOT_FOUND
    assert (await rows(bench, "links"), await rows(bench, "link_slots")) == (1, 1)
    await sweep(bench.relay)
    assert (await rows(bench, "links"), await rows(bench, "link_slots")) == (0, 0)


@pytest.mark.spec("LINK-21")
async def test_attack_057_looking_for_mailboxes_is_slow(bench: Bench) -> None:
    """Misses are counted by address, for reading and writing alike; somebody else is not held up."""
    made = await links.open_link(bench.relay, bench.who, request())
    free = (made.number + 1) % 1_000_000
    for at in range(50):
        call = links.put_slot(bench.relay, free, 0, b"x", "here") if at % 2 else None
        problem = await refused(call or links.get_slot(bench.relay, free, 0, "here"))
        assert problem is Problem.NOT_FOUND
    assert await refused(links.get_slot(bench.relay, made.number, 0, "here")) is Problem.RATE
    assert await refused(links.put_slot(bench.relay, made.number, 0, b"x", "here")) is Problem.RATE
    assert await links.get_slot(bench.relay, made.number, 0, "there") == b""
    bench.clock.now += 6_000
    assert await links.get_slot(bench.relay, made.number, 0, "here") == b""


async def test_those_who_wait_in_a_mailbox_are_not_counted(bench: Bench) -> None:
    made = await links.open_link(bench.relay, bench.who, request())
    for _ in range(600):
        await links.get_slot(bench.relay, made.number, 0, "here")


def put(address: tuple[str, int], number: int | str, slot: int | str, body: bytes, **headers: str) -> Answer:
    return ask(address, "PUT", f"/v1/links/{number}/{slot}", body, headers=headers)


def test_over_http(served: Served) -> None:
    address = served.process.address
    keys = served.account.device
    opened = ask(address, "POST", served.base + "/links", request().encode(), keys=keys)
    assert opened.status == 201
    number = f"{LinkResponse.parse(opened.body).number:06}"
    assert put(address, number, 0, b"hello").status == 201
    assert put(address, number, 0, b"hello").status == 201
    assert put(address, number, 0, b"other").status == 409
    assert put(address, number, 1, bytes(4097)).status == 413
    assert put(address, number, 15, b"x").status == 400
    assert put(address, number, 100, b"x").status == 404
    assert put(address, number[1:], 0, b"x").status == 404
    got = ask(address, "GET", f"/v1/links/{number}/0")
    assert (got.status, got.body) == (200, b"hello")
    assert ask(address, "GET", f"/v1/links/{number}/1").body == b""
    assert ask(address, "POST", served.base + "/links", request().encode()).status == 401
    assert ask(address, "POST", served.base + "/links", b"\xa0", keys=keys).status == 400
    assert ask(address, "DELETE", f"/v1/links/{number}/0").status == 405


def test_a_restart_loses_nothing(tmp_path: Path) -> None:
    with RelayProcess(tmp_path, open_registration=True) as process:
        account = enrolled(process)
        base = f"/v1/accounts/{account.id.hex()}/links"
        asked = request().encode()
        number = LinkResponse.parse(ask(process.address, "POST", base, asked, keys=account.device).body).number
        assert put(process.address, f"{number:06}", 0, b"hello").status == 201
        process.kill()
        process.start()
        assert ask(process.address, "GET", f"/v1/links/{number:06}/0").body == b"hello"
        assert LinkResponse.parse(ask(process.address, "POST", base, asked, keys=account.device).body).number == number
