"""The storage-engine model: its sizes, its merges, and the counted bounds at S. Counts only, no timing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

MIB = 1024 * 1024
BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def load(monkeypatch: pytest.MonkeyPatch, name: str) -> ModuleType:
    """A module of the model, which runs as a script and so imports its neighbours by their bare names."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return __import__(name)


@pytest.fixture(scope="module")
def small() -> dict[str, Any]:
    """The model's report for S."""
    command = [sys.executable, str(BENCHMARKS / "engine_model.py"), "--sizes", "S", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["ok"] == (done.returncode == 0)
    return report


def rows(report: dict[str, Any], structure: str) -> list[dict[str, Any]]:
    return [row for row in report["rows"] if row["structure"] == structure]


def test_every_configuration_of_s_is_reported_for_every_structure(small: dict[str, Any]) -> None:
    found = {(r["structure"], r["conversations"], r["bulk"]) for r in small["rows"]}
    assert found == {(s, c, b) for s in "ABC" for c in (200, 5000) for b in (False, True)}


def test_the_chosen_structure_meets_every_bound_at_s(small: dict[str, Any]) -> None:
    for row in rows(small, "C"):
        assert row["misses"] == []
        assert row["batch_median"] <= 6 * 1024
        assert row["head_median"] <= 2 * 1024
        assert row["fold_largest"] <= 256 * 1024
        assert row["rewrites"] <= 5
        assert row["garbage"] <= 0.3
        assert row["runs"] <= 40
        assert row["screen"] <= 1024 * 1024
        assert row["screen_rounds"] <= 12
        assert row["chat_median"] <= 32 * 1024
        assert row["chat_worst"] <= 32 * 1024
        assert row["chat_rounds_median"] <= 2
    assert all(spread["ok"] for spread in small["spread"])


def test_the_first_backup_of_s_is_small_before_and_after_compaction(small: dict[str, Any]) -> None:
    (row,) = [r for r in rows(small, "C") if r["bulk"] and r["conversations"] == 200]
    assert 30 < row["first_per_message"] <= 40.0
    assert 30 < row["first_compacted_per_message"] <= 36.7
    assert row["first_compacted_per_message"] < row["first_per_message"]


def test_the_rejected_structures_miss_what_they_were_rejected_for(small: dict[str, Any]) -> None:
    assert all({"fold", "rewrites"} <= set(row["misses"]) for row in rows(small, "A"))
    assert all({"chat", "chat rounds"} <= set(row["misses"]) for row in rows(small, "B"))


def test_the_same_seed_counts_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    simulation = load(monkeypatch, "engine_simulation")
    costs = load(monkeypatch, "engine_costs")
    first, second, other = (simulation.simulate("S", 200, True, costs.Params(), seed) for seed in (3, 3, 4))
    assert first == second
    assert first != other


@pytest.mark.parametrize(
    ("size", "padded"),
    [(1, 64), (64, 64), (65, 72), (100, 104), (1000, 1024), (5377, 5632), (65537, 67584), (1048576, 1048576)],
)
def test_padme_by_hand(monkeypatch: pytest.MonkeyPatch, size: int, padded: int) -> None:
    costs = load(monkeypatch, "engine_costs")
    assert costs.padme(size, 64) == padded


def test_padme_of_an_array_is_padme_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    costs = load(monkeypatch, "engine_costs")
    powers = [2**k + d for k in range(2, 40) for d in (-1, 0, 1)]
    sizes = np.array([*range(1, 5000), *powers])
    padded = costs.padme_array(sizes, 64)
    assert padded.tolist() == [costs.padme(int(n), 64) for n in sizes]
    assert (padded >= sizes).all()
    big = sizes > 64
    assert (padded[big] <= sizes[big] * 1.12 + 1).all()


@pytest.mark.parametrize(("fan_in", "tail"), [(8, 32), (4, 16)])
def test_no_message_and_no_operation_is_lost_or_doubled(
    monkeypatch: pytest.MonkeyPatch, fan_in: int, tail: int
) -> None:
    costs = load(monkeypatch, "engine_costs")
    traffic = load(monkeypatch, "engine_traffic").Traffic(500, 7)
    engine = load(monkeypatch, "engine_structures").Engine(500, costs.Params(fan_in=fan_in, tail=tail))
    engine.bulk(traffic.messages(20_000))
    sent = 0
    for number in range(150):
        convs = traffic.messages(tail * 100)
        near, far = traffic.operations(convs)
        sent += int(near.sum()) + len(far.conv)
        engine.fold(convs, near, far)
        engine.compact()
        if number in (70, 149):
            engine.compact_all()
        _check(engine, traffic.totals)
    held = sum(int(run.frames.ops.sum()) + len(run.far.conv) for run in engine.runs)
    assert 0.9 * sent <= held <= sent  # cutting a frame rounds the operations it carries down


def _check(engine: Any, totals: Any) -> None:
    """The frames of all runs together cover each conversation's messages exactly once, and segments add up."""
    frames = type(engine.runs[0].frames).join([run.frames for run in engine.runs])
    assert (np.bincount(frames.conv, frames.rows, len(totals)) == totals).all()
    same = frames.conv[1:] == frames.conv[:-1]
    assert (frames.pos[1:][same] == (frames.pos + frames.rows)[:-1][same]).all()
    assert (frames.pos[1:][~same] == 0).all()
    assert (frames.rows > 0).all()
    assert (frames.rows <= engine.p.frame_rows).all()
    for run in engine.runs:
        assert (run.frames.rows[run.newest[run.newest >= 0]] <= engine.p.newest_rows).all()
        for segment, live in run.live().items():
            assert 0 < live <= engine.segments.payload[segment] <= engine.segments.padded[segment]
            assert engine.segments.padded[segment] <= MIB
    used = [segment for run in engine.runs for segment in run.segments.tolist()]
    assert sorted(used) == sorted(engine.segments.payload)
