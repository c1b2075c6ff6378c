"""Attack 099, the command line's part: where secrets come from, and where they never go."""

from __future__ import annotations

import os
import pty
import re
import select
import stat
import sys
import time
from pathlib import Path

import pytest

from cli.command import PASSPHRASE, Person, files, heed_interrupts
from relay_process import RelayProcess
from strongroom.cli.strength import require_strong
from strongroom_protocol.errors import InvalidArgument
from strongroom_protocol.keys import names

CODE = re.compile(r"(?:[0-9A-Z]{5}-){7}[0-9A-Z]{5}")


class Terminal:
    """A command whose stdin, stdout and stderr are a terminal of its own."""

    def __init__(self, person: Person, *arguments: str) -> None:
        self.seen = ""
        self._at = 0
        self._pid, self._screen = pty.fork()
        if self._pid == 0:
            heed_interrupts()
            os.chdir(person.folder)
            os.execve(sys.executable, person.command(*arguments), person.environment())  # noqa: S606

    def wait_for(self, text: str) -> str:
        """Everything shown since the last wait, up to `text`."""
        deadline = time.monotonic() + 20
        while text not in self.seen[self._at :]:
            assert time.monotonic() < deadline, self.seen
            if select.select([self._screen], [], [], 0.2)[0]:
                self.seen += os.read(self._screen, 4096).decode()
        end = self.seen.index(text, self._at) + len(text)
        part, self._at = self.seen[self._at : end], end
        return part

    def type(self, line: str) -> None:
        time.sleep(0.1)  # getpass empties the input when it begins
        os.write(self._screen, f"{line}\n".encode())

    def end(self) -> int:
        """Read to the end; the exit code."""
        try:
            while data := os.read(self._screen, 4096):
                self.seen += data.decode()
        except OSError:
            pass  # the terminal's other side is closed
        os.close(self._screen)
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])


def test_a_weak_or_mistyped_new_passphrase_is_asked_for_again(tmp_path: Path) -> None:
    init = Terminal(
        Person(tmp_path), "init", "--vault", "vault", "--relay", f"file://{tmp_path}/store", "--account", "a"
    )
    init.wait_for("Passphrase: ")
    init.type("short")
    assert "too short" in init.wait_for("Passphrase: ")
    init.type(PASSPHRASE)
    init.wait_for("Repeat for confirmation: ")
    init.type(PASSPHRASE + "x")
    assert "not the same" in init.wait_for("Passphrase: ")
    init.type(PASSPHRASE)
    init.wait_for("Repeat for confirmation: ")
    init.type(PASSPHRASE)
    (code,) = CODE.findall(init.wait_for("Enter it again: "))
    init.type(code)
    assert init.end() == 0, init.seen
    assert PASSPHRASE not in init.seen


def test_init_at_a_terminal_shows_the_code_once_and_has_it_entered_again(tmp_path: Path) -> None:
    person = Person(tmp_path)
    address = ("--relay", f"file://{tmp_path}/store", "--account", "ada")
    init = Terminal(person, "init", "--vault", "vault", *address)
    init.wait_for("Passphrase: ")
    init.type(PASSPHRASE)
    init.wait_for("Repeat for confirmation: ")
    init.type(PASSPHRASE)
    shown = init.wait_for("Enter it again: ")
    (code,) = CODE.findall(shown)
    init.type(code[:-1])
    assert "has 40 characters, this has 39" in init.wait_for("Enter it again: ")
    at = 12
    init.type(code[:at] + ("X" if code[at] != "X" else "Y") + code[at + 1 :])
    assert "group 3 has a typo" in init.wait_for("Enter it again: ")
    init.type("-".join(["00000", "00001", "00002", "00003", "00004", "00005", "00006", "00007"]))
    init.wait_for("Enter it again: ")
    init.type(code.lower().replace("-", " "))
    assert init.end() == 0, init.seen
    assert PASSPHRASE not in init.seen
    assert "account ada is ready" in init.seen

    login = Terminal(person, "login", "--vault", "phone", *address, "--recovery-code")
    login.wait_for("Recovery code: ")
    login.type(code)
    login.wait_for("[y/N]: ")
    login.type("y")
    assert login.end() == 0, login.seen
    assert "this device may write" in login.seen


