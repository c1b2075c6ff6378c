"""One large piece of an import: read, encoded and sealed as it streams, committed as one run (chapter 13.7).

Rows wait, packed, until their conversation fills a frame; full frames are encoded in another process and sealed here,
so what is committed lies as a merge would leave it. Memory is bounded by what may wait and by the framed bytes of a
piece, not by the import.
"""

from __future__ import annotations

from asyncio import Future, sleep
from collections import defaultdict, deque
from dataclasses import dataclass, field

from strongroom.columns import Portion
from strongroom.encoding import Answer, Job, under
from strongroom.engine.change import Change
from strongroom.heap import give_back
from strongroom.history import History
from strongroom.intake import Intake
from strongroom.run_output import RunOutput
from strongroom.session import Session
from strongroom.worker import Worker
from strongroom_protocol.limits import MIB

WAITING_BYTES = 36 * MIB
"""Packed rows that wait for their frames to fill: 350,000 short messages. With more, all go on as they are."""

PIECE_BYTES = 48 * MIB
"""Packed rows that are sent to be encoded in one piece: 450,000 short messages. Their frames, about a quarter of that,
are kept until the commit, should it have to be repeated."""

FREED_BYTES = 2 * MIB
"""Packed rows that were sent, of those that waited, until their memory is given back."""

SEND_ROWS = 8_192
SEND_BYTES = MIB
"""Rows, or packed bytes, that go to the worker at once."""

IN_FLIGHT = 3
"""Sendings not answered yet: enough that the worker never waits, few enough to bind little memory."""


@dataclass(slots=True)
class _Sent:
    """A job by the bounds of its times, and its answer once it has come."""

    conversation: str
    first: int
    last: int
    answer: Answer | None = None

    def crosses(self, first: int, last: int) -> bool:
        """Whether times overlap in more than one instant; in one they do wherever rows come in order."""
        return first < self.last and self.first < last


@dataclass(slots=True)
class Piece:
    """Rows of one commit. `build` streams them in; called again after a lost race, it seals the same frames anew, under
    another origin where an undo has taken theirs out.

    The rows of a repeated build are not compared with what the winner wrote: merging makes one message of both.
    """

    session: Session
    intake: Intake
    worker: Worker
    answers: list[tuple[str, Answer]] = field(default_factory=list)
    _complete: bool = False
    _sent: dict[str, list[_Sent]] = field(default_factory=lambda: defaultdict(list))
    _jobs: list[tuple[Job, _Sent]] = field(default_factory=list)
    _flying: deque[tuple[Future[list[Answer]], list[_Sent]]] = field(default_factory=deque)
    _origin: tuple[int, int] = (0, 0)
    _place: int = 0
    _bytes: int = 0

    async def build(self, change: Change) -> bool:
        """Put the rows into a change; False when all of them were there already."""
        output = RunOutput(self.session, change, self.intake.media)
        if self._complete:
            mine = self.session.device.id, self._origin[1]
            if any(discard.covers(*mine) for discard in change.base.discards):  # spec: UNDO-15
                self._origin = self._origin[0], next(change.sealer.sequences)
                self.answers = [(chat, under(answer, self._origin[1])) for chat, answer in self.answers]
            for conversation, answer in self.answers:
                await output.add(conversation, answer)
        else:
            self._origin = self.session.next_clock(), next(change.sealer.sequences)
            await self._stream(await History.of(change.base), output)
            self._complete = True
        return await output.finish()

    async def _stream(self, history: History, output: RunOutput) -> None:
        while self.intake.size < WAITING_BYTES and self._bytes < PIECE_BYTES and await self.intake.read():
            for conversation, portions in self.intake.full():
                await self._encode(history, output, conversation, portions, newest=False)
            await sleep(0)  # uploads go on meanwhile
        if self.intake.ended or self.intake.size >= WAITING_BYTES:  # else what waits becomes full in the next piece
            waiting = self.intake.size
            give_back()
            for conversation, portions in self.intake.rest():
                await self._encode(history, output, conversation, portions, newest=True)
                del portions
                if waiting - self.intake.size >= FREED_BYTES:
                    waiting = self.intake.size
                    give_back()
        await self._settle(output)

    async def _encode(
        self, history: History, output: RunOutput, conversation: str, portions: list[Portion], *, newest: bool
    ) -> None:
        """Send rows of one conversation to the worker, with what is known of their time."""
        first, last = min(portion.first for portion in portions), max(portion.last for portion in portions)
        known = await history.framed(conversation, first, last)
        if any(sent.crosses(first, last) for sent in self._sent[conversation]):
            await self._settle(output)  # rows out of order: the same message may be among those before
            known += [
                frame.framed
                for sent in self._sent[conversation]
                if sent.answer is not None and sent.crosses(first, last)
                for frame in sent.answer.frames
            ]
        clock, sequence = self._origin
        data = [portion.data for portion in portions]
        self._bytes += sum(map(len, data))
        gone = history.forgotten(conversation)
        job = Job(
            conversation, data, newest, known, clock, self.session.device.id, sequence, self._place,
            (gone.messages, gone.files, gone.facts),
        )  # fmt: skip
        self._place += sum(portion.rows for portion in portions)
        sent = _Sent(conversation, first, last)
        self._sent[conversation].append(sent)
        self._jobs.append((job, sent))
        waiting = [job for job, _ in self._jobs]
        if (
            self._place - waiting[0].place >= SEND_ROWS
            or sum(len(part) for job in waiting for part in job.portions) >= SEND_BYTES
        ):
            self._send()
            while len(self._flying) >= IN_FLIGHT or (self._flying and self._flying[0][0].done()):
                await self._receive(output)

    def _send(self) -> None:
        if self._jobs:
            jobs, self._jobs = self._jobs, []
            self._flying.append((self.worker.submit([job for job, _ in jobs]), [sent for _, sent in jobs]))

    async def _receive(self, output: RunOutput) -> None:
        future, jobs = self._flying.popleft()
        for sent, answer in zip(jobs, await future, strict=True):
            sent.answer = answer
            self.answers.append((sent.conversation, answer))
            await output.add(sent.conversation, answer)

    async def _settle(self, output: RunOutput) -> None:
        """Wait until everything sent is answered."""
        self._send()
        while self._flying:
            await self._receive(output)
