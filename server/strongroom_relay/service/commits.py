"""Commits: head and keyring advance by compare-and-swap with the objects they add and drop (spec chapters 09, 11)."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence

from strongroom_protocol.errors import UntrustedDataError
from strongroom_protocol.manifest.head import Delta, Head, check_delta, check_follows, parse_head
from strongroom_protocol.manifest.keyring import Keyring, check_cut, check_writer, parse_keyring
from strongroom_protocol.manifest.receipt import Chain, Receipt
from strongroom_protocol.manifest.slots import SlotSet, slot_set_hash
from strongroom_protocol.manifest.succession import check_succession
from strongroom_protocol.relay_api.messages import CommitRequest, CommitResponse
from strongroom_protocol.relay_api.problems import Problem, ProblemError
from strongroom_protocol.wire import merkle
from strongroom_relay.service import log
from strongroom_relay.service.objects import drop, insert, pin
from strongroom_relay.service.relay import Principal, Relay, require_writer


async def commit(relay: Relay, who: Principal, request: CommitRequest) -> CommitResponse:
    """Advance the head; all of it in one transaction, durable on return. The same request again: the same receipts."""
    try:
        head = parse_head(request.head, account=who.account, limits=relay.limits)
        keyring = None
        if request.keyring is not None:
            keyring = parse_keyring(request.keyring, account=who.account, limits=relay.limits)
        check_delta(head, request.delta)
        if request.slots is not None:
            SlotSet.parse(request.slots, account=who.account)
            if keyring is None:  # spec: API-34
                raise ProblemError(Problem.BAD_REQUEST, failure="slots")
    except UntrustedDataError as error:
        raise ProblemError(Problem.BAD_REQUEST, failure=str(error.failure)) from error
    if head.signer != who.key:  # spec: API-4
        raise ProblemError(Problem.SIGNATURE)
    answer = await relay.store.write(lambda database: _swap(relay, database, who, head, keyring, request))
    relay.streams.changed(who.account)  # spec: LIVE-1
    return answer


def _swap(
    relay: Relay, database: sqlite3.Connection, who: Principal, head: Head, keyring: Keyring | None,
    request: CommitRequest,
) -> CommitResponse:  # fmt: skip
    if paused(database, who.account, who.key, relay.clock()):  # spec: BLOCK-6
        raise ProblemError(Problem.NOT_FOUND)  # the request may have begun before the block
    repeated = stored_receipts(database, head)
    if repeated is not None:  # spec: API-5
        return repeated
    current = newest_head(database, who.account)
    now_keyring = newest_keyring(relay, database, who.account)
    if head.version != current.version + 1 or head.previous != current.hash:  # spec: API-6
        raise ProblemError(Problem.CONFLICT, version=current.version)
    try:
        if keyring is None:
            require_writer(who)
            if (head.keyring_version, head.keyring_hash) != (now_keyring.version, now_keyring.hash):  # spec: API-7
                raise ProblemError(Problem.CONFLICT, version=current.version)
        else:
            _check_keyring(now_keyring, keyring, current, head, request.slots)
        check_follows(head, current)
        check_writer(head, keyring or now_keyring)
        _check_log(database, who.account, current, head)
    except UntrustedDataError as error:
        raise ProblemError(Problem.BAD_REQUEST, failure=str(error.failure)) from error
    if keyring is not None:
        if request.slots is not None:
            database.execute("UPDATE accounts SET slots = ? WHERE id = ?", (request.slots, who.account))
        if keyring.root_key != now_keyring.root_key:  # spec: API-36
            database.execute("DELETE FROM guests WHERE account = ?", (who.account,))
        database.execute("DELETE FROM blocks WHERE account = ?", (who.account,))
        store_keyring(relay, database, keyring)
    return store_head(relay, database, head, request.delta, request.objects, keyring)


def _check_keyring(old: Keyring, new: Keyring, current: Head, head: Head, slots: bytes | None) -> None:
    check_succession(old, new)
    if new.cut is None or (new.cut.version, new.cut.hash) != (current.version, current.hash):  # spec: API-8
        raise ProblemError(Problem.CONFLICT, version=current.version)
    check_cut(head, new)
    expected = old.slots_hash if slots is None else slot_set_hash(slots)
    if new.slots_hash != expected:  # spec: API-9
        raise ProblemError(Problem.BAD_REQUEST, failure="slots")


def _check_log(database: sqlite3.Connection, account: bytes, current: Head, head: Head) -> None:
    (peaks,) = database.execute("SELECT peaks FROM accounts WHERE id = ?", (account,)).fetchone()
    after = merkle.append(current.version - 1, _split(peaks), current.hash)
    merkle.check_peaks(head.version - 1, after, head.log_root)
    database.execute("UPDATE accounts SET peaks = ? WHERE id = ?", (b"".join(after), account))


def paused(database: sqlite3.Connection, account: bytes, key: bytes, now: int) -> bool:
    """Whether a device's key is blocked (`blocks`)."""
    row = database.execute("SELECT until FROM blocks WHERE account = ? AND key = ?", (account, key)).fetchone()
    return row is not None and row[0] > now


