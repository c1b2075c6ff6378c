"""Our client, through its command line, against the malicious relay: a stated share of the scenarios.

`make conformance` runs all of them; here it is part K of N, by STRONGROOM_CONFORMANCE=K/N.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from conformance_client.conftest import ADAPTER
from strongroom_conformance.cli import chosen, known_failures
from strongroom_conformance.judge import unlike
from strongroom_conformance.runner import Report, Runner
from strongroom_conformance.scenarios import ALL
from strongroom_conformance.world import World

SLICE = os.environ.get("STRONGROOM_CONFORMANCE", "1/20")
ATTACKS = {
    1, 2, 3, 5, 6, 10, 18, 19, 21, 22, 30, 35, 36, 37, 38, 39, 40, 41, 43, 44, 45, 46, 47, 51, 52, 56, 61, 62, 92, 93,
}  # fmt: skip
"""Cases of docs/attacks.md that a malicious relay alone can run against a client's command line."""


def test_our_client_stands_its_share_of_the_scenarios(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    share = chosen([], SLICE)
    known = known_failures(ADAPTER.with_suffix(".known"))
    lines: list[str] = []
    report = Report(Runner(world, lines.append).run(share, known), known)
    alike = unlike(report.verdicts, {item.name: item.expected.alike for item in share})
    with capsys.disabled():
        print(f"\nconformance: {len(share)} of {len(ALL)} scenarios (part {SLICE}; make conformance runs all)")
    assert [verdict.name for verdict in report.unexpected] == [], "\n".join(lines)
    assert [(verdict.name, fault) for verdict, fault in alike] == []


def test_every_attack_of_a_relay_has_a_scenario() -> None:
    assert {number for item in ALL for number in item.attacks} >= ATTACKS
    assert len(ALL) >= 30


def test_the_slices_are_all_of_them_and_each_once() -> None:
    parts = [item.name for part in range(1, 6) for item in chosen([], f"{part}/5")]
    assert sorted(parts) == sorted(item.name for item in ALL)


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "x/2", "1/"])
def test_a_slice_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="slice"):
        chosen([], text)


def test_known_failures_name_scenarios(tmp_path: Path) -> None:
    file = tmp_path / "known"
    file.write_text("# a remark\n\nhead-bit # why\n")
    assert known_failures(file) == {"head-bit": "why"}
    file.write_text("no-such-scenario\n")
    with pytest.raises(ValueError, match="no-such-scenario"):
        known_failures(file)
