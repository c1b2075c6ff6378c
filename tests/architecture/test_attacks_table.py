"""docs/attacks.md against the tests and the specification: what it names exists, and nothing is missing in it."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import pytest

from architecture.test_requirements import stated

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "attacks.md"
COLUMNS = 7
_NUMBERS = re.compile(r"test_attack_((?:\d{3}_)+)")


@dataclass(frozen=True, slots=True)
class Case:
    """A row of the page."""

    number: str
    name: str
    against: str
    requirements: tuple[str, ...]
    tests: tuple[str, ...]
    status: str


@cache
def cases() -> tuple[Case, ...]:
    rows = [line for line in PAGE.read_text().splitlines() if re.match(r"\| \d{3} \|", line)]
    found = []
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert len(cells) == COLUMNS, row
        number, name, _, against, requirements, tests, status = cells
        patterns = tuple(re.findall(r"`([^`]+)`", tests))
        found.append(Case(number, name, against, tuple(requirements.split()), patterns, status))
    return tuple(found)


@cache
def every_test() -> tuple[str, ...]:
    """Every test function as `file::name`, below tests/."""
    return tuple(
        f"{path.relative_to(ROOT / 'tests').as_posix()}::{node.name}"
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_")
    )


def matching(pattern: str) -> list[str]:
    return [test for test in every_test() if fnmatchcase(test, pattern)]


def numbers(test: str) -> list[str]:
    """The cases that a test's name claims, and none for other tests."""
    found = _NUMBERS.match(test.split("::")[1])
    return found[1].strip("_").split("_") if found else []


def test_each_case_stands_once_and_in_order() -> None:
    listed = [case.number for case in cases()]
    assert listed == sorted(set(listed))
    assert len(listed) > 80


def test_every_status_is_one_of_the_four() -> None:
    for case in cases():
        assert case.status.split(":")[0] in ("closed", "limit", "none", "open"), case
        assert case.status in ("closed", "limit") or ": " in case.status, f"{case.number}: without a reason"


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.number)
def test_what_a_case_names_exists(case: Case) -> None:
    """Of an open case the tests need not be there yet; a limit quotes the sentence of the threat model."""
    if case.status in ("closed", "limit"):
        assert case.tests, "closed without a test"
        for pattern in case.tests:
            assert matching(pattern), pattern
        assert any(case.number in numbers(test) for pattern in case.tests for test in matching(pattern)), (
            "no test has the number of the case"
        )
    assert case.requirements, "no requirement"
    assert set(case.requirements) <= set(stated())
    if case.status == "limit":
        sentences = re.findall(r'"([^"]+)"', case.against)
        assert sentences, "a limit quotes the sentence that says so"
        told = " ".join((ROOT / "spec" / "00-promises.md").read_text().split())
        assert all(sentence in told for sentence in sentences)


def test_every_test_of_an_attack_is_in_the_row_of_each_of_its_numbers() -> None:
    """A test that is named after several cases must be found from each of them."""
    rows = {case.number: case for case in cases()}
    missing = [
        (number, test)
        for test in every_test()
        for number in numbers(test)
        if number not in rows or not any(fnmatchcase(test, pattern) for pattern in rows[number].tests)
    ]
    assert missing == []
