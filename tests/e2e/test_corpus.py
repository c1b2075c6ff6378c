"""Real chats all the way: in, to a relay or a folder, onto a fresh device, out again, byte for byte.

By default the sample that the repository ships; with STRONGROOM_CORPUS the whole #ubuntu corpus, whose numbers are
known from counting its lines: 222,180 message lines and 25,783 system lines in 173 files.
"""

from __future__ import annotations

import base64
import filecmp
import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relay_process import RelayProcess

SAMPLE = Path(__file__).resolve().parents[2] / "samples" / "irc-ubuntu"
CORPUS = os.environ.get("STRONGROOM_CORPUS")
SOURCE = Path(CORPUS) if CORPUS else SAMPLE
WHOLE = {"files": 173, "messages": 222_180, "system": 25_783}


def logs() -> list[Path]:
    return sorted(SOURCE.rglob("*.raw.txt"))


def counted() -> Counter[str]:
    """What the logs hold, by the first characters of each line alone."""
    lines = [line for path in logs() for line in path.read_bytes().splitlines(keepends=True)]
    system = sum(line.startswith(b"=== ") for line in lines)
    return Counter(files=len(logs()), system=system, messages=len(lines) - system)


def strongroom(folder: Path, *arguments: str, expect: int = 0) -> dict[str, Any]:
    command = [sys.executable, "-m", "strongroom.cli.main", *arguments, "--json"]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == expect, run.stdout + run.stderr
    answer: dict[str, Any] = json.loads(run.stdout)
    return answer


@pytest.fixture(params=["http", "file"])
def relay(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """A relay's address, and what registration needs."""
    if request.param == "file":
        yield f"file://{tmp_path}/vault", []
        return
    with RelayProcess(tmp_path / "relay") as process:
        yield process.url, ["--registration-token", process.token or ""]


def test_the_whole_corpus_is_counted_when_it_is_there() -> None:
    if CORPUS is None:
        pytest.skip("STRONGROOM_CORPUS names the folder of the whole corpus; the sample's counts are tested below")
    assert counted() == WHOLE


def test_real_chats_go_in_and_come_back(relay: tuple[str, list[str]], tmp_path: Path) -> None:
    url, registration = relay
    (tmp_path / "pw").write_text("six old letters in a tin box\n")
    account = ["--relay", url, "--account", "ada"]
    secret = ["--passphrase-file", "pw"]
    strongroom(tmp_path, "init", "--vault", "a", *account, *secret, *registration, "--recovery-code-out", "code")
    added = strongroom(tmp_path, "import", str(SOURCE), "--vault", "a", "--chat", "irc:ubuntu")
    expected = counted()
    kinds = Counter(added["report"]["kinds"])
    assert kinds.pop("system") == expected["system"]
    assert sum(kinds.values()) == expected["messages"]
    assert added["report"]["not_understood"] == 0
    again = strongroom(tmp_path, "import", str(SOURCE), "--vault", "a", "--chat", "irc:ubuntu")
    assert (again["added"], again["commits"]) == (0, 0)

    fresh = strongroom(tmp_path, "login", "--vault", "b", *account, *secret)
    assert (fresh["writable"], fresh["freshness"]) == (False, "unproven")
    strongroom(tmp_path, "login", "--vault", "c", *account, "--recovery-code-file", "code")
    for device in "bc":
        restored = strongroom(tmp_path, "restore", "--vault", device)
        assert (restored["damaged"], restored["records"]) == ({}, added["added"])
    for device in "abc":
        strongroom(tmp_path, "export", f"export-{device}", "--format", "json", "--vault", device)
    for device in "bc":
        same_tree(tmp_path / "export-a", tmp_path / f"export-{device}")
    compare_records(tmp_path / "export-c")


def same_tree(left: Path, right: Path) -> None:
    """Both folders have the same files with the same bytes."""
    names = [{str(path.relative_to(top)) for path in top.rglob("*") if path.is_file()} for top in (left, right)]
    assert names[0] == names[1]
    assert names[0]
    _, different, failed = filecmp.cmpfiles(left, right, sorted(names[0]), shallow=False)
    assert (different, failed) == ([], [])


def compare_records(export: Path) -> None:
    """The source records of the export are the lines of the logs, byte for byte, and every file's are all there."""
    records: Counter[bytes] = Counter()
    hashes: set[str] = set()
    for path in (export / "chats").glob("*.jsonl"):
        for line in path.read_bytes().splitlines():
            record = json.loads(line)
            if record["type"] == "source":
                hashes.add(record["sha256"])
            elif record["type"] == "message":
                raw = record["raw"].encode() if "raw" in record else base64.b64decode(record["raw_b64"])
                records[raw] += 1
    wanted = Counter(line for path in logs() for line in path.read_bytes().splitlines(keepends=True))
    assert records == wanted
    assert hashes == {hashlib.sha256(path.read_bytes()).hexdigest() for path in logs()}