@pytest.mark.parametrize("answer", ["n", "\x03"])
def test_a_device_that_is_not_confirmed_stays_read_only(ada: Person, relay: RelayProcess, answer: str) -> None:
    vault = f"unsure-{ord(answer)}"
    login = Terminal(
        ada, "login", "--vault", vault, "--relay", relay.url, "--account", "ada", "--passphrase-file", "pw"
    )
    login.wait_for("[y/N]: ")
    login.type(answer)
    assert login.end() == (0 if answer == "n" else 130), login.seen
    assert ada.json("status", "--vault", vault)["writable"] is False


@pytest.mark.parametrize(
    ("options", "env"),
    [
        (("--passphrase-file", "pw"), {}),
        (("--passphrase-command", "cat pw"), {}),
        ((), {"STRONGROOM_PASSPHRASE": PASSPHRASE}),
        ((), {"STRONGROOM_PASSPHRASE_FILE": "pw"}),
        ((), {"STRONGROOM_PASSPHRASE_COMMAND": "sed -n 1p pw"}),
    ],
)
def test_every_source_of_a_passphrase(
    ada: Person, relay: RelayProcess, options: tuple[str, ...], env: dict[str, str], tmp_path: Path
) -> None:
    address = {"STRONGROOM_RELAY": relay.url, "STRONGROOM_ACCOUNT": "ada", "STRONGROOM_VAULT": str(tmp_path / "v")}
    assert ada.json("login", *options, env=env | address)["writable"] is False


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "a passphrase is needed"),
        (("--passphrase-file", "none"), "cannot be read"),
        (("--passphrase-command", "false"), "the passphrase command failed"),
        (("--passphrase-command", "no-such-command"), "the passphrase command failed"),
        (("--passphrase-command", 'echo "unbalanced'), "the passphrase command failed"),
        (("--recovery-code",), "no terminal"),
    ],
)
def test_a_source_that_gives_none_is_2(
    ada: Person, relay: RelayProcess, options: tuple[str, ...], message: str
) -> None:
    run = ada.run("login", "--vault", "none", "--relay", relay.url, "--account", "ada", *options, expect=2)
    assert message in run.err


@pytest.mark.parametrize(
    "weak",
    ["tulip", "12345678901234567890", "passwordpassword", "aaaaaaaaaaaaaaaa", "abcabcabcabc", "qwertyuiopasdfghjkl",
     "correct horse battery staple", "ada.lovelaceada.lovelace1", "1234 1234 1234", "93718264018"],
)  # fmt: skip
def test_a_weak_passphrase_is_refused_with_a_reason(weak: str) -> None:
    with pytest.raises(InvalidArgument, match=r"too short|too easy") as refused:
        require_strong(names.passphrase(weak), account="ada.lovelace")
    assert weak not in str(refused.value)
    assert "random words" in refused.value.hint


@pytest.mark.parametrize(
    "strong",
    [
        PASSPHRASE,
        "vK8-qm2f-Zt7c-xx",
        "ottobre lampada vino 7 sasso",
        "家は海の近くにあって静かだ",
        "83015927461038572946",
    ],
)
def test_an_ordinary_good_passphrase_is_taken(strong: str) -> None:
    require_strong(names.passphrase(strong), account="ada")


def test_init_refuses_a_weak_passphrase_before_anything_is_made(eve: Person) -> None:
    eve.write("weak", "password123\n")
    run = eve.run("init", "--vault", "v", "--relay", f"file://{eve.folder}/store", "--account", "eve",
                  "--passphrase-file", "weak", "--recovery-code-out", "code", expect=2)  # fmt: skip
    assert "too short" in run.err
    assert files(eve.folder).keys() == {"pw", "weak"}


