"""`strongroom-relay`: serve, and the administration of an embedded relay's folder."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import logging
import os
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from strongroom_protocol.errors import CallError, InvalidArgument, StrongroomError, UpgradeRequired, VaultLocked
from strongroom_protocol.limits import LIMITS
from strongroom_relay.service.relay import DEFAULT_CAP, Relay, open_relay

EXIT_NOT_FOUND, EXIT_LOCKED, EXIT_DAMAGED = 10, 11, 13


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="strongroom-relay", description="A relay that stores chats and can read none.")
    verbs = top.add_subparsers(dest="verb", required=True)
    serve = verbs.add_parser("serve", help="run the relay")
    serve.add_argument(
        "--listen", default="127.0.0.1:8790", metavar="HOST:PORT", help="default %(default)s; port 0: any"
    )
    serve.add_argument("--open-registration", action="store_true", help="let anybody make an account, without a token")
    serve.add_argument("--account-bytes", type=int, default=DEFAULT_CAP, metavar="N", help="byte cap of a new account")
    serve.add_argument(
        "--origin", action="append", default=[], metavar="URL", help="address people use, behind a proxy"
    )
    serve.add_argument(
        "--window-days",
        type=float,
        default=LIMITS.window_ms / 86_400_000,
        metavar="D",
        help="how long dropped objects are kept",
    )
    serve.add_argument(
        "--header-seconds", type=float, default=15.0, metavar="S",
        help="time a new connection has for its first request's headers",
    )  # fmt: skip
    serve.add_argument("--connections", type=int, default=1000, metavar="N", help="open connections at a time")
    doctor = verbs.add_parser("doctor", help="check every object against its name")
    gc = verbs.add_parser("gc", help="remove what is due now")
    cat = verbs.add_parser("cat", help="write an object's sealed bytes to stdout")
    cat.add_argument("hash", metavar="HASH")
    token = verbs.add_parser("token", help="make one more registration token")
    for verb in (serve, doctor, gc, cat, token):
        verb.add_argument("--data", required=True, type=Path, metavar="DIR", help="the relay's folder")
    return top


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point. Errors go to stderr with what to do."""
    given = parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    os.umask(0o077)
    try:
        sys.exit(asyncio.run(_VERBS[given.verb](given)))
    except VaultLocked:
        _fail("another relay process is using that folder", "stop it first")
        sys.exit(EXIT_LOCKED)
    except UpgradeRequired as error:
        _fail(str(error), "upgrade strongroom on this machine")
        sys.exit(EXIT_DAMAGED)
    except CallError as error:
        _fail(str(error), error.hint or "see strongroom-relay --help")
        sys.exit(2)
    except (StrongroomError, OSError, sqlite3.Error) as error:
        _fail(str(error), "check --data and --listen")
        sys.exit(1)


async def _serve(given: argparse.Namespace) -> int:
    from strongroom_relay.http.serve import serve

    host, port = _listen(given.listen)
    if given.account_bytes < 0 or not 0 <= given.window_days < 100_000 or given.header_seconds <= 0:
        raise InvalidArgument("--account-bytes, --window-days and --header-seconds are not negative")
    relay = open_relay(
        given.data, origins=tuple(map(_origin, given.origin)), open_registration=given.open_registration,
        cap=given.account_bytes, window_ms=int(given.window_days * 86_400_000),
    )  # fmt: skip
    # The writer thread takes the interpreter back after every SQLite call; at the default 5 ms it waits too long.
    sys.setswitchinterval(0.0005)
    token = await relay.start()

    def ready(real: int) -> None:
        shown = f"[{host}]" if ":" in host else host
        if not relay.origins:
            names = [shown, "localhost", "127.0.0.1"] if host in ("127.0.0.1", "localhost", "::1") else [shown]
            relay.origins = tuple(dict.fromkeys(f"http://{name}:{real}" for name in names))
        print(f"strongroom-relay: listening on http://{shown}:{real}", flush=True)
        if token is not None:
            print(f"strongroom-relay: registration token (for one account): {token}", flush=True)

    try:
        await serve(relay, host, port, ready, header_seconds=given.header_seconds, connections=given.connections)
    except OSError as error:
        raise OSError(f"cannot listen on {given.listen}: {error.strerror}") from error
    finally:
        relay.store.close()
    return 0


