"""Runs a relay, or writes into a vault folder, with one of its threads held until a tracer has it.

    python held.py THREAD serve ARGUMENTS...     a relay; THREAD is main, relay-write or relay-read
    python held.py THREAD folder FOLDER STORY    the story's steps on a vault folder; a line for each acknowledged one

strace counts the calls of each thread by itself. With one thread traced and a single reader, "the k-th call" is the
same call in every run.
"""

from __future__ import annotations

import asyncio
import ctypes
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

ANSWER = {True: "acknowledged", False: "refused"}
PR_SET_PTRACER, ANY = 0x59616D61, ctypes.c_ulong(-1)


def hold() -> None:
    """Say which thread this is and wait until it is traced."""
    ctypes.CDLL(None).prctl(PR_SET_PTRACER, ANY, 0, 0, 0)  # where only ancestors may trace
    ident = threading.get_native_id()
    print(f"held {ident}", flush=True)
    status = Path(f"/proc/self/task/{ident}/status")
    while "TracerPid:\t0\n" in status.read_text():
        time.sleep(0.001)


def hold_thread(name: str, run: Callable[[threading.Thread], None] = threading.Thread.run) -> None:
    """The first thread whose name begins so is held before it does anything."""
    held: list[str] = []

    def held_run(thread: threading.Thread) -> None:
        if thread.name.startswith(name) and not held:
            held.append(thread.name)
            hold()
        run(thread)

    threading.Thread.run = held_run  # type: ignore[method-assign, assignment]


def write_folder(folder: Path, story: Path) -> None:
    from faults.story import Story, play
    from strongroom.transport.inprocess import open_folder

    async def work() -> None:
        transport = await open_folder(folder)
        try:
            told = Story.load(story)
            await play(told, told.steps, transport, lambda step, done: print(ANSWER[done], step.label, flush=True))
        finally:
            await transport.close()

    asyncio.run(work())


def main(thread: str, what: str, *rest: str) -> None:
    from strongroom_relay.store import embedded

    embedded.READERS = 1
    if thread == "main":
        hold()
    else:
        hold_thread(thread)
    if what == "folder":
        from strongroom_protocol.errors import StrongroomError

        try:
            write_folder(Path(rest[0]), Path(rest[1]))
        except StrongroomError as error:
            sys.exit(f"strongroom: error: {error}")
        finally:
            print("ended", flush=True)
        return
    from strongroom_relay.cli import main as relay

    relay([what, *rest])


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    main(*sys.argv[1:])
