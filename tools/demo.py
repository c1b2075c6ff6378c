"""`make demo`: the whole story on real chats, with a relay on loopback and the shipped command line.

Backs up a sample of the #ubuntu IRC corpus, plays the new phone that has only the passphrase, compares what came back
with what went in, then damages one byte in the relay's store and sees that it is found and named. Exit 0 only if all
of it held.
"""

from __future__ import annotations

import filecmp
import json
import os
import secrets
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "samples" / "irc-ubuntu"
CHAT = "#ubuntu"


class Failed(Exception):
    """A promise did not hold."""


@dataclass(slots=True)
class Demo:
    """A folder, a relay process, and the command line run as a person would."""

    folder: Path
    relay: subprocess.Popen[str] | None = None
    url: str = ""
    token: str = ""
    times: dict[str, float] = field(default_factory=dict)

    def start_relay(self) -> None:
        """Start the relay on its folder, as a process of its own."""
        command = [sys.executable, "-m", "strongroom_relay.cli", "serve", "--listen", "127.0.0.1:0", "--data", "relay"]
        with (self.folder / "relay.log").open("a") as log:
            self.relay = subprocess.Popen(command, cwd=self.folder, stdout=subprocess.PIPE, stderr=log, text=True)
        if self.relay.stdout is None:
            raise Failed("the relay has no output")
        self.url = self.relay.stdout.readline().rpartition(" ")[2].strip()
        if not self.token:
            self.token = self.relay.stdout.readline().rpartition(" ")[2].strip()

    def stop_relay(self) -> None:
        """SIGTERM and wait."""
        if self.relay is not None:
            self.relay.send_signal(signal.SIGTERM)
            self.relay.wait(20)
            if self.relay.stdout is not None:
                self.relay.stdout.close()
            self.relay = None

    def strongroom(self, *arguments: str, expect: int = 0, step: str = "") -> dict[str, Any]:
        """Run a verb with --json; its exit code must be `expect`."""
        start = time.perf_counter()
        command = [sys.executable, "-m", "strongroom.cli.main", *arguments, "--json"]
        run = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        if step:
            self.times[step] = time.perf_counter() - start
        if run.returncode != expect:
            raise Failed(
                f"strongroom {arguments[0]} ended with {run.returncode}, not {expect}:\n{run.stdout}{run.stderr}"
            )
        answer: dict[str, Any] = json.loads(run.stdout)
        return answer