def test_argon2_runs_once_in_a_login_that_is_confirmed(ada: Person, relay: RelayProcess) -> None:
    count = (
        "import strongroom_protocol.keys.slots as s, sys; h = s.hash_secret_raw;"
        "s.hash_secret_raw = lambda *a, **k: (sys.stderr.write('ARGON2\\n'), h(*a, **k))[1]"
    )
    login = ("login", "--vault", "once", "--relay", relay.url, "--account", "ada", "--passphrase-file", "pw")
    run = ada.run(*login, tweak=count)
    assert run.err.count("ARGON2") == 1
    run = ada.run(*login, "--confirm-devices", tweak=count)
    assert run.err.count("ARGON2") == 1


PLACES = [
    "strongroom.session.Session.sync",
    "strongroom.state.State.put",
    "strongroom.transport.http.HttpTransport.head",
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("debug", ["", "1"])
def test_attack_099_an_unforeseen_error_shows_no_secret_and_no_text(
    ada: Person, relay: RelayProcess, place: str, debug: str
) -> None:
    """The exception's message and its frames hold the canary, the passphrase and the code; the output holds none."""
    module, owner, name = place.rsplit(".", 2)
    code = (ada.folder / "code-ada").read_text().strip()
    force = (
        f"import {module} as m, atexit\n"
        f"def fail(*a, **k): raise KeyError('CANARY {PASSPHRASE} {code}')\n"
        f"m.{owner}.{name} = fail"
    )
    vault = f"crash-{debug}-{name}"
    runs = [
        ada.run("login", "--vault", vault, "--relay", relay.url, "--account", "ada", *secret, tweak=force, expect=1,
                env={"STRONGROOM_DEBUG": debug})
        for secret in (("--passphrase-file", "pw"), ("--recovery-code-file", "code-ada"))
    ]  # fmt: skip
    if name != "put":
        runs.append(ada.run("show", "Family", "--vault", "vault", "--json", tweak=force, expect=1))
        assert runs[-1].data["error"] == "InternalError"
    for run in runs:
        assert "internal error: KeyError at" in run.err
        for secret in ("CANARY", PASSPHRASE, code, "Dinner"):
            assert secret not in run.out + run.err
    assert ("    <string>:2 fail" in runs[0].err) == bool(debug)
    assert "STRONGROOM_DEBUG=1" in runs[0].err


def test_attack_099_no_file_of_a_vault_is_for_others_and_no_core_is_written(
    relay: RelayProcess, tmp_path: Path
) -> None:
    person = Person(tmp_path)
    loose = "import os; os.umask(0)"
    cores = "import atexit, resource; atexit.register(lambda: print(resource.getrlimit(resource.RLIMIT_CORE)[0]))"
    address = ("--relay", relay.url, "--account", "private", "--passphrase-file", "pw", "--recovery-code-out", "code")
    run = person.run("init", "--vault", "vault", *address, tweak=f"{loose}\n{cores}")
    assert run.out.splitlines()[-1] == "0"
    person.write("c.jsonl", '{"type":"message","conversation":"c","time":1,"text":"x"}\n')
    for verb in (("import", "c.jsonl"), ("restore",), ("export", "out")):
        person.run(*verb, "--vault", "vault", tweak=loose)
    found = [person.folder / "code", *(person.folder / "vault").rglob("*"), *(person.folder / "out").rglob("*")]
    assert len(found) > 5
    for path in [person.folder / "vault", *found]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_attack_099_no_option_takes_a_secret_itself() -> None:
    """What is in argv can be seen by everybody on the machine: options name files and commands, or ask."""
    import click

    from strongroom.cli.main import VERBS, load

    options = {
        name
        for verb in VERBS
        for called in (load(verb), *getattr(load(verb), "commands", {}).values())
        for parameter in called.params
        if isinstance(parameter, click.Option) and not parameter.is_flag
        for name in parameter.opts
    }
    secret = {name for name in options if "passphrase" in name or "recovery" in name or "code" in name}
    assert secret == {
        "--passphrase-file", "--passphrase-command", "--new-passphrase-file", "--new-passphrase-command",
        "--recovery-code-file", "--recovery-code-out", "--link-code-file", "--code-out",
    }  # fmt: skip
