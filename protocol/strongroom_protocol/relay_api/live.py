"""The events of a live stream, both ways (spec chapter 18): lines of text, of which a client believes nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

MEDIA_TYPE = "text/event-stream"
HEARTBEAT_S = 20.0
"""A stream without news says so much as this often that it is alive."""

SILENCE_S = 50.0
"""A client takes a stream that was silent for so long for dead: two heartbeats and a half."""

LINE_BYTES = 256
"""The longest line: two numbers of 16 digits need a seventh of it."""

STREAM_BYTES = 64 * 1024
"""What a client reads of one stream: four thousand events, or five days of silence. The next one goes on."""

HEARTBEAT = b":\n\n"
_DATA = re.compile(rb"data: ([1-9][0-9]{0,15}) ([1-9][0-9]{0,15})")


class Versions(NamedTuple):
    """Of the newest head and keyring, by the relay's word."""

    head: int
    keyring: int

    def encode(self) -> bytes:
        """The event."""
        return b"data: %d %d\n\n" % self


@dataclass(slots=True)
class Reader:
    """Cuts a stream into events, in bounded memory."""

    _line: bytearray = field(default_factory=bytearray)
    _read: int = 0

    def feed(self, data: bytes) -> list[Versions]:
        """The events that are complete with these bytes. Raises ValueError for what no relay of this protocol sends."""
        self._read += len(data)
        if self._read > STREAM_BYTES:  # spec: LIVE-11
            raise ValueError("more than a stream needs")
        found = []
        self._line += data
        *lines, rest = self._line.split(b"\n")
        self._line = bytearray(rest)
        for line in (*lines, rest):
            if len(line) > LINE_BYTES:  # spec: LIVE-7
                raise ValueError("a line longer than any event")
        for line in lines:
            if not line or line == b":":
                continue
            match = _DATA.fullmatch(line)
            if match is None:  # spec: LIVE-8
                raise ValueError("no event")
            found.append(Versions(int(match[1]), int(match[2])))
        return found
