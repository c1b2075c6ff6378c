"""A relay process whose traffic, output and folder are kept for inspection."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType


@dataclass(slots=True)
class Connection:
    """What went over one connection."""

    sent: bytearray = field(default_factory=bytearray)
    received: bytearray = field(default_factory=bytearray)


class RecordedRelay:
    """A real relay behind a proxy on loopback that writes down every byte: `with RecordedRelay(folder) as relay: …`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.data = folder / "data"
        self.output = folder / "output.txt"
        self.connections: list[Connection] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._target = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> RecordedRelay:
        command = [sys.executable, "-m", "strongroom_relay.cli", "serve", "--data", str(self.data)]
        with self.output.open("w") as log:
            self._process = subprocess.Popen(
                [*command, "--listen", "127.0.0.1:0", "--origin", self.url, "--open-registration"],
                stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        with self.output.open("a") as log:
            log.write(line)
        self._target = int(line.rpartition(":")[2])
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._process
        assert process is not None
        assert process.stdout is not None
        process.terminate()
        with self.output.open("a") as log:
            log.write(process.stdout.read())
        process.stdout.close()
        process.wait(30)
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def traffic(self) -> bytes:
        """Everything that was sent and received, a connection and direction after the other."""
        return b"".join(bytes(part) for item in self.connections for part in (item.sent, item.received))

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, sock=self._listener)

    async def _stop(self) -> None:
        self._server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0.05)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen = Connection()
        self.connections.append(seen)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        with suppress(asyncio.CancelledError):
            await asyncio.gather(_copy(reader, far_writer, seen.sent), _copy(far_reader, writer, seen.received))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: bytearray) -> None:
    try:
        while data := await reader.read(65536):
            kept += data
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()
