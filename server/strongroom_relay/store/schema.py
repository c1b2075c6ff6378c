"""The embedded store's tables and their numbered migrations."""

from __future__ import annotations

import sqlite3

from strongroom_protocol.errors import UpgradeRequired

MIGRATIONS = (
    # 1: the first tables
    """
    CREATE TABLE settings(name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE accounts(
        id BLOB PRIMARY KEY, name TEXT NOT NULL UNIQUE, slots BLOB NOT NULL, cap INTEGER NOT NULL,
        used INTEGER NOT NULL DEFAULT 0, peaks BLOB NOT NULL DEFAULT x'');
    CREATE TABLE keyrings(
        account BLOB NOT NULL, version INTEGER NOT NULL, message BLOB NOT NULL, receipt BLOB NOT NULL,
        PRIMARY KEY(account, version));
    CREATE TABLE heads(
        account BLOB NOT NULL, version INTEGER NOT NULL, hash BLOB NOT NULL, message BLOB NOT NULL,
        receipt BLOB NOT NULL, keyring_receipt BLOB, PRIMARY KEY(account, version));
    CREATE TABLE members(account BLOB NOT NULL, key BLOB NOT NULL, PRIMARY KEY(account, key)) WITHOUT ROWID;
    CREATE TABLE guests(
        account BLOB NOT NULL, key BLOB NOT NULL, until INTEGER NOT NULL, PRIMARY KEY(account, key)) WITHOUT ROWID;
    CREATE TABLE objects(
        account BLOB NOT NULL, name BLOB NOT NULL, size INTEGER NOT NULL, state INTEGER NOT NULL,
        due INTEGER NOT NULL, data BLOB, PRIMARY KEY(account, name));
    CREATE INDEX objects_due ON objects(due) WHERE state <> 1;
    CREATE TABLE challenges(mac BLOB PRIMARY KEY, expires INTEGER NOT NULL) WITHOUT ROWID;
    """,
)


def migrate(database: sqlite3.Connection) -> None:
    """Bring a database to the newest schema, one transaction a step; a newer one is refused with "upgrade"."""
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):  # spec: LIFE-9
        raise UpgradeRequired(f"store version {version} is newer than {len(MIGRATIONS)}")
    for number, script in enumerate(MIGRATIONS[version:], version + 1):
        database.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {number}; COMMIT;")
