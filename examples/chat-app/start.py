"""The example in one command: a relay, Ada's phone and Ada's tablet, each a process of its own.

    python examples/chat-app/start.py [--data FOLDER] [--port 8001]

Open both addresses side by side and write on either. Stop the relay (its process id is printed), write on, start it
again with the command that is printed: nothing is lost. Ctrl-C ends everything; the same folder goes on where it was.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import secrets
import shlex
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from strongroom import Vault, message, new_recovery_code, passphrase, title

HERE = Path(__file__).resolve().parent
ACCOUNT = "ada"
DEVICES = ("phone", "tablet")


class Processes:
    """What was started, ended in reverse."""

    def __init__(self) -> None:
        self._running: list[subprocess.Popen[str]] = []

    def start(self, *command: str) -> tuple[subprocess.Popen[str], str]:
        """Start it, and return the first line that it prints."""
        process = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True)
        self._running.append(process)
        line = process.stdout.readline().strip() if process.stdout else ""
        if not line:
            raise SystemExit(f"it did not start: {' '.join(command)}")
        return process, line

    def wait(self) -> None:
        for process in self._running:
            process.wait()

    def stop(self) -> None:
        for process in reversed(self._running):
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
            if process.stdout:
                process.stdout.close()


async def accounts(data: Path, relay: str) -> None:
    """The account with its first device, and a second one that logs in and is confirmed; once."""
    if (data / DEVICES[1]).exists():
        return
    typed, code = passphrase(secrets.token_urlsafe(16)), new_recovery_code()  # an app asks for the one, shows the other
    async with await Vault.create(
        data / DEVICES[0], relay=relay, name=ACCOUNT, passphrase=typed, code=code, device_name=DEVICES[0]
    ) as first:
        await first.append(
            "family", [title("Family"), message("Write on either device", sender="ada", sender_name="Ada")]
        )
        await first.flush()
    async with await Vault.login(data / DEVICES[1], relay=relay, name=ACCOUNT, passphrase=typed) as second:
        await second.confirm_devices(device_name=DEVICES[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--data", type=Path, help="where relay and devices live (a temporary folder)")
    parser.add_argument("--port", type=int, default=8001, help="of the phone's page; the tablet's is the next one")
    given = parser.parse_args()
    for ending in (signal.SIGINT, signal.SIGTERM):  # also where a shell in the background has one of them ignored
        signal.signal(ending, signal.default_int_handler)
    processes = Processes()
    with tempfile.TemporaryDirectory(prefix="chat-app-") as temporary:
        data = given.data or Path(temporary)
        serve = ["-m", "strongroom_relay.cli", "serve", "--data", str(data / "relay"), "--open-registration"]
        try:
            print("starting a relay and two devices: a few seconds", file=sys.stderr)
            relay, line = processes.start(*serve, "--listen", f"127.0.0.1:{given.port - 1}")
            url = line.rpartition(" ")[2]
            asyncio.run(accounts(data, url))
            print(f"relay: {url} (process {relay.pid})")
            for number, device in enumerate(DEVICES):
                port = str(given.port + number)
                _, line = processes.start(
                    str(HERE / "device.py"), str(data / device), "--port", port, "--name", device.title()
                )
                print(line, flush=True)
            again = shlex.join([sys.executable, *serve, "--listen", url.rpartition("/")[2]])
            print(f"if you stop the relay, start it again with: {again}", flush=True)
            processes.wait()
        except KeyboardInterrupt:
            print("stopping; what waits is saved at the next start")
        finally:
            processes.stop()


if __name__ == "__main__":
    main()
