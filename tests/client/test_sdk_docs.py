"""docs/sdk.md runs as it stands: every block, in order, with the output its comments promise."""

from __future__ import annotations

import ast
import builtins
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "sdk.md"
PROMISE = re.compile(r"# -> (.*)$", re.MULTILINE)


def _blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


async def test_every_block_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    names: dict[str, Any] = {"print": lambda *values: said.append(" ".join(map(str, values)))}
    blocks = _blocks()
    assert len(blocks) > 12
    for block in blocks:
        said.clear()
        code = compile(block, str(PAGE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        result = builtins.eval(code, names)  # noqa: S307 - our own page
        if inspect.isawaitable(result):
            await result
        assert said == [line.strip() for line in PROMISE.findall(block)], block


def test_the_page_names_every_public_method_of_the_vault() -> None:
    from strongroom import Vault

    page = PAGE.read_text()
    public = {name for name in dir(Vault) if not name.startswith("_")} - {"refresh_login", "damage"}
    assert {name for name in public if not re.search(rf"\b{name}\b", page)} == set()


def test_every_public_name_is_there_and_every_error_of_the_page_too() -> None:
    import strongroom

    for name in strongroom.__all__:
        assert getattr(strongroom, name).__name__
    errors = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.MULTILINE)
    assert errors
    assert set(errors) <= set(strongroom.__all__)
