"""Listing earlier versions, so that a person can choose the one to go back to (spec chapter 11.5)."""

from __future__ import annotations

from strongroom.earlier import Earlier, writer_of
from strongroom.engine.snapshot import Snapshot
from strongroom.introduced import states
from strongroom.records import VersionInfo
from strongroom.session import Session
from strongroom_protocol.errors import InvalidArgument
from strongroom_protocol.keys.private import KeyringPrivate


async def newest_versions(session: Session, count: int) -> list[VersionInfo]:
    """The newest `count` versions, newest first, as the relay shows and their hashes prove."""
    if count < 1:
        raise InvalidArgument("count is less than 1")
    newest = await session.sync()
    heads = await Earlier(session).down_to(newest, max(1, newest.version - count + 1))
    keyring = session.keyring
    names = KeyringPrivate.read(keyring.private, session.epochs(), keyring.account).names
    found = []
    async for head, _, state in states(session, heads):
        writer = writer_of(session, head)
        undone = writer is not None and any(item.covers(writer, head.sequence) for item in keyring.discards)
        name = names.get(writer or b"", "")
        found.append(
            VersionInfo(head.version, head.time, (writer or b"").hex(), name, _rows(state), undone)
        )  # fmt: skip
    return found[::-1]


def _rows(state: Snapshot | None) -> int | None:
    if state is None:
        return None
    return sum(run.rows for run in state.root.runs) + sum(entry.rows for entry in state.body.tail)
