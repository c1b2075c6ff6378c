"""A second process that encodes for a bulk import, so that both cores work (chapter 13.7).

It is this program's interpreter started anew, not a fork: it holds no key, no connection and no copy of the parent's
memory, and lives no longer than the import, for it ends when its input does. Where no process can be started, or it
dies, a thread of this process does the work.
"""

from __future__ import annotations

import contextlib
import gc
import os
import subprocess
import sys
from asyncio import Future, get_running_loop, wrap_future
from concurrent.futures import ThreadPoolExecutor
from typing import IO

from strongroom.encoding import Answer, Job, encode_packed, pack_jobs, unpack_answers

_PROGRAM = "import sys; sys.path[:] = {!r}; from strongroom.worker import serve; serve()"
_LENGTH = 8  # bytes before a message


class Worker:
    """Takes jobs and answers them in order. Sending and receiving are threads, so that neither waits for the other."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._closing = False
        self._sender = ThreadPoolExecutor(1, "strongroom-send")
        self._receiver = ThreadPoolExecutor(1, "strongroom-receive")
        self._started = self._sender.submit(self._start)

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        """End the process; what was not answered is given up."""
        self._closing = True
        self._started.result()
        self._sender.shutdown(wait=False, cancel_futures=True)
        self._receiver.shutdown(wait=False, cancel_futures=True)
        process = self._process
        if process is not None:
            process.kill()  # it keeps nothing that could be lost
            self._sender.shutdown()  # the pipes have broken: neither thread waits for them any more
            self._receiver.shutdown()
            with contextlib.suppress(OSError):
                process.communicate()

    def submit(self, jobs: list[Job]) -> Future[list[Answer]]:
        """The answers to come, one for each job."""
        packed = pack_jobs(jobs)
        sent = self._sender.submit(self._send, packed)

        def answer() -> list[Answer]:
            sent.result()
            answered = self._receive()
            if answered is None and self._closing:
                return []  # nobody waits for it
            return unpack_answers(encode_packed(packed) if answered is None else answered)

        return wrap_future(self._receiver.submit(answer), loop=get_running_loop())

    def _start(self) -> None:
        if not sys.executable or getattr(sys, "frozen", False):
            return  # an executable that is not an interpreter would start the app again
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _PROGRAM.format(sys.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={},  # the environment may hold a passphrase
                start_new_session=True,  # an interrupt is for the parent, which then ends it
            )
        except OSError:
            self._process = None

    def _send(self, packed: bytes) -> None:
        process = self._process
        if process is not None and process.stdin is not None:
            try:
                _write(process.stdin, packed)
            except OSError:
                return  # receiving will find out

    def _receive(self) -> bytes | None:
        process = self._process
        return None if process is None or process.stdout is None else _read(process.stdout)


def serve() -> None:
    """The worker process: answer until the input ends."""
    gc.disable()  # rows are in no cycles
    source = os.fdopen(os.dup(0), "rb")
    target = os.fdopen(os.dup(1), "wb")
    while (packed := _read(source)) is not None:
        _write(target, encode_packed(packed))


def _write(file: IO[bytes], message: bytes) -> None:
    file.write(len(message).to_bytes(_LENGTH, "big"))
    file.write(message)
    file.flush()


def _read(file: IO[bytes]) -> bytes | None:
    """The next message, None at the end or when it is cut short."""
    head = file.read(_LENGTH)
    message = file.read(int.from_bytes(head, "big")) if len(head) == _LENGTH else b""
    return message if len(head) == _LENGTH and len(message) == int.from_bytes(head, "big") else None
