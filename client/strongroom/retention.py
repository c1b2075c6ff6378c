"""What would go: a survey of chats, and by their policies the exact times up to which each is cut (ADR 0017).

Nothing is changed here. What is shown to a person is a `Plan`, and `forgetting.apply` does that plan or nothing.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from strongroom.engine.reading import chat_rows, spans
from strongroom.engine.snapshot import Snapshot
from strongroom.policies import Policies, Policy
from strongroom_protocol.engine.directory import DirectoryRow
from strongroom_protocol.errors import IncompleteError, UntrustedDataError
from strongroom_protocol.rows.ids import conversation_key
from strongroom_protocol.rows.media_refs import descriptors
from strongroom_protocol.rows.merge import Message, Order, fold
from strongroom_protocol.seal.media import Media

DAY_MS = 86_400_000

OnRecords = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Cut:
    """What goes of one chat: messages up to a time (ms; -1: none), the bytes of files up to a time; how much that is.

    `bytes`: of texts, verbatim records and files, as they are outside the vault. `files` counts each once, also those
    that go with their messages. `first` and `last`: times of the messages that go or lose a file. `whole`: titles and
    members too. `later`: (time, id) of messages after `messages_until` that go one by one.
    """

    chat: str
    title: str
    messages_until: int
    files_until: int
    messages: int
    files: int
    bytes: int
    first: int
    last: int
    whole: bool = False
    later: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What goes, chat by chat, of the version `head` (its hash), as seen at `now` (ms); `only`: of this chat alone."""

    cuts: tuple[Cut, ...]
    now: int
    head: bytes = field(repr=False)
    only: str | None = None

    @property
    def messages(self) -> int:
        return sum(cut.messages for cut in self.cuts)

    @property
    def files(self) -> int:
        return sum(cut.files for cut in self.cuts)

    @property
    def bytes(self) -> int:
        return sum(cut.bytes for cut in self.cuts)


@dataclass(slots=True)
class Survey:
    """One chat as it is shown: the times of its messages (ms, rising), bytes of each without files, and its files by
    descriptor: the latest time at which a message names it, and its size."""

    row: DirectoryRow
    times: array[int] = field(default_factory=lambda: array("q"))
    texts: array[int] = field(default_factory=lambda: array("q"))
    files: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    later: list[tuple[int, str]] = field(default_factory=list)

    def add(self, message: Message, now: int) -> None:
        if not message.versions:
            return
        self.times.append(message.time)
        self.texts.append(sum(len((row.text or "").encode()) + len(row.raw or b"") for row in message.versions))
        if message.time > now:
            self.later.append((message.time, message.id))
        for row in message.versions:
            for descriptor in descriptors(row.detail):
                self.files[descriptor] = (message.time, _size(descriptor))

    @property
    def total(self) -> int:
        return sum(self.texts) + sum(size for _, size in self.files.values())

    def cut(self, messages_until: int, files_until: int) -> Cut:
        """What goes with these times, the times set back to those of what really goes."""
        files_until = max(files_until, messages_until)
        gone = [time for time in self.times if time <= messages_until]
        files = [(time, size) for time, size in self.files.values() if time <= files_until]
        times = gone + [time for time, _ in files]
        size = sum(self.texts[: len(gone)]) + sum(size for _, size in files)
        last_file = max((time for time, _ in files), default=-1)
        return Cut(
            self.row.conversation, self.row.title, max(gone, default=-1), last_file, len(gone), len(files), size,
            min(times, default=0), max(times, default=0),
        )  # fmt: skip


def _size(descriptor: bytes) -> int:
    try:
        return Media.decode(descriptor).size
    except UntrustedDataError:
        return 0


async def survey(snapshot: Snapshot, row: DirectoryRow, now: int, on_records: OnRecords | None = None) -> Survey:
    """Go through a chat. Raises IncompleteError when some of it cannot be read: what is not seen is not shown."""
    found = Survey(row)
    order = Order(snapshot.head.time)
    key = conversation_key(row.conversation)
    done = 0
    async for frame in spans(snapshot, key):
        for message in fold(row.conversation, frame.rows(), order):
            found.add(message, now)
        done += len(frame)
        if on_records is not None:
            on_records(done)
    if snapshot.source.damage:
        raise IncompleteError(
            "some of the history cannot be read, so it cannot be said what would go",
            damaged=tuple(snapshot.source.damage), hint="nothing was changed; see strongroom verify",
        )  # fmt: skip
    return found


async def plan(
    snapshot: Snapshot, policies: Policies, now: int, *, only: str | None = None, on_records: OnRecords | None = None
) -> Plan:
    """What the policies of this device take out; of one chat alone when `only` names it."""
    cuts: list[Cut] = []
    general: list[tuple[Survey, Policy]] = []
    done = 0

    def report(records: int) -> None:
        if on_records is not None:
            on_records(done + records)

    for row in sorted(await chat_rows(snapshot), key=lambda row: row.conversation):
        policy = policies.of(row.key)
        own = row.key in policies.own
        if policy.forever or (only is not None and own and row.conversation != only):
            continue
        seen = await survey(snapshot, row, now, report)
        done += row.rows
        if own:
            cuts += _cuts([(seen, policy)], policy.bytes, now)
        else:
            general.append((seen, policy))
    cuts += _cuts(general, policies.general.bytes, now)
    chosen = [cut for cut in cuts if only in (None, cut.chat)]
    return Plan(tuple(sorted(chosen, key=lambda cut: cut.chat)), now, snapshot.head.hash, only)


async def plan_erase(snapshot: Snapshot, row: DirectoryRow, now: int, on_records: OnRecords | None = None) -> Plan:
    """What erasing a chat takes out: all of it. `now` is not before the time of any head that was seen."""
    seen = await survey(snapshot, row, now, on_records)
    end = max([now, *seen.times])
    cut = replace(seen.cut(end, end), messages_until=now, files_until=now, whole=True, later=tuple(seen.later))
    return Plan((cut,), now, snapshot.head.hash)


def _cuts(chats: Sequence[tuple[Survey, Policy]], room: int | None, now: int) -> list[Cut]:
    """The cuts of chats that share `room` bytes."""
    bounds = [
        (_before(policy.days, now), max(_before(policy.days, now), _before(policy.media_days, now)))
        for _, policy in chats
    ]
    if room is not None:
        files, texts, left = [], [], -room
        for (seen, _), (messages_until, files_until) in zip(chats, bounds, strict=True):
            # What bears a time in the future never goes, so it takes no room: else it would push out all the rest.
            files += [item for item in seen.files.values() if files_until < item[0] <= now]
            texts += [
                (time, size) for time, size in zip(seen.times, seen.texts, strict=True) if messages_until < time <= now
            ]
        left += sum(size for _, size in (*files, *texts))
        every_file, left = _until(files, left)
        every_message, left = _until(texts, left)
        bounds = [(max(first, every_message), max(second, every_file)) for first, second in bounds]
    found = [seen.cut(first, second) for (seen, _), (first, second) in zip(chats, bounds, strict=True)]
    return [cut for cut in found if cut.messages or cut.files]


def _before(days: int | None, now: int) -> int:
    """The last time (ms) that is older than so many days; -1 when there is none."""
    return -1 if days is None else max(-1, now - days * DAY_MS - 1)


def _until(items: Iterable[tuple[int, int]], excess: int) -> tuple[int, int]:
    """The time up to which the oldest items have to go to free `excess` bytes, and what that leaves to be freed."""
    until = -1
    for time, size in sorted(items):
        if excess <= 0 and time > until:
            break
        excess -= size
        until = time
    return until, excess
