"""Registration, login, unlock, and who a key is (spec chapter 12)."""

from __future__ import annotations

import hmac
import sqlite3
import unicodedata

from strongroom_protocol.errors import UntrustedDataError
from strongroom_protocol.manifest.head import check_delta, parse_head
from strongroom_protocol.manifest.keyring import KEM_KEY_BYTES, check_writer, parse_keyring
from strongroom_protocol.manifest.slots import Kdf, Slot, SlotKind, SlotSet
from strongroom_protocol.relay_api.messages import (
    CommitResponse,
    LoginResponse,
    RegisterRequest,
    UnlockRequest,
    UnlockResponse,
    UnlockStatement,
)
from strongroom_protocol.relay_api.problems import Problem, ProblemError
from strongroom_protocol.wire import cose, merkle
from strongroom_relay.service.attempts import Attempts
from strongroom_relay.service.commits import paused, store_head, store_keyring, stored_receipts
from strongroom_relay.service.relay import Principal, Relay, token_setting

UNLOCK_BYTES = 2048


async def register(relay: Relay, request: RegisterRequest) -> CommitResponse:
    """Make an account from its genesis core, slots, first keyring and first head, all or nothing."""
    account = request.core.account_id()
    try:
        if request.core.receipt_key != relay.receipt_key:  # spec: API-10
            raise ProblemError(Problem.BAD_REQUEST, failure="receipt")
        slots = SlotSet.parse(request.slots, account=account)
        keyring = parse_keyring(request.keyring, account=account, limits=relay.limits)
        head = parse_head(request.head, account=account, limits=relay.limits)
        if (keyring.version, head.version, keyring.slots_hash) != (1, 1, slots.hash()):  # spec: API-11
            raise ProblemError(Problem.BAD_REQUEST, failure="keyring")
        check_writer(head, keyring)
        check_delta(head, request.delta)
        merkle.check_peaks(0, (), head.log_root)
    except UntrustedDataError as error:
        raise ProblemError(Problem.BAD_REQUEST, failure=str(error.failure)) from error
    require_name(request.name)

    def work(database: sqlite3.Connection) -> CommitResponse:
        known = database.execute("SELECT name, slots FROM accounts WHERE id = ?", (account,)).fetchone()
        repeated = stored_receipts(database, head)
        if repeated is not None and known == (request.name, request.slots):  # spec: API-32
            return repeated
        if known is not None:  # spec: API-33
            raise ProblemError(Problem.NAME_TAKEN)
        if not relay.open_registration:
            setting = token_setting(request.token)
            if database.execute("DELETE FROM settings WHERE name = ?", (setting,)).rowcount != 1:  # spec: API-12
                raise ProblemError(Problem.REGISTRATION)
        if database.execute("SELECT 1 FROM accounts WHERE name = ?", (request.name,)).fetchone():  # spec: API-13
            raise ProblemError(Problem.NAME_TAKEN)
        database.execute(
            "INSERT INTO accounts(id, name, slots, cap) VALUES(?,?,?,?)",
            (account, request.name, request.slots, relay.cap),
        )
        store_keyring(relay, database, keyring)
        return store_head(relay, database, head, request.delta, request.objects, keyring)

    return await relay.store.write(work)


async def login(relay: Relay, name: str) -> LoginResponse:
    """A challenge and the login salt. An unknown name gets a stable made-up salt: the same shape, the same work."""
    found = await relay.store.read(lambda database: _slots(database, name))
    slots = _slot_set(relay, found)
    salt = slots.salt if found is not None else relay.prf(b"salt", name.encode())
    kdf = slots.kdf
    now = relay.clock()
    challenge = relay.randomness(16) + now.to_bytes(8, "big")
    challenge += relay.prf(b"challenge", challenge + name.encode())
    return LoginResponse(challenge, salt, kdf, now, relay.receipt_key)


