"""What people do on their devices: write, save, read, tidy up. Two numbers choose who acts, and on what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from soak.history import Broken
from soak.judge import MARK, TIME, Judge
from soak.phones import Deed, Phone, Said
from strongroom import importing, message, sending, staging
from strongroom.commit import commit
from strongroom.engine import compaction, directory, fold, grouping, listing, run_writer
from strongroom.importing import import_rows
from strongroom.records import MessageRef
from strongroom_protocol.errors import NotFound
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.rows.model import Op, Row


@contextmanager
def small() -> Iterator[None]:
    """Sizes at which a few rows reach every branch; commits only where an action says so."""
    limits = LIMITS.__class__(head_frame_rows=3, frame_rows=8, segment_bytes=2048)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_writer, "LIMITS", limits)
        patch.setattr(grouping, "LIMITS", limits)
        patch.setattr(fold, "FAN_IN", 2)
        patch.setattr(fold, "LEVEL_ROWS", 8)
        patch.setattr(listing, "NEWEST_FRAMES", 3)
        patch.setattr(listing, "NEWEST_ROWS", 6)
        patch.setattr(directory, "HOT_ROWS", 2)
        patch.setattr(importing, "BATCH_ROWS", 5)
        patch.setattr(staging, "INLINE_OBJECT", 1_000)
        patch.setattr(sending.Sender, "start", lambda self: None)
        yield


class People(Judge):
    """Actions on messages."""

    async def append(self, who: int, pick: int) -> None:
        phone, text = self.phone(who), self.text("said")
        chat, time = f"{MARK} chat {pick % 2}", TIME + pick % 20
        deed = Deed("put", text)

        async def work() -> None:
            (ref,) = await phone.vault.append(chat, message(text, sender=f"{MARK} p{who % 3}", time=time))
            said = Said(ref, [deed])
            self.said.append(said)
            self.views.add(said)
            phone.unsaved.append(deed)

        await self.run(phone, work)

    async def edit(self, who: int, pick: int) -> None:
        phone, text = self.phone(who), self.text("edit")

        async def work(said: Said, deed: Deed) -> None:
            await phone.vault.edit(said.ref, text, sender=f"{MARK} p", at=TIME + 100_000 + self.made)

        await self._about(phone, pick, Deed("edit", text), work)

    async def delete(self, who: int, pick: int) -> None:
        phone = self.phone(who)

        async def work(said: Said, deed: Deed) -> None:
            await phone.vault.delete(said.ref)

        await self._about(phone, pick, Deed("delete", ""), work)

    async def react(self, who: int, pick: int) -> None:
        phone, emoji = self.phone(who), "👍👎"[pick % 2]

        async def work(said: Said, deed: Deed) -> None:
            await phone.vault.react(said.ref, emoji, sender=f"{MARK} p{pick % 3}")

        await self._about(phone, pick, Deed("react", emoji), work)

    async def _about(self, phone: Phone, pick: int, deed: Deed, work: Callable[[Said, Deed], Awaitable[None]]) -> None:
        if not self.said:
            return
        said = self.said[pick % len(self.said)]
        said.deeds.append(deed)  # before it is done: a cancelled one may have been done or not
        here = any(put in phone.unsaved or any(phone.node and phone.node.continues(head) for head in put.saved)
                   for put in said.deeds if put.kind == "put")  # fmt: skip

        async def whole() -> None:
            await work(said, deed)
            phone.unsaved.append(deed)

        await self.run(phone, whole, allowed=() if here else (NotFound,))

    async def import_(self, who: int, pick: int) -> None:
        """Overlapping pieces of one export."""
        phone = self.phone(who)
        rows = [
            (f"{MARK} chat {n % 2}", Row(Op.PUT, TIME + n, id=f"{MARK} old {n}", sender=f"{MARK} x",
                                         text=f"{MARK} old text {n}"))
            for n in range(pick % 12, pick % 12 + 7)
        ]  # fmt: skip
        deeds = []
        for chat, row in rows:
            deed = Deed("put", row.text or "")
            deeds.append(deed)
            said = self.views.said.get((chat, row.id or ""))
            if said is None:
                said = Said(MessageRef(chat, row.id or "", row.time), [])
                self.views.add(said)
                self.said.append(said)
            said.deeds.append(deed)

        async def work() -> None:
            await import_rows(phone.session, rows)
            self._saved(phone, deeds)

        await self.run(phone, work)

    def _saved(self, phone: Phone, deeds: list[Deed]) -> None:
        node = self.history.nodes[phone.session.pin.head_hash]
        for deed in deeds:
            deed.saved.append(node)

    async def flush(self, who: int, pick: int) -> None:
        phone = self.phone(who)

        async def work() -> None:
            await phone.vault.flush()
            self._saved(phone, phone.unsaved)
            phone.unsaved.clear()

        await self.run(phone, work)

    # Reading and tidying ------------------------------------------------------------------------------------------

    async def read(self, who: int, pick: int) -> None:
        phone = self.phone(who)

        async def work() -> None:
            snapshot = await phone.session.snapshot(fresh=pick % 3 == 0)
            node = self.history.nodes[snapshot.head.hash]
            if phone.folder not in self.guests and phone.ident in {outcast.device for outcast in node.outcasts}:
                raise Broken("a removed device reads on")
            complete = await self.views.check(snapshot, node)
            if not complete and not phone.wire.lied:
                raise Broken("an honest relay's history is incomplete")

        await self.run(phone, work, syncs=True)

    async def screen(self, who: int, pick: int) -> None:
        """What an app shows: nothing but what somebody wrote."""
        phone = self.phone(who)

        async def work() -> None:
            for _, shown in await phone.vault.screen(messages=5):
                for each in shown:
                    said = self.views.said.get((each.chat, each.id))
                    if said is None:
                        raise Broken("a message is shown that nobody wrote")

        await self.run(phone, work)

    async def restore(self, who: int, pick: int) -> None:
        phone = self.phone(who)

        async def work() -> None:
            audit = await phone.vault.verify() if pick % 2 else (await phone.vault.restore()).audit
            if audit.damaged and not phone.wire.lied:
                raise Broken("damage, and nobody damaged anything")

        await self.run(phone, work, syncs=True)

    async def tidy(self, who: int, pick: int) -> None:
        phone = self.phone(who)
        build: Any = (compaction.fold_tail, fold.merge_full_levels, compaction.compact)[pick % 3]
        await self.run(phone, lambda: commit(phone.session, build))
