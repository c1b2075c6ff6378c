"""Taking out what a plan shows, from the history, from the relay and from this device (spec chapters 08.9 and 10).

First one row for each chat says what is forgotten: from then on no device shows it. Then it is taken out of the
frames, so that the new head names none of it, and the caches of this device follow. Killed in between, it is finished
by the next call: the state remembers that something is left to do.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from strongroom.cache import Cache
from strongroom.commit import commit
from strongroom.engine import compaction
from strongroom.engine.change import Change
from strongroom.engine.reading import row_of
from strongroom.engine.snapshot import Snapshot
from strongroom.history import History
from strongroom.importing import write_rows
from strongroom.policies import Policies
from strongroom.retention import Plan
from strongroom.session import Session
from strongroom_protocol.errors import Failure, IncompleteError, InvalidArgument
from strongroom_protocol.rows.detail import AT
from strongroom_protocol.rows.ids import conversation_key
from strongroom_protocol.rows.model import DeleteKind, ForgetKind, Op, Row
from strongroom_protocol.rows.table import Frame, unstamped
from strongroom_protocol.wire import cbor

UNFINISHED = "forgetting"
"""Name in the state: the chats of which something goes, from before the rows are committed until none of it is here."""

Quiet = Callable[[], Awaitable[None]]
"""Stops what still goes through an older state in the background, and would bring back here what is taken out."""


class _MovedError(Exception):
    """The history is another one than the plan was made of."""


async def apply(session: Session, shown: Plan, again: Callable[[], Awaitable[Plan]], quiet: Quiet) -> None:
    """Do what was shown. `again` makes the plan anew where others have written meanwhile.

    Raises InvalidArgument when that is another one: nothing goes that was not shown. What is in the plan and done
    already, by this device before it was killed or by another one, is not done twice. Raises what `finish` raises.
    """
    session.require_writer()
    plan, before = shown, session.state.get(UNFINISHED)
    if plan.cuts:
        chats = sorted({*_left(session), *(cut.chat for cut in plan.cuts)})
        session.state.put({UNFINISHED: cbor.encode(chats)})
    while plan.cuts:
        try:
            await commit(session, _rows_of(session, plan))
            break
        except _MovedError:
            plan = await again()
            if plan.cuts != shown.cuts:
                session.state.put({UNFINISHED: before})
                raise InvalidArgument(
                    "the history has changed since this was shown", hint="look again; nothing was changed"
                ) from None
    await finish(session, quiet)


async def finish(session: Session, quiet: Quiet) -> None:
    """Take what is forgotten out of frames, directory, caches and search index; nothing when nothing is left to do.

    Raises IncompleteError where that could not be done whole; the next call goes on.
    """
    chats = _left(session)
    if not chats:
        return
    await quiet()
    async with session.lock:
        session.base = None
        snapshot = await session.snapshot()
    forgotten = await _forgotten_here(session, snapshot, chats)
    damaged = {**snapshot.source.damage}  # what hides from this device that something is forgotten is among it
    if forgotten:
        await commit(session, compaction.fold_tail)
        await commit(session, _purging(damaged))
        damaged |= await clean(session)
    if damaged:  # spec: FORGET-7
        raise IncompleteError(
            "what was taken out is shown no more, but some of the history could not be read to remove all of it",
            damaged=tuple(damaged), hint="repeat the command when `strongroom verify` finds everything; it goes on",
        )  # fmt: skip
    session.state.put({UNFINISHED: None})


async def _forgotten_here(session: Session, snapshot: Snapshot, chats: list[str]) -> bool:
    """Take out of policies and search index what the history says is forgotten of these chats; whether anything is.

    What was only meant to be, and never committed, keeps its policy and can be found.
    """
    policies, found = Policies.load(session.state), False
    for chat in chats:
        key = conversation_key(chat)
        await snapshot.refs(key)
        gone = snapshot.forgotten(key)
        found = found or bool(gone)
        whole = gone.facts >= 0 and await row_of(snapshot, chat) is None  # spec: FORGET-8
        if whole:
            policies = policies.changed(key, None)
        _forget_index(session.state.folder, chat, None if whole else gone.messages)
    policies.save(session.state)
    return found


def _purging(damaged: dict[str, Failure]) -> Callable[[Change], Awaitable[bool]]:
    """The purge, which leaves what it cannot read where it lies, and notes here what that was."""

    async def build(change: Change) -> bool:
        purged = await compaction.purge(change)
        damaged.update(change.base.source.damage)
        return purged

    return build


async def clean(session: Session) -> dict[str, Failure]:
    """Remove cached objects that the newest state does not reach. Where it is damaged they stay, since they may be
    needed; returns what is."""
    folder = session.state.folder / "objects"
    if not folder.exists():
        return {}
    async with session.lock:
        snapshot = await session.snapshot()
    names = [ref.name async for ref, _ in snapshot.objects()]
    if not snapshot.source.damage:
        await asyncio.to_thread(Cache(folder).keep_only, names)
    return snapshot.source.damage


def _left(session: Session) -> list[str]:
    """The chats of which something is being taken out."""
    stored = session.state.get(UNFINISHED)
    return [] if stored is None else [str(chat) for chat in cbor.decode(stored, subject="forgetting")]


def _forget_index(folder: Path, chat: str, until: int | None) -> None:
    """Take a chat, or its messages up to a time (ms), out of the search index of this device."""
    try:
        index = importlib.import_module("strongroom.search.index")
    except ModuleNotFoundError:  # there is no index of what cannot be searched
        return
    if until is None:
        index.forget(folder, chat)
    elif until >= 0:
        index.forget(folder, chat, until=until)


def _rows_of(session: Session, plan: Plan) -> Callable[[Change], Awaitable[bool]]:
    async def build(change: Change) -> bool:
        if change.base.head.hash != plan.head:
            raise _MovedError
        history = await History.of(change.base)
        fresh: dict[bytes, Frame] = {}
        for cut in plan.cuts:
            gone = history.forgotten(cut.chat)
            rows = []
            if cut.whole:
                if gone.facts < cut.messages_until:
                    rows.append(Row(Op.FORGET, cut.messages_until, kind=ForgetKind.ALL))
            else:
                if gone.messages < cut.messages_until:
                    rows.append(Row(Op.FORGET, cut.messages_until, kind=ForgetKind.MESSAGES))
                if max(gone.files, cut.messages_until) < cut.files_until:
                    rows.append(Row(Op.FORGET, cut.files_until, kind=ForgetKind.FILES))
            rows += [
                Row(Op.DELETE, time, id=ident, kind=DeleteKind.ERASE, detail={AT: plan.now})
                for time, ident in cut.later
            ]
            if rows:
                fresh[conversation_key(cut.chat)] = unstamped(cut.chat, rows)
        if fresh:
            await write_rows(session, change, fresh)
        return bool(fresh)

    return build
