"""The runner of the benchmarks: every row gives figures, a missing peer fails rows, verdicts follow the budgets."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

import report
import run
from bench import chart, curves, peers, scaling
from bench.app_data import SIZES, AppData
from bench.budgets import BUDGETS
from bench.results import OURS, Among, Measure, Results

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
KEYS = {measure.key for measure in BUDGETS}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One run of all rows at a tiny size, ours alone."""
    folder = tmp_path_factory.mktemp("run")
    command = [sys.executable, str(BENCHMARKS / "run.py"), "--size", "tiny", "--alone", "--rounds", "1"]
    done = subprocess.run(
        [*command, "--commits", "3", "--quick", "--cache", str(folder), "--out", str(folder / "tiny.json")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [path.name for path in folder.glob("run-*")] == []
    found: dict[str, Any] = json.loads((folder / "tiny.json").read_text(encoding="utf-8"))
    return found


def test_every_row_yields_figures(tiny: dict[str, Any]) -> None:
    found = {item["key"]: item for item in tiny["measures"]}
    assert set(found) >= KEYS | {measure.key for measure in scaling.BUDGETS if measure.key.endswith("_100k")}
    for item in found.values():
        assert item["failures"] == {}
        assert all(value >= 0 for value in item["samples"][OURS])
        assert item["verdict"] in ("met", "missed", "reported")
    for key in ("first_backup", "at_rest", "commit_bytes", "screen_bytes", "last50_bytes", "media_file", "restore"):
        assert found[key]["medians"][OURS] > 0
    assert found["flip"]["medians"][OURS] <= 1


def test_the_machine_is_described(tiny: dict[str, Any]) -> None:
    machine = tiny["machine"]
    assert machine["cores"] >= 1
    assert machine["libraries"]["cryptography"]
    assert tiny["memory_mb"][OURS]["first backup"] > 5


def test_the_report_shows_every_measure_and_every_miss(tiny: dict[str, Any]) -> None:
    missed = {item["key"] for item in tiny["measures"] if item["verdict"] == "missed"}
    page = report.report([tiny], {key: {"why": f"because of {key}"} for key in missed})
    for item in tiny["measures"]:
        assert f"| {item['what']}" in page
    for key in missed:
        assert f"because of {key}" in page
    assert "FAILED**" not in page.partition("## How")[0]


def test_the_picture_is_svg_with_a_bar_for_every_verdict(tiny: dict[str, Any]) -> None:
    picture = ElementTree.fromstring(chart.draw(tiny))  # noqa: S314 - made two lines above
    texts = ["".join(text.itertext()) for text in picture.iter("{http://www.w3.org/2000/svg}text")]
    judged = [item["what"] for item in tiny["measures"] if item["verdict"] != "reported" and not item["at"]]
    assert set(judged) <= set(texts)
    assert len(list(picture.iter("{http://www.w3.org/2000/svg}rect"))) == len(judged) + 1


def scaled(**values: float) -> dict[str, Any]:
    """A kept run with a series of one measure that must stay below 100."""
    results = Results({f"k_{at}": Measure(f"k_{at}", "the thing", "MB", most=100, at=at) for at in values}, (), (), 0.0)
    for at, value in values.items():
        results.add(f"k_{at}", OURS, value)
    kept = {"size": "L", "messages": 10_000_000, "conversations": 5_000, "media_bytes": 0, "media_files": 0}
    return kept | {"measures": results.to_dict()}


def test_a_series_is_one_row_and_misses_where_one_of_its_points_does() -> None:
    page = "\n".join(report._scaling("L", curves.series_of(scaled(**{"100k": 10, "1M": 90, "10M": 101}))))
    assert "| what | 100k | 1M | 10M | budget | |" in page
    assert "| the thing | 10 MB | 90 MB | 101 MB | at most 100 MB | **missed** |" in page


def test_a_missed_point_of_a_series_has_the_reason_of_the_series_or_its_own() -> None:
    measures = scaled(**{"1M": 120, "10M": 101})["measures"]
    lines = "\n".join(report._misses("L", measures, {"k": {"why": "of all"}, "k_10M": {"why": "its own"}}))
    assert "**the thing, 1M**: 120 MB, budget at most 100 MB. of all" in lines
    assert "**the thing, 10M**: 101 MB, budget at most 100 MB. its own" in lines


def test_a_curve_rises_with_its_figure_and_has_its_budget_as_a_dashed_line() -> None:
    picture = ElementTree.fromstring(curves.draw(scaled(**{"100k": 10, "1M": 90, "10M": 101})))  # noqa: S314 - as above
    tag = "{http://www.w3.org/2000/svg}"
    heights = [float(circle.attrib["cy"]) for circle in picture.iter(f"{tag}circle")]
    (dashed,) = [line for line in picture.iter(f"{tag}line") if "stroke-dasharray" in line.attrib]
    assert heights == sorted(heights, reverse=True)  # downwards is more
    assert heights[1] > float(dashed.attrib["y1"]) > heights[2]
    assert [circle.attrib["class"] for circle in picture.iter(f"{tag}circle")] == ["met", "met", "missed"]


def test_a_missing_peer_fails_its_rows_and_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(peers, "CACHE", tmp_path)
    data = AppData(tmp_path / "data", SIZES["tiny"])
    data.media.mkdir(parents=True)
    results = run.run(data, tmp_path, rows=[], rounds=1, commits=1, alone=False)
    results.add("first_backup", OURS, 1.0)
    found = {item["key"]: item for item in results.to_dict()}
    assert found["first_backup"]["verdict"] == "failed"
    assert "apt-get install restic" in found["first_backup"]["failures"]["restic"]
    assert set(found) == {measure.key for measure in BUDGETS if measure.versus}
    assert capsys.readouterr().err.count("is missing") == len(peers.PEERS)


def judged(measure: Measure, **samples: list[float]) -> dict[str, Any]:
    results = Results({measure.key: measure}, ("a", "b"), ("a",), 0.2)
    for subject, values in samples.items():
        results.add(measure.key, OURS if subject == "own" else subject, *values)
    return results.to_dict()[0]


@pytest.mark.parametrize(
    ("measure", "own", "verdict"),
    [
        (Measure("k", "w", "s", most=2), [1, 2, 9], "met"),
        (Measure("k", "w", "s", most=2), [1, 2.1, 9], "missed"),
        (Measure("k", "w", "s", most=2, worst=True), [1, 2, 9], "missed"),
        (Measure("k", "w", "s", most=10, per_gb=True), [2], "met"),
        (Measure("k", "w", "s", most=10, per_gb=True), [2.1], "missed"),
        (Measure("k", "w", "s", least=5), [5], "met"),
        (Measure("k", "w", "s", least=5), [4], "missed"),
        (Measure("k", "w", "s", times=1.5), [3], "met"),  # b has 2
        (Measure("k", "w", "s", times=1.5), [3.1], "missed"),
        (Measure("k", "w", "s", times=1.5, among=Among.DEDUPLICATING), [5.9], "met"),  # a has 4
        (Measure("k", "w", "s", share=0.8), [3.2], "met"),
        (Measure("k", "w", "s", share=0.8), [3.1], "missed"),
        (Measure("k", "w", "s"), [3], "reported"),
        (Measure("k", "w", "s", versus=True), [], "failed"),
    ],
)
def test_verdicts(measure: Measure, own: list[float], verdict: str) -> None:
    assert judged(measure, own=own, a=[4, 4, 4], b=[2, 1, 9])["verdict"] == verdict


def test_a_failed_row_is_listed_with_its_reason() -> None:
    results = Results({"k": Measure("k", "the thing", "s", most=1, versus=True)}, ("a",), (), 1.0)
    results.add("k", OURS, 0.5)
    results.fail(("k",), "a", "not installed: apt-get install a")
    (item,) = results.to_dict()
    assert item["verdict"] == "failed"
    assert "apt-get install a" in "\n".join(report._misses("S", [item], {}))


def test_a_miss_without_a_reason_says_so() -> None:
    item = judged(Measure("k", "the thing", "s", most=1), own=[2])
    assert "No reason is written down yet." in "\n".join(report._misses("S", [item], {}))
    assert "only at M" in "\n".join(report._misses("M", [item], {"k": {"why": "always", "M": "only at M"}}))


def test_reasons_are_of_measures_that_exist() -> None:
    reasons = tomllib.loads((BENCHMARKS / "reasons.toml").read_text(encoding="utf-8"))
    series = {measure.key.removesuffix(f"_{measure.at}") for measure in scaling.BUDGETS}
    assert set(reasons) <= KEYS | series | {measure.key for measure in scaling.BUDGETS}
    assert all(set(reason) <= {"why", *SIZES} for reason in reasons.values())
