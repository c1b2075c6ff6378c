"""Mailboxes in which two devices link (spec chapter 12.10): a number, a few write-once slots, ten minutes.

The relay learns that an account's device opened one, and when and from where messages of one length came. It does not
need to know who writes: the devices prove themselves to each other. They are in the store, so that a relay that is
restarted in the middle loses nothing.
"""

from __future__ import annotations

import sqlite3

from strongroom_protocol.relay_api.links import NUMBERS, SLOTS, LinkRequest, LinkResponse
from strongroom_protocol.relay_api.problems import Problem, ProblemError
from strongroom_relay.service.relay import Principal, Relay, require_writer


async def open_link(relay: Relay, who: Principal, request: LinkRequest) -> LinkResponse:
    """A mailbox for one of the account's devices; the same request again gives the same one."""
    require_writer(who)
    now = relay.clock()

    def work(database: sqlite3.Connection) -> LinkResponse:
        sweep_links(database, now)
        known = database.execute(
            "SELECT number, expires FROM links WHERE account = ? AND id = ?", (who.account, request.id)
        ).fetchone()
        if known is not None:  # spec: LINK-15
            return LinkResponse(known[0], known[1] - now)
        if _count(database, "account = ?", who.account) >= relay.limits.link_mailboxes:  # spec: LINK-16
            raise ProblemError(Problem.RATE)
        if _count(database, "?", 1) >= relay.limits.link_mailboxes_total:  # spec: LINK-17
            raise ProblemError(Problem.UNAVAILABLE)
        number = _free_number(relay, database)
        database.execute(
            "INSERT INTO links VALUES(?,?,?,?)", (number, who.account, request.id, now + relay.limits.link_ms)
        )
        return LinkResponse(number, relay.limits.link_ms)

    return await relay.store.write(work)


async def put_slot(relay: Relay, number: int, slot: int, message: bytes, source: str | None = None) -> None:
    """Write a slot, once; the same bytes again change nothing. `source` is the address that misses are counted by."""
    now = relay.clock()
    _require_allowed(relay, source, now)
    if slot >= SLOTS or not 0 < len(message) <= relay.limits.link_message_bytes:  # spec: LINK-18
        raise ProblemError(Problem.BAD_REQUEST)

    def work(database: sqlite3.Connection) -> bool:
        if not _is_open(database, number, now):
            return False
        place = (number, slot)
        database.execute("INSERT OR IGNORE INTO link_slots VALUES(?,?,?)", (*place, message))
        (there,) = database.execute("SELECT message FROM link_slots WHERE number = ? AND slot = ?", place).fetchone()
        if there != message:  # spec: LINK-19
            raise ProblemError(Problem.CONFLICT)
        return True

    if not await relay.store.write(work):
        raise _missed(relay, source, now)


async def get_slot(relay: Relay, number: int, slot: int, source: str | None = None) -> bytes:
    """What a slot holds; nothing while nobody has written it."""
    now = relay.clock()
    _require_allowed(relay, source, now)

    def work(database: sqlite3.Connection) -> bytes | None:
        if not _is_open(database, number, now):
            return None
        found = database.execute(
            "SELECT message FROM link_slots WHERE number = ? AND slot = ?", (number, slot)
        ).fetchone()
        return b"" if found is None else bytes(found[0])

    message = await relay.store.read(work)
    if message is None:
        raise _missed(relay, source, now)
    return message


def sweep_links(database: sqlite3.Connection, now: int) -> None:
    """Remove mailboxes whose time is over, with what is in them."""
    database.execute("DELETE FROM link_slots WHERE number IN (SELECT number FROM links WHERE expires <= ?)", (now,))
    database.execute("DELETE FROM links WHERE expires <= ?", (now,))


def _is_open(database: sqlite3.Connection, number: int, now: int) -> bool:
    found = database.execute("SELECT expires FROM links WHERE number = ?", (number,)).fetchone()
    return found is not None and found[0] > now  # spec: LINK-20


def _require_allowed(relay: Relay, source: str | None, now: int) -> None:
    if source is not None and not relay.link_guesses.allowed(source, now):  # spec: LINK-21
        raise ProblemError(Problem.RATE)


def _missed(relay: Relay, source: str | None, now: int) -> ProblemError:
    if source is not None:
        relay.link_guesses.count(source, now)
    return ProblemError(Problem.NOT_FOUND)


def _free_number(relay: Relay, database: sqlite3.Connection) -> int:
    # At most one number in a thousand is taken, so this ends at once. Random, so that nobody can sit at the next one.
    while True:
        number = int.from_bytes(relay.randomness(8), "big") % NUMBERS
        if database.execute("SELECT 1 FROM links WHERE number = ?", (number,)).fetchone() is None:
            return number


def _count(database: sqlite3.Connection, condition: str, value: object) -> int:
    (count,) = database.execute(f"SELECT count(*) FROM links WHERE {condition}", (value,)).fetchone()  # noqa: S608
    return int(count)
