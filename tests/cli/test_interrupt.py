"""Ctrl-C and closed pipes: nothing half done, and the same command goes on where it stopped."""

from __future__ import annotations

import sqlite3
import subprocess
from pathlib import Path

from cli.command import Person, files

ROWS = 8_000


def many() -> str:
    return "".join(
        f'{{"type":"message","conversation":"c{n % 7}","id":"{n}","time":{1700000000000 + n},"text":"message {n}"}}\n'
        for n in range(ROWS)
    )


def heads(store: Path) -> int:
    database = sqlite3.connect(f"file:{store}/relay.db?mode=ro", uri=True, timeout=10)
    try:
        return int(database.execute("SELECT max(version) FROM heads").fetchone()[0])
    except sqlite3.OperationalError:
        return 0
    finally:
        database.close()


def test_an_interrupted_import_restore_and_export_complete_when_repeated(tmp_path: Path) -> None:
    person, store = Person(tmp_path), tmp_path / "store"
    person.init(f"file://{store}", "ada")
    person.write("many.jsonl", many())
    small = (
        "import strongroom.importing as i, strongroom.bulk as b;"
        "i.BULK_ROWS, i.CHUNK_ROWS, b.WAITING_BYTES = 1000, 250, 50_000"
    )
    run = person.interrupt("import", "many.jsonl", "--vault", "vault", tweak=small, when=lambda: heads(store) >= 4)
    assert run.code == 130, run
    assert run.err.strip() == "strongroom: interrupted; the same command goes on where it stopped"
    some = person.json("status", "--vault", "vault")["rows"]
    assert 0 < some < ROWS
    again = person.json("import", "many.jsonl", "--vault", "vault")
    assert (again["added"], again["known"]) == (ROWS - some, some)

    kept = tmp_path / "vault" / "objects"
    slow = (
        "import time, strongroom.cache as c; put = c.Cache.put\nc.Cache.put = lambda *a: (time.sleep(.2), put(*a))[1]"
    )
    run = person.interrupt("restore", "--vault", "vault", tweak=slow, when=lambda: len(files(kept)) >= 2)
    assert run.code == 130, run
    assert "goes on where it stopped" in run.err
    assert person.json("restore", "--vault", "vault")["records"] == ROWS

    slow = (
        "import time, strongroom.formats.export_json as e; line = e._line;"
        "e._line = lambda *a: (time.sleep(.002), line(*a))[1]"
    )
    begun = list[Path]
    hidden = ".out.*/new/chats/*"
    run = person.interrupt(
        "export", "out", "--vault", "vault", tweak=slow, when=lambda: bool(begun(tmp_path.glob(hidden)))
    )
    assert run.code == 130, run
    assert not (tmp_path / "out").exists()
    assert list(tmp_path.glob(".out.*")) == []
    assert person.json("export", "out", "--vault", "vault")["message"] == ROWS


def test_a_reader_that_leaves_is_no_error_message(ada: Person) -> None:
    command = ada.command("show", "Family", "--vault", "vault")
    process = subprocess.Popen(
        command, cwd=ada.folder, env=ada.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(20) == 141
    process.stderr.close()
