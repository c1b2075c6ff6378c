"""The same damage through the real commands and a real relay: exit codes, names, and everything else restored."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from adversary.damage import Store
from relay_process import RelayProcess
from strongroom.importing import import_rows
from strongroom_protocol.seal.objects import ObjectType
from vaults import create_at, login_at, opener, sample_rows, talk


def _run(verb: str, vault: Path, relay: str, *arguments: str) -> tuple[int, dict[str, Any], str]:
    command = [sys.executable, "-m", "strongroom.cli.main", verb, *arguments, "--vault", str(vault)]
    run = subprocess.run([*command, "--relay", relay, "--json"], capture_output=True, text=True, check=False)
    assert "Traceback" not in run.stderr
    return run.returncode, json.loads(run.stdout), run.stderr


async def test_damage_over_http_and_through_the_commands(tmp_path: Path) -> None:
    secret = opener()
    process = RelayProcess(tmp_path / "relay", open_registration=True)
    with process as relay:
        async with await create_at(relay.url, tmp_path / "a", secret) as vault:
            await import_rows(vault._session, [*sample_rows(1), *talk("chat", 40)])
            await import_rows(vault._session, talk("chat", 5, start=1_710_000_000_000))
            snapshot = await vault._session.snapshot()
            objects = [item async for item in snapshot.objects()]
            account, url = vault._session.account, relay.url
            total = (await vault.status()).rows
        assert _run("verify", tmp_path / "a", url)[0] == 0
    store = Store(tmp_path / "relay", account)
    kinds = (ObjectType.SEGMENT, ObjectType.BATCH, ObjectType.DIRECTORY, ObjectType.INDEX, ObjectType.ROOT)
    for number, kind in enumerate((*kinds, ObjectType.BODY)):
        ref = next(ref for ref, found in objects if found is kind)
        data, row = store.get(ref.name), store.row(ref.name)
        changed = [data[:120] + bytes((data[120] ^ 1,)) + data[121:], data[:-1], None][number % 3]
        store.put(ref.name, changed)
        with process as relay:
            async with await login_at(relay.url, tmp_path / f"b{number}", secret):
                pass
            code, found, errors = _run("verify", tmp_path / "a", relay.url)
            assert code == 13
            if kind is ObjectType.BODY:
                assert ref.name.hex() in errors
            else:
                assert list(found["damaged"]) == [ref.name.hex()]
            code, found, _ = _run("restore", tmp_path / f"b{number}", relay.url)
            assert (code, list(found["damaged"])) == (3, [ref.name.hex()])
            assert found["fallback"] is (kind is ObjectType.BODY)
            lost = {ObjectType.BATCH: 5, ObjectType.BODY: 5}.get(kind, 0)
            if kind is not ObjectType.SEGMENT:
                assert found["records"] == total - lost
            else:
                assert 0 < found["records_lost"] < total
            code, _, _ = _run("export", tmp_path / f"b{number}", relay.url, str(tmp_path / f"export-{number}"))
            assert code in (0, 3)
        store.undo(ref.name, data, row)
