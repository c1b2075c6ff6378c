"""The embedded store's tables and their numbered migrations."""

from __future__ import annotations

import sqlite3

from strongroom_protocol.errors import UpgradeRequired
from strongroom_protocol.wire import merkle

_LOG = """
    CREATE TABLE log(
        account BLOB NOT NULL, level INTEGER NOT NULL, number INTEGER NOT NULL, hash BLOB NOT NULL,
        PRIMARY KEY(account, level, number)) WITHOUT ROWID;
    INSERT INTO log SELECT account, 0, version - 1, log_leaf(hash) FROM heads;
    """
_LEVEL = """
    INSERT INTO log SELECT a.account, a.level + 1, a.number / 2, log_node(a.hash, b.hash) FROM log a JOIN log b
        ON b.account = a.account AND b.level = a.level AND b.number = a.number + 1
        WHERE a.level = LEVEL AND a.number % 2 = 0;
    """

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
    # 2: the log of heads by its complete subtrees
    "".join([_LOG, *(_LEVEL.replace("LEVEL", str(level)) for level in range(40))]),
    # 3: devices whose keys are paused
    """
    CREATE TABLE blocks(
        account BLOB NOT NULL, key BLOB NOT NULL, until INTEGER NOT NULL, PRIMARY KEY(account, key)) WITHOUT ROWID;
    """,
    # 4: mailboxes of devices that link
    """
    CREATE TABLE links(
        number INTEGER PRIMARY KEY, account BLOB NOT NULL, id BLOB NOT NULL, expires INTEGER NOT NULL,
        UNIQUE(account, id));
    CREATE TABLE link_slots(
        number INTEGER NOT NULL, slot INTEGER NOT NULL, message BLOB NOT NULL, PRIMARY KEY(number, slot)) WITHOUT ROWID;
    """,
    # 5: what this relay, as a witness, remembers of accounts at other relays
    """
    CREATE TABLE witnessed(account BLOB PRIMARY KEY, heads BLOB NOT NULL) WITHOUT ROWID;
    """,
)


def migrate(database: sqlite3.Connection) -> None:
    """Bring a database to the newest schema, one transaction a step; a newer one is refused with "upgrade"."""
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):  # spec: LIFE-9
        raise UpgradeRequired(f"store version {version} is newer than {len(MIGRATIONS)}")
    database.create_function("log_leaf", 1, merkle.leaf_hash, deterministic=True)
    database.create_function("log_node", 2, merkle.node_hash, deterministic=True)
    for number, script in enumerate(MIGRATIONS[version:], version + 1):
        database.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {number}; COMMIT;")