def _listen(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) < 65_536):
        raise InvalidArgument("--listen is HOST:PORT", hint="for example --listen 127.0.0.1:8790")
    return host.strip("[]"), int(port)


def _origin(text: str) -> str:
    parts = urlsplit(text.lower())
    plain = not (parts.username or parts.password or parts.query or parts.fragment or parts.path not in ("", "/"))
    if parts.scheme not in ("https", "http") or not parts.hostname or not plain:
        raise InvalidArgument("--origin is https://HOST[:PORT]", hint="give the address that people put into --relay")
    return f"{parts.scheme}://{parts.netloc.removesuffix(':443' if parts.scheme == 'https' else ':80')}"


async def _doctor(given: argparse.Namespace) -> int:
    relay = _existing(given.data)
    try:
        bad = await relay.store.read(lambda database: _damaged(relay, database))
    finally:
        relay.store.close()
    for account, name in bad:
        print(f"damaged: {name} of account {account}")
    print(f"{len(bad)} damaged objects")
    return EXIT_DAMAGED if bad else 0


async def _gc(given: argparse.Namespace) -> int:
    from strongroom_relay.service.objects import sweep, sweep_files

    relay = _existing(given.data)
    try:
        files = await sweep_files(relay)
        objects, size = await sweep(relay)
    finally:
        relay.store.close()
    print(f"removed {objects} objects, {size} bytes; {files} files left by a crash")
    return 0


async def _cat(given: argparse.Namespace) -> int:
    relay = _existing(given.data)
    try:
        data = await relay.store.read(lambda database: _bytes_of(relay, database, given.hash))
    finally:
        relay.store.close()
    if data is None:
        _fail("there is no such object", "give the 64 hex digits of its name")
        return EXIT_NOT_FOUND
    sys.stdout.buffer.write(data)
    return 0


async def _token(given: argparse.Namespace) -> int:
    relay = _existing(given.data)
    try:
        print(await relay.mint_token())
    finally:
        relay.store.close()
    return 0


def _existing(folder: Path) -> Relay:
    if not (folder / "relay.db").exists():
        raise FileNotFoundError("there is no relay in that folder")
    return open_relay(folder, origins=())


def _damaged(relay: Relay, database: sqlite3.Connection) -> list[tuple[str, str]]:
    found = []
    for account, name in database.execute("SELECT account, name FROM objects ORDER BY account, name").fetchall():
        data = _object(relay, database, bytes(account), bytes(name))
        if data is None or hashlib.sha256(data).digest() != bytes(name):
            found.append((bytes(account).hex(), bytes(name).hex()))
    return found


def _bytes_of(relay: Relay, database: sqlite3.Connection, text: str) -> bytes | None:
    try:
        name = bytes.fromhex(text)
    except ValueError:
        return None
    row = database.execute("SELECT account FROM objects WHERE name = ?", (name,)).fetchone()
    return None if row is None else _object(relay, database, bytes(row[0]), name)


def _object(relay: Relay, database: sqlite3.Connection, account: bytes, name: bytes) -> bytes | None:
    (data,) = database.execute("SELECT data FROM objects WHERE account = ? AND name = ?", (account, name)).fetchone()
    if data is not None:
        return bytes(data)
    try:
        return relay.store.path_of(account, name).read_bytes()
    except FileNotFoundError:
        return None


def _fail(message: str, hint: str) -> None:
    print(f"strongroom-relay: error: {message}\nhint: {hint}", file=sys.stderr)


_VERBS = {"serve": _serve, "doctor": _doctor, "gc": _gc, "cat": _cat, "token": _token}

if __name__ == "__main__":
    main()
