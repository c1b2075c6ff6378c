"""Pausing a device's key: a block signed by the root goes before the keyring that removes it (spec chapter 04)."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from strongroom_protocol.errors import UntrustedDataError
from strongroom_protocol.manifest.account import require_account
from strongroom_protocol.relay_api.problems import Problem, ProblemError
from strongroom_protocol.wire import cbor, cose
from strongroom_protocol.wire.parse import Fields
from strongroom_relay.service.commits import newest_keyring, paused
from strongroom_relay.service.relay import Principal, Relay

BLOCK_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Block:
    """Account, the newest keyring's version and hash, the device to pause; and the key that signed it."""

    account: bytes
    version: int
    hash: bytes
    device: bytes
    signer: bytes


def parse_block(message: bytes, *, account: bytes) -> Block:
    """Verify the signature, then parse; whether the key may sign is for the caller."""
    signed = cose.verify(cose.Context.BLOCK, message, maximum=BLOCK_BYTES)
    fields = Fields(cbor.decode(signed.payload, subject="block"), "block")
    block = Block(fields.fixed(1), fields.version(2), fields.fixed(3), fields.fixed(4, 16), signed.key)
    fields.time(5)
    fields.done()
    require_account(block.account, account, "block")
    return block


async def block(relay: Relay, who: Principal, message: bytes) -> None:
    """From now on the device's key is a stranger's, until the next keyring or for `limits.block_ms`."""
    try:
        found = parse_block(message, account=who.account)
    except UntrustedDataError as error:
        raise ProblemError(Problem.BAD_REQUEST, failure=str(error.failure)) from error
    until = relay.clock() + relay.limits.block_ms

    def work(database: sqlite3.Connection) -> None:
        if paused(database, who.account, who.key, relay.clock()):  # spec: BLOCK-5
            raise ProblemError(Problem.NOT_FOUND)
        keyring = newest_keyring(relay, database, who.account)
        if found.signer != keyring.root_key:  # spec: BLOCK-1
            raise ProblemError(Problem.SIGNATURE)
        if (found.version, found.hash) != (keyring.version, keyring.hash):  # spec: BLOCK-2
            raise ProblemError(Problem.CONFLICT)
        device = keyring.device(found.device)
        if device is None:  # spec: BLOCK-4
            raise ProblemError(Problem.NOT_FOUND)
        database.execute("INSERT OR REPLACE INTO blocks VALUES(?,?,?)", (who.account, device.sign_key, until))

    await relay.store.write(work)
    relay.streams.changed(who.account)
