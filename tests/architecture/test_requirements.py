"""Every requirement id is stated once in the spec, cited at its check and at a test."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import mutants

ROOT = Path(__file__).resolve().parents[2]
_STATED = re.compile(r"^(?:[-*] )?\*\*([A-Z][A-Z0-9]*-\d+)\*\*", re.MULTILINE)


def stated() -> Counter[str]:
    return Counter(
        ident for path in sorted((ROOT / "spec").glob("*.md")) for ident in _STATED.findall(path.read_text())
    )


def cited_in_code() -> set[str]:
    return {ident for ident, _, _ in mutants.citations(ROOT)}


def cited_in_tests() -> set[str]:
    found: set[str] = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "spec":
                found |= {str(arg.value) for arg in node.args if isinstance(arg, ast.Constant)}
    return found


def test_every_id_is_stated_once() -> None:
    assert [ident for ident, count in stated().items() if count > 1] == []


def test_every_stated_id_is_cited_in_code_and_the_other_way_round() -> None:
    assert sorted(set(stated()) - cited_in_code()) == []
    assert sorted(cited_in_code() - set(stated())) == []


def test_every_stated_id_is_cited_in_a_test_and_the_other_way_round() -> None:
    assert sorted(set(stated()) - cited_in_tests()) == []
    assert sorted(cited_in_tests() - set(stated())) == []


def test_every_citation_has_a_mutant() -> None:
    assert len(mutants.mutants(ROOT)) >= len(cited_in_code())
