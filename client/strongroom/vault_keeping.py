"""How long what is kept, and erasing whole chats: the part of `vault.Vault` that takes out (docs/sdk.md, ADR 0017)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from strongroom.records import OnProgress, Progress
from strongroom.session import now_ms
from strongroom.vault_writing import Writing

if TYPE_CHECKING:
    from strongroom.policies import Policies, Policy
    from strongroom.retention import Plan
    from strongroom_protocol.engine.directory import DirectoryRow


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

        What waits is saved first. Raises IncompleteError when something cannot be read, NotFound.
        """
        from strongroom import retention

        at = now_ms() if now is None else now
        await self._saved()
        snapshot = await self._reader.current()
        only = None if chat is None else (await self.chat(chat)).conversation
        return await retention.plan(snapshot, self.policies(), at, only=only, on_records=_records(progress))

    async def erasure(self, chat: str, *, progress: OnProgress | None = None) -> Plan:
        """What erasing a chat (by id or title) takes out: all of it. Nothing is changed; `forget` does it."""
        from strongroom import forgetting, retention

        await self._saved()
        await forgetting.finish(self._session)  # of one that was interrupted the chat is not shown any more
        snapshot, row = await self._reader.find(chat)
        return await retention.plan_erase(snapshot, row, max(now_ms(), snapshot.head.time), _records(progress))

    async def forget(self, plan: Plan) -> None:
        """Take out what a plan of `keep` or `erasure` shows, on every device, and finish what was interrupted.

        On return no device shows it and the newest version of the history names none of it; the relay deletes the
        bytes when its window is over, and `Owner.undo` brings them back until then. Raises InvalidArgument when the
        history has changed so that other things would go; ReadOnly.
        """
        from strongroom import forgetting, retention

        async def again() -> Plan:
            if plan.cuts[0].whole:
                snapshot, row = await self._reader.find(plan.cuts[0].chat)
                return await retention.plan_erase(snapshot, row, plan.now)
            return await retention.plan(await self._reader.current(), self.policies(), plan.now, only=plan.only)

        if self._backfill is not None:  # it would go on to fetch what goes now
            await self._backfill.stop()
        await forgetting.apply(self._session, plan, again)

    async def _saved(self) -> None:
        if self._outbox.waiting()[0]:
            await self.flush()


def _records(progress: OnProgress | None) -> Callable[[int], None] | None:
    """What reports records that were looked at."""
    return None if progress is None else lambda done: progress(Progress("keep", done, None, "records"))
