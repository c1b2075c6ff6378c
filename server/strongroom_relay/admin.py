"""The verbs that look after a relay's folder: doctor, backup, gc, cat, token. All but gc work while the relay runs."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sqlite3
import sys
from pathlib import Path

from strongroom_relay.service.objects import sweep, sweep_files
from strongroom_relay.service.relay import add_token, open_relay
from strongroom_relay.store.backup import back_up
from strongroom_relay.store.beside import beside, is_folder_vault
from strongroom_relay.store.files import ObjectFiles
from strongroom_relay.store.health import Health, check
from strongroom_relay.store.probe import Finding, probe

EXIT_FAILED, EXIT_NOT_FOUND, EXIT_LOCKED, EXIT_DAMAGED = 1, 10, 11, 13


async def doctor(given: argparse.Namespace) -> int:
    """Try the file system and check the store. 13: damage; 1: the file system does not do what a store needs."""
    with beside(given.data) as database:
        findings = probe(given.data)
        health = check(database, _files(given.data), deep=given.deep)
    if given.json:
        tried = [dataclasses.asdict(finding) for finding in findings]
        print(json.dumps(dataclasses.asdict(health) | {"sound": health.sound, "file_system": tried}, indent=2))
    else:
        _show(findings, health)
    if not health.sound:
        return EXIT_DAMAGED
    return EXIT_FAILED if any(finding.wrong for finding in findings) else 0


def _show(findings: list[Finding], health: Health) -> None:
    for finding in findings:
        print(f"file system: {finding.promise}: {finding.wrong or 'ok'}")
    for line in health.database:
        print(f"database: {line}")
    for account in health.miscounted:
        print(f"account {account}: its count of bytes is not the sum of its objects")
    for damage in health.damaged:
        print(f"damaged: {damage.name} of account {damage.account}: {damage.why}")
    how = "every byte read" if health.hashed else "sizes compared; --deep reads every byte"
    print(f"{health.objects} objects, {health.bytes} bytes ({how})")
    print(f"{health.orphans} files without an object; the next sweep removes them")
    print(f"{len(health.damaged)} damaged objects")


async def backup(given: argparse.Namespace) -> int:
    """Copy the folder as it is at one moment. 13: the copy is made, but some objects were damaged."""
    with beside(given.data) as database:
        done = back_up(database, _files(given.data), given.target, links=given.hard_links)
    for name in sorted(done.damaged):
        print(f"damaged: {name}")
    print(f"{done.copied} files copied ({done.bytes} bytes), {done.kept} were there, {done.removed} removed")
    if done.damaged:
        fail(f"{len(done.damaged)} objects are damaged and not in the copy", "see strongroom-relay doctor --deep")
    return EXIT_DAMAGED if done.damaged else 0


async def gc(given: argparse.Namespace) -> int:
    """Remove what is due, in a folder that no relay is using."""
    relay = open_relay(given.data, origins=(), folder_vault=is_folder_vault(given.data))
    try:
        files = await sweep_files(relay)
        objects, size = await sweep(relay)
    finally:
        relay.store.close()
    print(f"removed {objects} objects, {size} bytes; {files} files left by a crash")
    return 0


async def cat(given: argparse.Namespace) -> int:
    """An object's sealed bytes, from whichever account has it."""
    with beside(given.data) as database:
        data = _bytes_of(database, _files(given.data), given.hash)
    if data is None:
        fail("there is no such object", "give the 64 hex digits of its name")
        return EXIT_NOT_FOUND
    sys.stdout.buffer.write(data)
    return 0


async def token(given: argparse.Namespace) -> int:
    """One more registration token; a running relay takes it at once."""
    with beside(given.data) as database:
        print(add_token(database))
    return 0


def _files(folder: Path) -> ObjectFiles:
    return ObjectFiles(folder, lambda: None)


def _bytes_of(database: sqlite3.Connection, files: ObjectFiles, text: str) -> bytes | None:
    try:
        name = bytes.fromhex(text)
    except ValueError:
        return None
    row = database.execute("SELECT account, data FROM objects WHERE name = ?", (name,)).fetchone()
    if row is None or row[1] is not None:
        return None if row is None else bytes(row[1])
    try:
        return files.path_of(bytes(row[0]), name).read_bytes()
    except FileNotFoundError:
        return None


def fail(message: str, hint: str) -> None:
    """An error as all of this command's are printed."""
    print(f"strongroom-relay: error: {message}\nhint: {hint}", file=sys.stderr)
