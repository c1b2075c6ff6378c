"""The vault: what an app or a person does with a backed-up chat history (docs/sdk.md).

    async with await Vault.open(folder) as vault:
        await vault.append("family", [message("home at seven", sender="anna")])
        for chat in await vault.chats():
            print(chat.title, chat.newest)

Every method may be called from many tasks at once, and may be cancelled: what was appended stays, what was not
committed is committed later, nothing is written twice.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from strongroom.records import OnProgress, Progress, Restored, Status
from strongroom.session import now_ms
from strongroom.vault_keeping import Keeping
from strongroom_protocol.engine.directory import DirectoryRow
from strongroom_protocol.errors import RelayUnreachable

if TYPE_CHECKING:
    from strongroom.backfill import Backfill
    from strongroom.engine.audit import Audit
    from strongroom.engine.depth import Depth


class Vault(Keeping):
    """A device's vault folder, open. Use as `async with`; one process at a time."""

    async def export(
        self, folder: Path, *, format: str = "json", chat: str | None = None, zone: str | None = None,
        media: bool = True, progress: OnProgress | None = None,
    ) -> dict[str, int]:  # fmt: skip
        """Write everything, or one chat, to `folder`, which comes to be as a whole, or takes an earlier export's place.

        `json` is the native lossless form: the same state gives the same bytes anywhere, and `import_` reads it. `txt`
        and `html` are for reading, with times of `zone` (`Europe/Rome`; UTC unless given). Files lie beside the chats
        unless `media` is false. Returns what was written, by type. What is damaged is left out, and named by `damage`.
        Raises InvalidArgument, NotFound for a chat that is not there.
        """
        from strongroom.exporting import export_snapshot, exporter

        write = exporter(format, zone)
        if chat is None:
            snapshot = await self._reader.current()
        else:
            snapshot, row = await self._reader.find(chat)
            chat = row.conversation
        report = None if progress is None else lambda done: progress(Progress("export", done, None, "records"))
        return await export_snapshot(
            snapshot, Path(folder), write=write, chat=chat, media=media, staged=self._outbox.folder, progress=report
        )

    async def restore(self, *, media: bool | None = None, progress: OnProgress | None = None) -> Restored:
        """Fetch everything into this device. Interrupted, it goes on where it was; damage is reported, not raised.

        With `media` false, files stay at the relay until somebody looks at them; None: as `settings` say.
        """
        from strongroom import backfill

        return await backfill.restore(self._session, self._reader, media=media, progress=progress)

    async def backfill(self, *, media: bool | None = None) -> Backfill:
        """The same in the background, newest messages first, with `pause` and `resume`; all is readable meanwhile.

        One runs at a time: while it does, that one is returned. It ends with the vault, and a new one passes over what
        has come. Of the asynchronous vault alone.
        """
        from strongroom.backfill import Backfill

        if self._backfill is None or self._backfill.done:
            self._backfill = Backfill(self._session, self._reader, media=media)
        return self._backfill

    async def verify(self, depth: Depth | None = None, *, progress: OnProgress | None = None) -> Audit:
        """Fetch and check every byte from the relay, whatever this device has already.

        `Depth.quick()` fetches only what says what there is, and of everything else the header; `Depth.sample(5)`
        five percent of the content, drawn at random: `Audit.chance` says what finding nothing is worth then. The chain
        of keyrings is fetched always; what only an unlock reads (the slots of passphrase and code) is no part of it.
        """
        from strongroom import verifying
        from strongroom.engine.depth import FULL

        return await verifying.verify(self._session, depth or FULL, progress=progress)

    async def keep_all(self) -> int:
        """Have the relay keep what the newest version needs and a device told it to delete; how many objects that were.

        An idle device does so once a day. Raises ReadOnly, RelayError.
        """
        from strongroom.pinning import keep_all

        return await keep_all(self._session)

    async def uproot(self) -> int:
        """Mend what only a stolen device writes: rows that would hide messages one day, a chat list that leaves out
        what is there. Of how many chats.

        An idle device does so once a day. Raises ReadOnly, RelayError.
        """
        from strongroom.planted import uproot

        return await uproot(self._session)

    async def compact(self) -> bool:
        """Pack the history as small as it gets and take out what was erased; for an idle device with a good connection.

        It may send as much as the vault holds. Returns whether there was anything to do. Other devices go on writing;
        the one that loses the race begins again.
        """
        from strongroom import commit
        from strongroom.engine import compaction

        async with self._session.lock:
            self._session.base = None  # what others wrote meanwhile is to be packed too
        folded = await commit.commit(self._session, compaction.fold_tail)
        return await commit.commit(self._session, compaction.compact) is not None or folded is not None

    def waiting(self) -> tuple[int, str]:
        """How many rows are on this device only, and why if saving them fails. Asks nobody: cheap enough to poll."""
        return self._outbox.waiting()[0], str(self._sender.error or "")

    async def status(self) -> Status:
        """How fresh, how much, who, and what waits."""
        from strongroom import freshness, witnessing
        from strongroom.engine.reading import chat_rows

        session, fresh = self._session, True
        rows: list[DirectoryRow] = []
        runs = tail = stored = cap = objects = unread = 0
        try:
            snapshot = await self._reader.current()
            rows, unread = await chat_rows(snapshot), len(snapshot.source.damage)
            await self._follow()
            runs, tail = len(snapshot.root.runs), len(snapshot.body.tail)
            usage = await session.transport.usage(session.account)
            stored, cap, objects = usage.stored, usage.cap, usage.objects
        except RelayUnreachable:  # what is known without it
            fresh = False
        head = session.stored_head()  # not that of the snapshot, which is an older one where the newest is damaged
        waiting, _ = self._outbox.waiting()
        accepted = freshness.accepted(session) or head.time
        return Status(
            account=session.account.hex(), name=self.name, relay=self.relay, device=session.device.id.hex(),
            writable=session.may_write, version=head.version, keyring_version=head.keyring_version,
            # Two clocks say how old it is, the writer's and the relay's: whichever lies makes it no newer.
            epoch=head.epoch, saved=min(head.time, accepted), accepted=accepted,
            age_ms=max(0, now_ms() - min(head.time, accepted)), unread=unread,
            asked=freshness.asked(session), freshness=freshness.known(session),
            alarm=(session.state.get(witnessing.ALARM) or b"").decode(), chats=len(rows),
            rows=sum(row.rows for row in rows), runs=runs, tail=tail,
            stored=stored, cap=cap, objects=objects, devices=self.devices(), fresh=fresh, waiting=waiting,
            waiting_since=self._outbox.since(), waiting_damaged=self._outbox.damaged(),
            problem=str(self._sender.error or ""),
        )  # fmt: skip
