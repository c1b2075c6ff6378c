"""The Merkle log of an account's heads, kept as its complete subtrees, so that a proof reads a few rows (chapter 09).

Node (level, number) is the hash over the heads number * 2^level + 1 to (number + 1) * 2^level. A log of any size is
made of such nodes, so appending adds two rows on average and a proof from a log of n heads reads about 2 log n.
"""

from __future__ import annotations

import sqlite3

from strongroom_protocol.wire import merkle


def append(database: sqlite3.Connection, account: bytes, version: int, head: bytes) -> None:
    """The head of that version (its hash) is the log's next entry."""
    level, number, node = 0, version - 1, merkle.leaf_hash(head)
    while True:
        database.execute("INSERT INTO log VALUES(?,?,?,?)", (account, level, number, node))
        if number % 2 == 0:
            return
        node = merkle.node_hash(_node(database, account, level, number - 1), node)
        level, number = level + 1, number // 2


def inclusion_path(database: sqlite3.Connection, account: bytes, index: int, size: int) -> list[bytes]:
    """RFC 9162 section 2.1.3.1: that entry `index` (from 0) is in the log of the first `size` heads."""
    first, path = 0, []
    while size - first > 1:
        split = first + _split(size - first)
        if index < split:
            path.append(_root(database, account, split, size))
            size = split
        else:
            path.append(_root(database, account, first, split))
            first = split
    return path[::-1]


def consistency_proof(database: sqlite3.Connection, account: bytes, old: int, size: int) -> list[bytes]:
    """RFC 9162 section 2.1.4.1: that the log of the first `size` heads begins with that of the first `old`."""
    first, whole, proof = 0, True, []
    while old != size:
        split = first + _split(size - first)
        if old <= split:
            proof.append(_root(database, account, split, size))
            size = split
        else:
            proof.append(_root(database, account, first, split))
            first, whole = split, False
    return ([] if whole else [_root(database, account, first, size)]) + proof[::-1]


def _root(database: sqlite3.Connection, account: bytes, first: int, end: int) -> bytes:
    width = end - first
    if width & (width - 1) == 0:
        return _node(database, account, width.bit_length() - 1, first // width)
    split = first + _split(width)
    return merkle.node_hash(_root(database, account, first, split), _root(database, account, split, end))


def _split(width: int) -> int:
    return 1 << (width - 1).bit_length() - 1


def _node(database: sqlite3.Connection, account: bytes, level: int, number: int) -> bytes:
    (node,) = database.execute(
        "SELECT hash FROM log WHERE account = ? AND level = ? AND number = ?", (account, level, number)
    ).fetchone()
    return bytes(node)
