"""`strongroom-relay`: serve, and the administration of an embedded relay's folder."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sqlite3
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from strongroom_protocol.errors import CallError, InvalidArgument, StrongroomError, UpgradeRequired, VaultLocked
from strongroom_protocol.limits import LIMITS
from strongroom_relay import admin
from strongroom_relay.admin import EXIT_DAMAGED, EXIT_LOCKED
from strongroom_relay.service.relay import DEFAULT_CAP, open_relay
from strongroom_relay.service.witness import start_witness


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
    serve.add_argument(
        "--trust-forwarded", action="store_true", help="behind your own proxy: count unlocks by its X-Forwarded-For"
    )
    serve.add_argument(
        "--stop-seconds", type=float, default=20.0, metavar="S", help="time that requests under way have at a stop"
    )
    serve.add_argument(
        "--witness", action="store_true", help="remember the newest state of accounts at other relays, for whoever asks"
    )
    serve.add_argument("--connections", type=int, default=1000, metavar="N", help="open connections at a time")
    doctor = verbs.add_parser("doctor", help="check the file system, the database and every object")
    doctor.add_argument("--deep", action="store_true", help="read every byte and compare it with the object's name")
    doctor.add_argument("--json", action="store_true", help="print the findings as one JSON object")
    backup = verbs.add_parser("backup", help="copy the folder as it is at one moment; the relay may run")
    backup.add_argument("target", type=Path, metavar="DEST", help="an empty folder, or an earlier copy")
    backup.add_argument("--hard-links", action="store_true", help="link object files instead of copying them")
    gc = verbs.add_parser("gc", help="remove what is due now")
    cat = verbs.add_parser("cat", help="write an object's sealed bytes to stdout")
    cat.add_argument("hash", metavar="HASH")
    token = verbs.add_parser("token", help="make one more registration token")
    for verb in (serve, doctor, backup, gc, cat, token):
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
        admin.fail("another relay process is using that folder", "stop it first, or give another --data")
        sys.exit(EXIT_LOCKED)
    except UpgradeRequired as error:
        admin.fail(str(error), "upgrade strongroom on this machine")
        sys.exit(EXIT_DAMAGED)
    except CallError as error:
        admin.fail(str(error), error.hint or "see strongroom-relay --help")
        sys.exit(2)
    except (StrongroomError, OSError, sqlite3.Error) as error:
        admin.fail(str(error), getattr(error, "hint", "") or "check --data and --listen")
        sys.exit(1)


async def _serve(given: argparse.Namespace) -> int:
    from strongroom_relay.http.serve import serve

    host, port = _listen(given.listen)
    if given.account_bytes < 0 or not 0 <= given.window_days < 100_000 or given.header_seconds <= 0:
        raise InvalidArgument("--account-bytes, --window-days and --header-seconds are not negative")
    if given.stop_seconds < 0:
        raise InvalidArgument("--stop-seconds is not negative")
    relay = open_relay(
        given.data, origins=tuple(map(_origin, given.origin)), open_registration=given.open_registration,
        cap=given.account_bytes, window_ms=int(given.window_days * 86_400_000), trust_forwarded=given.trust_forwarded,
    )  # fmt: skip
    # The writer thread takes the interpreter back after every SQLite call; at the default 5 ms it waits too long.
    sys.setswitchinterval(0.0005)
    token = await relay.start()
    key = await start_witness(relay) if given.witness else b""
    if relay.restored:
        logging.getLogger("strongroom.relay").warning(
            "serving a copy from now on: devices that saw newer heads will refuse it (docs/relay.md, restore)"
        )

    def ready(real: int) -> None:
        shown = f"[{host}]" if ":" in host else host
        if not relay.origins:
            names = [shown, "localhost", "127.0.0.1"] if host in ("127.0.0.1", "localhost", "::1") else [shown]
            relay.origins = tuple(dict.fromkeys(f"http://{name}:{real}" for name in names))
        print(f"strongroom-relay: listening on http://{shown}:{real}", flush=True)
        if token is not None:
            print(f"strongroom-relay: registration token (for one account): {token}", flush=True)
        if key:
            print(f"strongroom-relay: witness: {relay.origins[0]}#{key.hex()}", flush=True)

    try:
        await serve(
            relay, host, port, ready, header_seconds=given.header_seconds, connections=given.connections,
            stop_seconds=given.stop_seconds,
        )  # fmt: skip
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


_VERBS: dict[str, Callable[[argparse.Namespace], Coroutine[Any, Any, int]]] = {
    "serve": _serve, "doctor": admin.doctor, "backup": admin.backup, "gc": admin.gc, "cat": admin.cat,
    "token": admin.token,
}  # fmt: skip

if __name__ == "__main__":
    main()
