"""Attacks 071 and 091: nothing a person wrote or named is in what a relay stores, logs or is sent."""

from __future__ import annotations

import gzip
import os
import random
import secrets
import subprocess
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli.command import PASSPHRASE, Person
from leaks.canaries import COUNT, Canaries, plant
from leaks.recorder import RecordedRelay
from leaks.scanner import FORMS, STREAMS, Hit, Scanner, forms

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LEAKY = Path(__file__).with_name("leaky.py")


class LeakyPerson(Person):
    """Uses the deliberately leaky build."""

    def command(self, *arguments: str, tweak: str = "") -> list[str]:
        return [sys.executable, str(LEAKY), *arguments]


@dataclass(frozen=True, slots=True)
class Session:
    """A whole session: the canaries, who planted them, and what the relay was left with."""

    canaries: Canaries
    person: Person
    relay: RecordedRelay

    @property
    def recovery_code(self) -> str:
        return (self.person.folder / "code").read_text().strip()


def play(person: Person, folder: Path, *, verify: bool = True) -> Session:
    """Everything the command line can do, through a recorded relay."""
    canaries = Canaries(secrets.randbits(64))
    plant(person.folder, canaries)
    with RecordedRelay(folder) as relay:
        account = ("--relay", relay.url, "--account", "ada", "--passphrase-file", "pw")
        first, second = canaries.new("device names"), canaries.new("device names")
        assert len(canaries.all()) == COUNT
        person.run("init", "--vault", "laptop", *account, "--recovery-code-out", "code", "--device-name", first)
        person.run("import", "native", "--vault", "laptop")
        person.run("import", "irc", "--vault", "laptop")
        if verify:
            title = canaries.places["titles"][0]
            for verb in (("chats",), ("show", title), ("verify",), ("status",)):
                person.run(*verb, "--vault", "laptop")
            person.run("login", "--vault", "phone", *account, "--confirm-devices", "--device-name", second)
            person.run("restore", "--vault", "phone")
            person.run("import", "native", "--vault", "phone")
            person.run("export", "out", "--vault", "phone")
            person.run("login", "--vault", "other", *account[:4], "--recovery-code-file", "code")
        else:
            person.run("login", "--vault", "phone", *account, "--confirm-devices", "--device-name", second)
    return Session(canaries, person, relay)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    folder = tmp_path_factory.mktemp("honest")
    return play(Person(folder / "home"), folder / "relay")


def test_the_canaries_were_in_the_backup(session: Session) -> None:
    """Everything but the names of devices and of native files comes out again, so it was there to leak."""
    found = {text for text, _ in Scanner(session.canaries.all()).scan_folder(session.person.folder / "out")}
    native = {path.stem for path in (session.person.folder / "native").iterdir()}
    assert session.canaries.all() - found == native | set(session.canaries.places["device names"])
    assert len(session.canaries.places) == 15


def test_attack_071_091_no_canary_is_in_what_the_relay_stores_logs_or_is_sent(session: Session) -> None:
    scanner = Scanner(session.canaries.all() | {PASSPHRASE, session.recovery_code, session.recovery_code[:23]})
    assert len(session.relay.traffic()) > 200_000
    assert scanner.scan_folder(session.relay.data) == set(), session.canaries.seed
    assert scanner.scan(session.relay.output.read_bytes()) == set(), session.canaries.seed
    assert scanner.scan(session.relay.traffic()) == set(), session.canaries.seed


def test_attack_091_no_escape_and_no_address_is_in_the_log(session: Session) -> None:
    log = session.relay.output.read_text()
    assert "\x1b" not in log
    assert len(log.splitlines()) == 1, log  # the line that says where it listens


def test_attack_071_the_leaky_build_is_found_out_in_every_form(tmp_path: Path) -> None:
    """In storage and on the wire alike: all thousand canaries, in all forms and in all kinds of stream."""
    session = play(LeakyPerson(tmp_path / "home"), tmp_path / "relay", verify=False)
    scanner = Scanner(session.canaries.all())
    wanted = {(text, form) for text in session.canaries.all() for form in FORMS}
    wanted |= {(text, f"{stream}:utf-8") for text in session.canaries.all() for stream in STREAMS}
    assert wanted - scanner.scan_folder(session.relay.data) == set()
    assert wanted - scanner.scan(session.relay.traffic()) == set()


def test_the_scanner_finds_each_form_between_random_bytes() -> None:
    noise = random.Random(7)
    canaries = Canaries(7).some("x", 20)
    scanner = Scanner(canaries)
    for canary in canaries:
        for form, pattern in forms(canary).items():
            assert scanner.scan(noise.randbytes(333) + pattern + noise.randbytes(50)) == {(canary, form)}
        log = f"2026-01-01 ERROR cannot find {canary}\n".encode()
        expected: set[Hit] = {(canary, "utf-8")}
        assert scanner.scan(log) == expected
        for name, data in (("zlib", zlib.compress(log)), ("gzip", gzip.compress(log)), ("zstd", zstd.compress(log))):
            assert (canary, f"{name}:utf-8") in scanner.scan(noise.randbytes(99) + data + noise.randbytes(99))
        assert (canary, "gzip:zlib:utf-8") in scanner.scan(gzip.compress(zlib.compress(log)))


def test_the_scanner_finds_nothing_in_noise() -> None:
    assert Scanner(Canaries(1).some("x", COUNT)).scan(os.urandom(1 << 20)) == set()


def test_attack_099_nothing_secret_is_in_an_argument_list(session: Session) -> None:
    """While a login runs, what /proc shows to every user of the machine holds neither passphrase nor code."""
    person, seen = session.person, b""
    with RecordedRelay(person.folder / "second") as relay:
        command = person.command("init", "--vault", "argv", "--relay", relay.url, "--account", "ada",
                                 "--passphrase-command", "cat pw", "--recovery-code-out", "argv-code")  # fmt: skip
        process = subprocess.Popen(command, cwd=person.folder, env=person.environment(), stdout=subprocess.DEVNULL)
        while process.poll() is None:
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    data = path.read_bytes()
                except OSError:
                    continue
                if str(person.folder).encode() in data or b"argv-code" in data or b"cat\0pw" in data:
                    seen += data
    assert process.returncode == 0
    assert b"argv-code" in seen
    code = (person.folder / "argv-code").read_text().strip()
    assert PASSPHRASE.encode() not in seen
    assert code.encode() not in seen
