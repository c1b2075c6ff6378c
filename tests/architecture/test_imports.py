"""Imports run one way, and the relay process loads nothing that can open or read."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RELAY_MAY = ("errors", "limits", "wire", "manifest", "relay_api")


def imports(folder: str) -> Iterator[tuple[Path, str]]:
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from ((path, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield path, node.module
                yield from ((path, f"{node.module}.{alias.name}") for alias in node.names)


def test_the_protocol_imports_neither_client_nor_relay_nor_io() -> None:
    forbidden = (
        "strongroom.",
        "strongroom_relay",
        "aiohttp",
        "socket",
        "sqlite3",
        "asyncio",
        "pathlib",
        "time",
        "os",
        "random",
    )
    bad = [
        (path.name, name)
        for path, name in imports("protocol")
        if name in forbidden
        or name.startswith(tuple(f"{item}." for item in forbidden))
        or name.startswith("strongroom.")
    ]
    assert bad == []


def test_the_relay_imports_only_the_public_parts_of_the_protocol() -> None:
    allowed = tuple(f"strongroom_protocol.{part}" for part in RELAY_MAY)
    bad = [
        (path.name, name)
        for path, name in imports("server")
        if name.split(".")[0] in ("strongroom", "strongroom_protocol")
        and name != "strongroom_protocol"
        and not name.startswith(allowed)
    ]
    assert bad == []


def test_the_client_imports_the_relay_only_in_the_in_process_transport() -> None:
    users = {path.name for path, name in imports("client") if name.startswith("strongroom_relay")}
    assert users <= {"inprocess.py"}


def test_nothing_imports_the_conformance_suite() -> None:
    users = [
        (path.name, name)
        for folder in ("protocol", "client", "server", "tools")
        for path, name in imports(folder)
        if name.split(".")[0] == "strongroom_conformance"
    ]
    assert users == []


def test_the_public_parts_of_the_protocol_import_no_key_code() -> None:
    hidden = tuple(f"strongroom_protocol.{part}" for part in ("keys", "seal", "rows", "engine"))
    folders = ("wire", "manifest", "relay_api")
    bad = [
        (path.name, name)
        for folder in folders
        for path, name in imports(f"protocol/strongroom_protocol/{folder}")
        if name.startswith(hidden)
    ]
    assert bad == []


def test_relay_process_loads_no_key_code() -> None:
    """Everything the relay's modules import, in a fresh process, by what is in sys.modules.

    (zstd is not in the list: aiohttp loads it by itself where it is installed.)
    """
    script = (
        "import sys, pkgutil, importlib, strongroom_relay\n"
        "for found in pkgutil.walk_packages(strongroom_relay.__path__, 'strongroom_relay.'):\n"
        "    if not found.name.endswith('__main__'): importlib.import_module(found.name)\n"
        "print('\\n'.join(sorted(sys.modules)))\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert "strongroom_relay.cli" in loaded
    hidden = (
        "strongroom_protocol.keys",
        "strongroom_protocol.seal",
        "strongroom_protocol.rows",
        "strongroom_protocol.engine",
    )
    bad = {
        name
        for name in loaded
        if name.startswith(hidden)
        or name == "strongroom"
        or name.startswith("strongroom.")
        or name.split(".")[0] == "argon2"
        or name.startswith("cryptography.hazmat.primitives")
    }
    assert bad == set()
