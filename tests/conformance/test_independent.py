"""The independent verifier, alone in an empty folder with the vectors and the CDDL."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
VERIFIER = ROOT / "tests/independent"
ALLOWED = {"argon2", "backports", "compression", "cryptography", "nacl", "pycddl"}
START = "import sys; sys.path.insert(0, sys.argv.pop(1)); import verify; sys.exit(verify.main())"


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-c", START, "verifier", "spec"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(VERIFIER, tmp_path / "verifier", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "spec/vectors", tmp_path / "spec/vectors")
    shutil.copy(ROOT / "spec/strongroom.cddl", tmp_path / "spec")
    return tmp_path


def test_every_vector_is_good(folder: Path) -> None:
    done = run(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    total, good = map(int, re.findall(r"\d+", done.stdout.splitlines()[-1]))
    assert total == good >= 150


def test_one_wrong_expectation_is_noticed(folder: Path) -> None:
    path = folder / "spec/vectors/cbor.json"
    vectors = json.loads(path.read_text())
    vectors[0]["expect"] = "encoding"
    path.write_text(json.dumps(vectors))
    done = run(folder)
    assert done.returncode == 1
    assert vectors[0]["name"] in done.stdout


def test_one_wrong_output_is_noticed(folder: Path) -> None:
    path = folder / "spec/vectors/objects.json"
    text = path.read_text()
    vector = next(vector for vector in json.loads(text) if vector["name"] == "objects_seal")
    name = vector["output"]["name"]
    path.write_text(text.replace(name, name[::-1], 1))
    done = run(folder)
    assert done.returncode == 1
    assert "objects_seal: another output" in done.stdout


def test_it_imports_nothing_of_the_project() -> None:
    own = {path.stem for path in VERIFIER.glob("*.py")}
    for path in VERIFIER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            else:
                continue
            for name in names:
                top = name.split(".")[0]
                assert top in own | ALLOWED | set(sys.stdlib_module_names), f"{path.name} imports {name}"
