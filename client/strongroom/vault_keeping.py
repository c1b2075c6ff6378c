"""How long what is kept, and erasing whole chats: the part of `vault.Vault` that takes out (docs/sdk.md, ADR 0017)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from strongroom.records import OnProgress, Progress
from strongroom.session import now_ms
from strongroom.vault_writing import Writing
from strongroom_protocol.errors import IncompleteError, InvalidArgument

if TYPE_CHECKING:
    from strongroom.policies import Policies, Policy
    from strongroom.retention import Plan
    from strongroom_protocol.engine.directory import DirectoryRow


CLOCKS_MS = 86_400_000
"""How far this device's clock and the relay's may be apart where things go by age: a wrong time zone is less."""


class Keeping(Writing):
    """Policies, what they would take out, and doing it. Nothing goes but by `forget`, and only what a plan shows."""

    def policies(self) -> Policies:
        """The policies of this device; other devices have their own."""
        from strongroom.policies import Policies

        return Policies.load(self._session.state)

    async def chat(self, chat: str) -> DirectoryRow:
        """One chat, by id or title. Raises NotFound, also when a title is not unique."""
        return (await self._reader.find(chat))[1]

    async def set_policy(self, policy: Policy | None, *, chat: str | None = None) -> None:
        """The policy of a chat (by id or title), or of all that have none of their own. Nothing goes by that.

        None: no policy; for a chat, that of all others then. Raises NotFound.
        """
        key = None if chat is None else (await self.chat(chat)).key
        self.policies().changed(key, policy).save(self._session.state)

    async def keep(
        self, *, chat: str | None = None, now: int | None = None, progress: OnProgress | None = None
    ) -> Plan:
        """What the policies take out at `now` (ms), of one chat or of all; nothing is changed. `forget` does it.

        What waits is saved first. Raises IncompleteError when something cannot be read, NotFound, InvalidArgument when
        `now` is this device's clock and the relay's is another.
        """
        from strongroom import retention

        at = await self._agreed_time() if now is None else now
        await self._saved()
        snapshot = await self._reader.current()
        only = None if chat is None else (await self.chat(chat)).conversation
        return await retention.plan(snapshot, self.policies(), at, only=only, on_records=_records(progress))

    async def erasure(self, chat: str, *, progress: OnProgress | None = None) -> Plan:
        """What erasing a chat (by id or title) takes out: all of it. Nothing is changed; `forget` does it."""
        from strongroom import forgetting, retention

        await self._saved()
        with contextlib.suppress(IncompleteError):  # another chat's remnants; `forget` says so
            await forgetting.finish(self._session, self._quiet)  # a chat that it is about is not shown any more
        snapshot, row = await self._reader.find(chat)
        now = max(await self._agreed_time(), snapshot.head.time)
        return await retention.plan_erase(snapshot, row, now, _records(progress))

    async def forget(self, plan: Plan) -> None:
        """Take out what a plan of `keep` or `erasure` shows, on every device, and finish what was interrupted.

        On return no device shows it and the newest version of the history names none of it; the relay deletes the
        bytes when its window is over, and `Owner.undo` brings them back until then. Raises InvalidArgument when the
        history has changed so that other things would go; IncompleteError when it is shown no more, but not all of it
        could be removed (the next call goes on); ReadOnly.
        """
        from strongroom import forgetting, retention

        async def again() -> Plan:
            if plan.cuts[0].whole:
                snapshot, row = await self._reader.find(plan.cuts[0].chat)
                return await retention.plan_erase(snapshot, row, plan.now)
            return await retention.plan(await self._reader.current(), self.policies(), plan.now, only=plan.only)

        await forgetting.apply(self._session, plan, again, self._quiet)

    async def _quiet(self) -> None:
        """Stop what would go on to fetch or file what is gone; the next search and backfill begin at the new state."""
        if self._backfill is not None:
            await self._backfill.stop()
        await self._unfiled()

    async def _agreed_time(self) -> int:
        """This device's time (ms), where the relay's is no other: what is old goes for good by it."""
        now, told = now_ms(), (await self._session.transport.relay_info()).time
        if abs(now - told) > CLOCKS_MS:  # spec: FORGET-10
            raise InvalidArgument(
                f"this device's clock and the relay's are {abs(now - told) // 86_400_000:,} days apart",
                hint="set the clock of this device; nothing was changed",
            )
        return now

    async def _saved(self) -> None:
        if self._outbox.waiting()[0]:
            await self.flush()


def _records(progress: OnProgress | None) -> Callable[[int], None] | None:
    """What reports records that were looked at."""
    return None if progress is None else lambda done: progress(Progress("keep", done, None, "records"))
