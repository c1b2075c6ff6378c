"""Remove the check behind each requirement id and see that a test which cites the id fails.

    python tools/mutants.py [--ids KR-4 OBJ-8 …] [--slice K/N] [--jobs J]

A check is an `if` (or a statement) that carries `# spec: ID`. The mutant of an `if` never takes its branch; the mutant
of another statement comes from tests/mutants.toml, which says what it becomes. Exit 0 when every mutant is killed.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT = 300
"""Seconds for the tests of one mutant."""

PACKAGES = ("protocol/strongroom_protocol", "client/strongroom", "server/strongroom_relay")
_CITED = re.compile(r"# spec:((?: [A-Z0-9]+-\d+)+)")


@dataclass(frozen=True, slots=True)
class Mutant:
    """One weakened file: requirement id, file (relative), line, the whole mutated source."""

    ident: str
    path: str
    line: int
    source: str


def citations(root: Path = ROOT) -> Iterator[tuple[str, Path, int]]:
    """(id, file, line) of every citation in the packages."""
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            for number, line in enumerate(path.read_text().splitlines(), 1):
                found = _CITED.search(line)
                if found:
                    for ident in found.group(1).split():
                        yield ident, path, number


def mutants(root: Path = ROOT, ids: list[str] | None = None) -> list[Mutant]:
    """All mutants (of `ids`), in order of id and place. Raises ValueError for a citation that nothing mutates."""
    explicit = tomllib.loads((root / "tests" / "mutants.toml").read_text())
    found = []
    for ident, path, line in citations(root):
        if ids and ident not in ids:
            continue
        source = path.read_text()
        relative = str(path.relative_to(root))
        branch = _branch_at(source, line)
        if branch is not None:
            found.append(Mutant(ident, relative, line, _without_branch(source, branch)))
            continue
        rules = [rule for rule in explicit.get(ident, []) if rule["file"] == relative]
        used = [rule for rule in rules if rule["find"] in source.splitlines()[line - 1]]
        if not used:
            raise ValueError(f"{relative}:{line}: {ident} is not an if and tests/mutants.toml says nothing about it")
        found += [Mutant(ident, relative, line, _replaced(source, line, rule)) for rule in used]
    return sorted(found, key=lambda mutant: (mutant.ident, mutant.path, mutant.line))


def _branch_at(source: str, line: int) -> ast.If | None:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.If) and node.lineno <= line < node.body[0].lineno:
            return node
        if isinstance(node, ast.If) and node.lineno == line:
            return node
    return None


def _without_branch(source: str, node: ast.If) -> str:
    lines = source.splitlines(keepends=True)
    first, last = node.test.lineno - 1, (node.test.end_lineno or node.test.lineno) - 1
    start, end = node.test.col_offset, node.test.end_col_offset or 0
    head = lines[first].encode()[:start].decode()
    tail = lines[last].encode()[end:].decode()
    # Evaluated as before, for its side effects, and then never true.
    test = "".join(lines[first : last + 1]).encode()
    inner = test[start : len(test) - len(lines[last].encode()) + end].decode()
    return "".join(lines[:first]) + f"{head}(({inner}) and False){tail}" + "".join(lines[last + 1 :])


def _replaced(source: str, line: int, rule: dict[str, str]) -> str:
    lines = source.splitlines(keepends=True)
    lines[line - 1] = lines[line - 1].replace(rule["find"], rule["replace"], 1)
    return "".join(lines)


def killed(mutant: Mutant) -> bool:
    """Run the tests that cite the id on a copy with the mutant; True when one of them fails."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in ("protocol", "client", "server", "tests", "spec", "tools", "samples", "benchmarks"):
            if (ROOT / name).exists():
                shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        (copy / mutant.path).write_text(mutant.source)
        places = os.pathsep.join(str(copy / name) for name in ("protocol", "client", "server"))
        citing = [
            str(path.relative_to(copy))
            for path in (copy / "tests").rglob("test_*.py")
            if mutant.ident in path.read_text()
        ]
        if not citing:
            return False
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--spec-id", mutant.ident]
        try:
            run = subprocess.run(
                [*command, *sorted(citing, reverse=True)], cwd=copy, capture_output=True, check=False, timeout=TIMEOUT,
                env=os.environ | {"PYTHONPATH": places, "PYTHONDONTWRITEBYTECODE": "1"},
            )  # fmt: skip
        except subprocess.TimeoutExpired:  # what never ends without the check has noticed that it is gone
            return True
        if run.returncode not in (0, 1, 5):  # 1: a test failed; 5: no test cites the id; others: nothing was tested
            raise RuntimeError(f"{mutant.ident}: pytest ended with {run.returncode}\n{run.stdout.decode()[-2000:]}")
        return run.returncode == 1


def main() -> int:
    """Print one line a mutant; exit 1 when one survives."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ids", nargs="*")
    parser.add_argument("--slice", default="1/1", help="K/N: every N-th mutant, beginning with the K-th")
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    part, parts = map(int, given.slice.split("/"))
    chosen = mutants(ids=given.ids)
    total = len(chosen)
    chosen = chosen[part - 1 :: parts]
    survivors = 0
    with ThreadPoolExecutor(given.jobs) as pool:
        for mutant, dead in zip(chosen, pool.map(killed, chosen), strict=True):
            survivors += not dead
            print(f"{'killed  ' if dead else 'SURVIVED'} {mutant.ident:<10} {mutant.path}:{mutant.line}", flush=True)
    print(f"{len(chosen)} of {total} mutants run, {len(chosen) - survivors} killed, {survivors} survived")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