async def unlock(
    relay: Relay, request: UnlockRequest, source: str | None = None, *, who: Principal | None = None
) -> UnlockResponse:
    """Give out the slot set and admit the guest key for reading, for a signature by the key of one of the slots.

    `source` is the network address that refusals are counted by, None where there is none to count. `who` is the
    device or guest that signed the request, if one did: then refusals are counted for its key alone.
    """
    now = relay.clock()
    name = request.name
    try:
        signed = cose.verify(cose.Context.UNLOCK, request.statement, maximum=UNLOCK_BYTES)
        statement = UnlockStatement.parse(signed.payload)
    except UntrustedDataError as error:
        raise ProblemError(Problem.BAD_REQUEST, failure=str(error.failure)) from error
    if statement.origin not in relay.origins:  # spec: API-14
        raise ProblemError(Problem.UNLOCK_REFUSED)
    if statement.name != name or not _own_challenge(relay, statement, now):  # spec: API-15
        raise ProblemError(Problem.UNLOCK_REFUSED)
    found = await relay.store.read(lambda database: _slots(database, name))
    slots = _slot_set(relay, found).slots
    slot = next((slot for slot in slots if slot.unlock_key == signed.key), None)
    if who is not None and (found is None or found[0] != who.account):  # spec: API-44
        slot = None
    limited = slot is None or slot.kind is SlotKind.PASSPHRASE
    counted = _counted(relay, name, source, who)
    if limited and not all(attempts.allowed(key, now) for attempts, key in counted):  # spec: API-16
        raise ProblemError(Problem.RATE)
    if slot is None or found is None:  # spec: API-17
        for attempts, key in counted:
            attempts.count(key, now)
        raise ProblemError(Problem.UNLOCK_REFUSED)
    account, encoded = found
    until = now + relay.limits.guest_ms

    def work(database: sqlite3.Connection) -> None:
        used = database.execute(
            "INSERT OR IGNORE INTO challenges VALUES(?, ?)",
            (statement.challenge, now + relay.limits.challenge_age_ms),
        )
        if used.rowcount == 0:  # spec: API-18
            raise ProblemError(Problem.UNLOCK_REFUSED)
        if _slots(database, name) != found:  # spec: API-37
            raise ProblemError(Problem.UNLOCK_REFUSED)
        database.execute("INSERT OR REPLACE INTO guests VALUES(?,?,?)", (account, statement.guest, until))

    await relay.store.write(work)
    return UnlockResponse(account, encoded, until)


async def identify(relay: Relay, account: bytes, key: bytes) -> Principal:
    """Who a verified signing key is in an account. NOT_FOUND, the same for an account that does not exist."""
    now = relay.clock()

    def work(database: sqlite3.Connection) -> Principal | None:
        pair = (account, key)
        if paused(database, account, key, now):  # spec: BLOCK-3
            return None
        if database.execute("SELECT 1 FROM members WHERE account = ? AND key = ?", pair).fetchone():
            return Principal(account, key, True)
        guest = database.execute("SELECT until FROM guests WHERE account = ? AND key = ?", pair).fetchone()
        if guest is not None and guest[0] > now:  # spec: API-19
            return Principal(account, key, False)
        return None

    found = await relay.store.peek(work)
    if found is None:  # spec: API-20
        raise ProblemError(Problem.NOT_FOUND)
    return found


def _counted(relay: Relay, name: str, source: str | None, who: Principal | None) -> list[tuple[Attempts, str]]:
    """What a refusal is counted by."""
    if who is not None:  # spec: API-43
        return [(relay.keys, who.key.hex())]
    counted = [(relay.names, name)]
    if source is not None:  # spec: API-42
        counted.append((relay.addresses, source))
    return counted


def require_name(name: str) -> None:
    """Account names come in their normal form."""
    normal = unicodedata.normalize("NFKC", name).casefold()
    if name != normal or not all(char.isalnum() or char in "._@+-" for char in name):  # spec: API-21
        raise ProblemError(Problem.BAD_REQUEST, failure="name")


def _slots(database: sqlite3.Connection, name: str) -> tuple[bytes, bytes] | None:
    row = database.execute("SELECT id, slots FROM accounts WHERE name = ?", (name,)).fetchone()
    return None if row is None else (bytes(row[0]), bytes(row[1]))


def _slot_set(relay: Relay, found: tuple[bytes, bytes] | None) -> SlotSet:
    """The slot set of an account; for a name without one a set of the usual size, so that the work is the same."""
    if found is None:
        if not relay.decoy:
            draw = relay.randomness
            kinds = (SlotKind.PASSPHRASE, SlotKind.RECOVERY)
            slots = tuple(Slot(kind, draw(32), draw(KEM_KEY_BYTES), draw(1228), draw(32)) for kind in kinds)
            relay.decoy = SlotSet(bytes(32), 1, bytes(32), Kdf.preset(), bytes(32), slots).encode()
        found = bytes(32), relay.decoy
    return SlotSet.parse(found[1], account=found[0])


def _own_challenge(relay: Relay, statement: UnlockStatement, now: int) -> bool:
    head, mac = statement.challenge[:24], statement.challenge[24:]
    age = now - int.from_bytes(head[16:24], "big")
    good = hmac.compare_digest(mac, relay.prf(b"challenge", head + statement.name.encode()))
    return good and 0 <= age <= relay.limits.challenge_age_ms
