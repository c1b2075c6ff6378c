"""Who waits for news of an account: streams, woken when its head, its keyring or its blocks change (chapter 18).

All of it is in this process's memory. Relays that share a store would each have to hear of the others' commits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from strongroom_protocol.limits import LIMITS
from strongroom_protocol.relay_api.problems import Problem, ProblemError


@dataclass(slots=True, eq=False)
class Stream:
    """One listener. `woken` is set when there may be news; `ended` says that it is to end."""

    woken: asyncio.Event = field(default_factory=asyncio.Event)
    ended: bool = False

    def end(self) -> None:
        self.ended = True
        self.woken.set()


@dataclass(slots=True)
class Streams:
    """The open streams of all accounts, at most one for each key: a device's new one ends its old one."""

    most: int = LIMITS.streams_total
    most_of_one: int = LIMITS.streams_account
    _open: dict[bytes, dict[bytes, Stream]] = field(default_factory=dict)
    _count: int = 0

    @contextmanager
    def listen(self, account: bytes, key: bytes) -> Iterator[Stream]:
        """A stream for this key while the context lasts.

        Raises ProblemError when too many are open: `rate` of this account, `unavailable` of all.
        """
        streams = self._open.get(account, {})
        before = streams.get(key)
        if before is not None:  # spec: LIVE-4
            before.end()
        elif len(streams) >= self.most_of_one:  # spec: LIVE-12
            raise ProblemError(Problem.RATE)
        elif self._count >= self.most:  # spec: LIVE-5
            raise ProblemError(Problem.UNAVAILABLE)
        else:
            self._count += 1
        self._open[account] = streams
        streams[key] = stream = Stream()
        try:
            yield stream
        finally:
            if streams.get(key) is stream:
                del streams[key]
                self._count -= 1
            if not streams and self._open.get(account) is streams:
                del self._open[account]

    def changed(self, account: bytes) -> None:
        """Something of this account changed: every stream looks what."""
        for stream in self._open.get(account, {}).values():
            stream.woken.set()

    def end(self) -> None:
        """The relay stops: all streams end."""
        for streams in self._open.values():
            for stream in streams.values():
                stream.end()