def store_head(
    relay: Relay, database: sqlite3.Connection, head: Head, delta: Delta, objects: Sequence[bytes],
    keyring: Keyring | None,
) -> CommitResponse:  # fmt: skip
    """Objects in, pins and drops, the head with its receipt."""
    over = 0
    if keyring is not None and keyring.version > 1:  # spec: LIFE-16
        over = relay.limits.keys_over_cap_bytes
    for data in objects:
        insert(relay, database, head.account, hashlib.sha256(data).digest(), len(data), data, over=over)
    absent = pin(database, head.account, delta.adds)
    if absent or head.body not in delta.adds:  # spec: LIFE-4
        raise ProblemError(Problem.MISSING_OBJECTS, missing=[name.hex() for name in absent])
    drop(relay, database, head.account, delta.drops)
    receipt = relay.sign_receipt(
        Receipt(head.account, Chain.HEAD, head.version, head.hash, head.previous, relay.clock())
    )
    keyring_receipt = None
    if keyring is not None:
        (keyring_receipt,) = database.execute(
            "SELECT receipt FROM keyrings WHERE account = ? AND version = ?", (head.account, keyring.version)
        ).fetchone()
    database.execute(
        "INSERT INTO heads VALUES(?,?,?,?,?,?)",
        (head.account, head.version, head.hash, head.message, receipt, keyring_receipt),
    )
    log.append(database, head.account, head.version, head.hash)
    return CommitResponse(receipt, keyring_receipt)


def store_keyring(relay: Relay, database: sqlite3.Connection, keyring: Keyring) -> None:
    """The keyring with its receipt; its devices are the members from now on."""
    receipt = relay.sign_receipt(
        Receipt(keyring.account, Chain.KEYRING, keyring.version, keyring.hash, keyring.previous, relay.clock())
    )
    database.execute(
        "INSERT INTO keyrings VALUES(?,?,?,?)", (keyring.account, keyring.version, keyring.message, receipt)
    )
    database.execute("DELETE FROM members WHERE account = ?", (keyring.account,))
    database.executemany(
        "INSERT INTO members VALUES(?, ?)", [(keyring.account, device.sign_key) for device in keyring.devices]
    )


def stored_receipts(database: sqlite3.Connection, head: Head) -> CommitResponse | None:
    """The receipts of exactly this head, when it was accepted before."""
    row = database.execute(
        "SELECT receipt, keyring_receipt FROM heads WHERE account = ? AND version = ? AND hash = ?",
        (head.account, head.version, head.hash),
    ).fetchone()
    return None if row is None else CommitResponse(bytes(row[0]), row[1] and bytes(row[1]))


def newest_head(database: sqlite3.Connection, account: bytes) -> Head:
    """The head that a commit must follow."""
    (message,) = database.execute(
        "SELECT message FROM heads WHERE account = ? ORDER BY version DESC LIMIT 1", (account,)
    ).fetchone()
    return parse_head(bytes(message), account=account)


def newest_keyring(relay: Relay, database: sqlite3.Connection, account: bytes) -> Keyring:
    """The keyring in force."""
    (message,) = database.execute(
        "SELECT message FROM keyrings WHERE account = ? ORDER BY version DESC LIMIT 1", (account,)
    ).fetchone()
    return relay.keyrings.parsed(bytes(message), account)


def _split(peaks: bytes) -> tuple[bytes, ...]:
    return tuple(bytes(peaks[at : at + 32]) for at in range(0, len(peaks), 32))