def main() -> int:
    """Run the story; print the summary."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="strongroom-demo-") as name:
        demo = Demo(Path(name))
        try:
            _story(demo)
        except Failed as error:
            print(f"\nFAILED: {error}", file=sys.stderr)
            return 1
        finally:
            demo.stop_relay()
    print(f"\nAll of it held, in {time.perf_counter() - start:.1f} s.")
    return 0


def _story(demo: Demo) -> None:
    (demo.folder / "passphrase").write_text("a quiet harbour keeps old letters\n")
    demo.start_relay()
    _say("1", f"a relay on {demo.url}, and a new account on it")
    demo.strongroom(
        "init", "--vault", "laptop", "--relay", demo.url, "--account", "ada", "--passphrase-file", "passphrase",
        "--recovery-code-out", "recovery-code", "--registration-token", demo.token, step="init",
    )  # fmt: skip
    sources = sorted(SAMPLE.glob("*.raw.txt"))
    size = sum(path.stat().st_size for path in sources)
    added = demo.strongroom("import", str(SAMPLE), "--vault", "laptop", step="import")
    again = demo.strongroom("import", str(SAMPLE), "--vault", "laptop")
    _require(again["added"] == 0, "importing again adds nothing")
    status = demo.strongroom("status", "--vault", "laptop")
    _say("2", f"imported {added['added']:,} records from {len(sources)} logs, {size:,} bytes; again: nothing twice")
    _say("", f"the relay keeps {status['stored']:,} sealed bytes in {status['objects']} objects")
    _new_phone(demo, added["added"])
    _compare(demo, sources)
    _damage(demo)
    _what_the_relay_saw(demo, sources)
    print("\n" + "  ".join(f"{step} {seconds:.2f} s" for step, seconds in demo.times.items()))


def _new_phone(demo: Demo, records: int) -> None:
    login = demo.strongroom(
        "login", "--vault", "phone", "--relay", demo.url, "--account", "ada", "--passphrase-file", "passphrase",
        step="login",
    )  # fmt: skip
    _require(not login["writable"] and login["freshness"] == "unproven", "a fresh device is read-only and says so")
    chats = demo.strongroom("chats", "--vault", "phone", step="chats")["chats"]
    newest = demo.strongroom("show", CHAT, "--last", "3", "--vault", "phone", step="show")["messages"]
    _say("3", f"the new phone has the passphrase only: {len(chats)} chat, the newest messages are")
    for message in newest:
        print(f"          {message['sender'] or '*'}: {message['text'][:70]}")
    restored = demo.strongroom("restore", "--vault", "phone", step="restore")
    _require(restored["records"] == records and not restored["damaged"], "the restore is whole")
    _say("4", f"restored {restored['records']:,} records in {restored['objects']} objects")


def _compare(demo: Demo, sources: list[Path]) -> None:
    for device in ("laptop", "phone"):
        demo.strongroom("export", f"export-{device}", "--format", "json", "--vault", device, step=f"export {device}")
    left, right = demo.folder / "export-laptop", demo.folder / "export-phone"
    names = sorted(str(path.relative_to(left)) for path in left.rglob("*") if path.is_file())
    same, _, _ = filecmp.cmpfiles(left, right, names, shallow=False)
    _require(sorted(same) == names and names != [], "both devices export the same bytes")
    records = _raw_records(right)
    wanted = sorted(line for path in sources for line in path.read_bytes().splitlines(keepends=True))
    _require(sorted(records) == wanted, "every source line came back, byte for byte")
    _say("5", f"both devices export identical bytes; all {len(wanted):,} source lines came back byte for byte")


def _raw_records(export: Path) -> list[bytes]:
    import base64

    found = []
    for path in (export / "chats").glob("*.jsonl"):
        for line in path.read_bytes().splitlines():
            record = json.loads(line)
            if record["type"] == "message" and "raw" in record:
                found.append(record["raw"].encode())
            elif record["type"] == "message" and "raw_b64" in record:
                found.append(base64.b64decode(record["raw_b64"]))
    return found


def _damage(demo: Demo) -> None:
    demo.stop_relay()
    name = _flip_one_byte(demo.folder / "relay")
    demo.start_relay()
    verify = demo.strongroom("verify", "--vault", "laptop", "--relay", demo.url, expect=13, step="verify")
    _require(list(verify["damaged"]) == [name], "verify names exactly the damaged object")
    demo.strongroom(
        "login", "--vault", "other", "--relay", demo.url, "--account", "ada", "--recovery-code-file", "recovery-code"
    )
    restored = demo.strongroom("restore", "--vault", "other", expect=3)
    _require(list(restored["damaged"]) == [name] and restored["records"] > 0, "everything else is restored")
    _say("6", f"one byte flipped in the relay's store: found and named {name[:16]}… ({verify['damaged'][name]});")
    _say("", f"with the recovery code alone, the other {restored['records']:,} records came back")


def _flip_one_byte(relay: Path) -> str:
    """Flip a bit in the middle of the largest object, as bit rot would."""
    database = sqlite3.connect(relay / "relay.db")
    account, name, size, data = database.execute(
        "SELECT account, name, size, data FROM objects WHERE state = 1 ORDER BY size DESC LIMIT 1"
    ).fetchone()
    place = size // 2
    if data is None:
        path = relay / "objects" / name.hex()[:2] / f"{account.hex()}.{name.hex()}"
        damaged = bytearray(path.read_bytes())
        damaged[place] ^= 1
        path.write_bytes(damaged)
    else:
        damaged = bytearray(data)
        damaged[place] ^= 1
        with database:
            database.execute("UPDATE objects SET data = ? WHERE account = ? AND name = ?", (damaged, account, name))
    database.close()
    return str(name.hex())


def _what_the_relay_saw(demo: Demo, sources: list[Path]) -> None:
    demo.stop_relay()
    stored = b"".join(path.read_bytes() for path in (demo.folder / "relay").rglob("*") if path.is_file())
    stored += (demo.folder / "relay.log").read_bytes()
    lines = [line.strip() for path in sources for line in path.read_bytes().splitlines() if len(line) > 60]
    probes = [secrets.choice(lines)[8:40] for _ in range(200)] + [CHAT.encode(), b"passphrase"]
    _require(not any(probe in stored for probe in probes), "nothing readable lies at the relay")
    _say("7", f"what the relay saw: one account name, one device key, sealed objects ({len(stored):,} bytes in all);")
    _say("", f"{len(probes)} pieces of the chats searched in its store and logs: none there")


def _say(step: str, text: str) -> None:
    print(f"  {step + '.' if step else '':<3} {text}", flush=True)


def _require(held: bool, promise: str) -> None:
    if not held:
        raise Failed(promise)


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main())
