"""The public surface of the SDK, and the README's example, run as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import strongroom
from strongroom_protocol.keys import recovery_code
from strongroom_protocol.keys.secrets import RecoveryCode

README = Path(__file__).resolve().parents[2] / "README.md"


@pytest.mark.parametrize("name", strongroom.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(strongroom, name) is not None


def test_nothing_else_is() -> None:
    with pytest.raises(AttributeError):
        strongroom.no_such_name  # noqa: B018


def test_importing_the_sdk_loads_nothing_heavy() -> None:
    heavy = ("aiohttp", "cryptography", "argon2")
    script = f"import strongroom, sys; print([name for name in {heavy} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


async def test_the_readme_example_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (source,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    scope: dict[str, Any] = {}
    exec(compile(source, "README.md", "exec"), scope)  # noqa: S102
    back_up: Callable[..., Awaitable[None]] = scope["back_up"]
    code = recovery_code.render(RecoveryCode(bytes(range(20))))
    texts = [f"message {n}" for n in range(30)]
    await back_up(tmp_path / "device", f"file://{tmp_path}/vault", "a long enough phrase", code, texts)
    printed = capsys.readouterr().out.splitlines()
    assert printed == [f"{n} message {n}" for n in range(10, 30)]
