"""Verdicts on made-up runs, and how a client's process is watched."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from strongroom_conformance.client import KILLED, Client, Outcome, Secrets
from strongroom_conformance.judge import Remembered, Verdict, judge, unlike
from strongroom_conformance.runner import Report
from strongroom_conformance.scenario import Expected, refusal

PIN = {"version": 8, "head": "aa", "keyring_version": 3, "keyring": "bb"}
SAME = Remembered(Outcome(0, PIN), Outcome(0, PIN))
SHOWN = [["chat", "m1", "text"]]


def _log(*shapes: str) -> list[dict[str, Any]]:
    """Requests of which the first is lied to."""
    return [{"shape": shape, "sent": 10, "rule": "" if place else "flip"} for place, shape in enumerate(shapes)]


def test_a_refusal_as_it_should_be_has_no_faults() -> None:
    assert judge(refusal(), Outcome(13), SAME, _log("GET head", "GET heads")) == []


@pytest.mark.parametrize(
    ("expected", "outcome", "known", "log", "word"),
    [
        (refusal(), Outcome(0), SAME, _log("GET head"), "exit 0 instead of 13"),
        (refusal(), Outcome(KILLED), SAME, _log("GET head"), "did not end"),
        (refusal(), Outcome(13, memory=513), SAME, _log("GET head"), "513 MiB"),
        (refusal(requests=1), Outcome(13), SAME, _log("GET head", "GET heads", "GET head"), "2 requests"),
        (refusal(), Outcome(13), SAME, _log("GET head", "PUT objects"), "asked PUT objects"),
        (refusal(), Outcome(13), SAME, _log("GET head", "POST commit"), "asked POST commit"),
        (refusal(only=()), Outcome(13), SAME, _log("POST login", "POST unlock"), "asked POST unlock"),
        (refusal(), Outcome(13), replace(SAME, after=Outcome(0, PIN | {"head": "cc"})), _log("GET head"), "moved"),
        (refusal(), Outcome(13), replace(SAME, after=Outcome(0, PIN | {"keyring": "c"})), _log("GET head"), "moved"),
        (refusal(), Outcome(13), replace(SAME, after=Outcome(10)), _log("GET head"), "status ended 10"),
        (refusal(pin="none"), Outcome(13), SAME, _log("GET head"), "a vault is there"),
        (refusal(pin="moved"), Outcome(13), SAME, _log("GET head"), "did not move"),
        (refusal(messages=SHOWN), Outcome(13), SAME, _log("GET head"), "shows 0 messages"),
        (Expected(frozenset({3}), subset=[]), Outcome(3, {"messages": SHOWN}), SAME, _log("GET head"), "none of the"),
        (Expected(frozenset({3}), least=1), Outcome(3), SAME, _log("GET head"), "instead of at least 1"),
    ],
)  # fmt: skip
def test_each_fault_is_seen(
    expected: Expected, outcome: Outcome, known: Remembered, log: list[dict[str, Any]], word: str
) -> None:
    (fault,) = judge(expected, outcome, known, log)
    assert word in fault


def test_requests_before_the_lie_do_not_count() -> None:
    log = [{"shape": "POST commit", "sent": 1, "rule": ""}, *_log("GET head")]
    assert judge(refusal(requests=0), Outcome(13), SAME, log) == []


def test_other_requests_than_in_the_first_of_a_group_are_an_oracle() -> None:
    verdicts = [
        Verdict("first", trace=[("POST unlock", 100)]), Verdict("same", trace=[("POST unlock", 100)]),
        Verdict("longer", trace=[("POST unlock", 101)]), Verdict("more", trace=[("POST unlock", 100)] * 2),
        Verdict("alone", trace=[]),
    ]  # fmt: skip
    groups = {"first": "unlock", "same": "unlock", "longer": "unlock", "more": "unlock"}
    assert [verdict.name for verdict, _ in unlike(verdicts, groups)] == ["longer", "more"]


def test_a_known_failure_that_passes_is_not_as_expected() -> None:
    good, bad, mended, known = (
        Verdict("good"),
        Verdict("bad", ["fault"]),
        Verdict("mended"),
        Verdict("known", ["fault"]),
    )
    report = Report([good, bad, mended, known], {"mended": "was broken", "known": "is broken"})
    assert [verdict.name for verdict in report.unexpected] == ["bad", "mended"]


def _run(script: str, tmp_path: Path, seconds: float = 30) -> Outcome:
    client = Client([sys.executable, "-c", script])
    return client.run("status", relay="", vault=tmp_path, secrets=Secrets("a", "b"), text="given", seconds=seconds)


def test_what_a_client_says_and_how_it_ends(tmp_path: Path) -> None:
    outcome = _run("import sys; print('noise'); print('{\"version\": 3}'); sys.exit(13)", tmp_path)
    assert (outcome.exit, outcome.said) == (13, {"version": 3})
    assert _run("print(open(0).read())", tmp_path).complaint.startswith("no JSON")
    assert _run("print('[]')", tmp_path).complaint.endswith("no object")


def test_memory_is_that_of_the_client_and_what_it_starts(tmp_path: Path) -> None:
    hungry = "b = bytearray(200 << 20); print('{}')"
    assert _run(hungry, tmp_path).memory >= 200
    assert _run(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hungry!r}])", tmp_path).memory >= 200
    assert _run("print('{}')", tmp_path).memory < 100  # not that of this process, however much that has had


def test_a_client_that_does_not_end_is_ended_with_all_it_started(tmp_path: Path) -> None:
    started = tmp_path / "started"
    script = (
        f"import subprocess, sys\nchild = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(started)!r}, 'w').write(str(child.pid))\nchild.wait()"
    )
    assert _run(script, tmp_path, seconds=3).exit == KILLED
    child = Path(f"/proc/{started.read_text()}/stat")
    deadline = time.monotonic() + 10  # the signal is sent when `run` returns; dying takes the kernel a moment
    while _runs(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _runs(child)


def _runs(stat: Path) -> bool:
    try:
        return stat.read_text().split()[2] != "Z"
    except OSError:  # gone, before or while it was read
        return False
