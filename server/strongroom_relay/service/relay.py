"""The relay as an object: store, keys, settings, clock. The operations are functions beside it, one file a group."""

from __future__ import annotations

import hashlib
import hmac
import os
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from nacl.signing import SigningKey

from strongroom_protocol.limits import LIMITS, Limits
from strongroom_protocol.manifest.receipt import Receipt
from strongroom_protocol.relay_api.problems import Problem, ProblemError
from strongroom_relay.service.attempts import Attempts, by_address, by_name
from strongroom_relay.service.keyrings import Keyrings
from strongroom_relay.service.streams import Streams
from strongroom_relay.store.backup import COPY
from strongroom_relay.store.embedded import EmbeddedStore

if TYPE_CHECKING:
    from strongroom_relay.service.witness import Witnessing

DEFAULT_CAP = 50 * 1024**3


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: the account and key that signed the request, and whether the key may write."""

    account: bytes
    key: bytes
    writes: bool


@dataclass(slots=True)
class Relay:
    """A running relay. `clock` gives milliseconds, `randomness` bytes; tests put their own in their place."""

    store: EmbeddedStore
    origins: tuple[str, ...]
    open_registration: bool = False
    cap: int = DEFAULT_CAP
    window_ms: int = LIMITS.window_ms
    limits: Limits = LIMITS
    clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    randomness: Callable[[int], bytes] = os.urandom
    trust_forwarded: bool = False
    """X-Forwarded-For is the operator's own proxy's."""
    names: Attempts = field(default_factory=by_name)
    addresses: Attempts = field(default_factory=by_address)
    keys: Attempts = field(default_factory=by_name)
    """Refused unlocks: by account name, by network address, and of devices by their key."""
    link_guesses: Attempts = field(default_factory=by_address)
    """Mailbox numbers that are none, by network address."""
    witness: Witnessing | None = None
    """This relay is a witness too (`witness.start_witness`)."""
    keyrings: Keyrings = field(default_factory=Keyrings)
    streams: Streams = field(default_factory=Streams)
    arriving: dict[bytes, int] = field(default_factory=dict)
    """Bytes of uploads under way, by account."""
    restored: bool = False
    """This is the first start on a copy made by `backup`."""
    secret: bytes = b""
    decoy: bytes = b""
    _receipts: SigningKey | None = None

    async def start(self) -> str | None:
        """Make keys at the first start; returns a new registration token then, when one is needed."""
        found = await self.store.read(_settings)
        token = None
        self.restored = COPY in found
        if self.restored:
            await self.store.write(lambda database: database.execute("DELETE FROM settings WHERE name = ?", (COPY,)))
        if "receipt-seed" not in found:
            token = None if self.open_registration else self.randomness(15).hex()
            found = {"receipt-seed": self.randomness(32), "secret": self.randomness(32)}
            if token is not None:
                found[token_setting(token)] = b""
            await self.store.write(lambda database: _save(database, found))
        self._receipts = SigningKey(found["receipt-seed"])
        self.secret = found["secret"]
        return token

    @property
    def receipt_key(self) -> bytes:
        """The public key that receipts are checked with."""
        return bytes(self._signing.verify_key)

    def sign_receipt(self, receipt: Receipt) -> bytes:
        """COSE_Sign1 bytes of a receipt."""
        return receipt.sign(self.receipt_key, lambda message: self._signing.sign(message).signature)

    def prf(self, label: bytes, value: bytes) -> bytes:
        """32 bytes that only this relay (and those that share its secret) can compute."""
        return hmac.digest(self.secret, label + b"\x00" + value, "sha256")

    @property
    def _signing(self) -> SigningKey:
        if self._receipts is None:
            raise RuntimeError("the relay was not started")
        return self._receipts

    async def seed(self, name: str) -> bytes:
        """32 random bytes that are made when they are first asked for, and kept."""

        def work(database: sqlite3.Connection) -> bytes:
            found = _settings(database).get(name)
            if found is None:
                found = self.randomness(32)
                _save(database, {name: found})
            return found

        return await self.store.write(work)

    async def mint_token(self) -> str:
        """One more registration token."""
        token = self.randomness(15).hex()
        await self.store.write(lambda database: _save(database, {token_setting(token): b""}))
        return token


def open_relay(folder: Path, *, folder_vault: bool = False, **settings: object) -> Relay:
    """A relay on the embedded store in `folder`; call `start` before use."""
    return Relay(EmbeddedStore(folder, folder_vault=folder_vault), **settings)  # type: ignore[arg-type]


def add_token(database: sqlite3.Connection) -> str:
    """One more registration token, made by another process beside a running relay."""
    token = os.urandom(15).hex()
    _save(database, {token_setting(token): b""})
    return token


def token_setting(token: str) -> str:
    """Tokens are stored hashed: the database alone registers nobody."""
    return "token:" + hashlib.sha256(b"strongroom/v1/registration-token" + token.encode()).hexdigest()


def require_writer(principal: Principal) -> None:
    """Only devices of the keyring write."""
    if not principal.writes:  # spec: API-2
        raise ProblemError(Problem.READ_ONLY)


def _settings(database: sqlite3.Connection) -> dict[str, bytes]:
    return {name: bytes(value) for name, value in database.execute("SELECT name, value FROM settings")}


def _save(database: sqlite3.Connection, found: dict[str, bytes]) -> None:
    database.executemany("INSERT OR REPLACE INTO settings VALUES(?, ?)", found.items())
