"""Reads of 4 KiB objects a second: from a real relay, signed requests, and from a bare handler with the same I/O.

    python benchmarks/relay_reads.py [--seconds 3] [--rounds 3] [--connections 16] [--objects 500]

The bare handler is an aiohttp server that selects the same rows of the same database by account and name and answers
with the bytes: no signatures, no accounts, no errors. It gets the same requests over the same sockets.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent / "tests")]

from relay_process import RelayProcess  # noqa: E402
from server.account_builder import Account, ask, name_of, signature_headers  # noqa: E402
from strongroom_protocol.relay_api.messages import RelayInfo  # noqa: E402

SIZE = 4096


def bare(database: Path) -> None:
    """Serve `database` on any port, which is printed."""
    from aiohttp import web

    opened = sqlite3.connect(f"file:{database}?mode=ro", uri=True)

    async def get(request: web.Request) -> web.Response:
        key = bytes.fromhex(request.match_info["account"]), bytes.fromhex(request.match_info["name"])
        ((data,),) = opened.execute("SELECT data FROM objects WHERE account = ? AND name = ?", key)
        return web.Response(body=data)

    async def serve() -> None:
        app = web.Application()
        app.router.add_get("/v1/accounts/{account}/objects/{name}", get)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        print(site._server.sockets[0].getsockname()[1], flush=True)  # type: ignore[union-attr]
        await asyncio.Event().wait()

    asyncio.run(serve())


async def connection(address: tuple[str, int], requests: list[bytes], until: float) -> int:
    """Ask for one object after another; answers."""
    reader, writer = await asyncio.open_connection(*address)
    done = 0
    while time.perf_counter() < until:
        writer.write(requests[done % len(requests)])
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 ") or len(await reader.readexactly(SIZE)) != SIZE:
            raise RuntimeError(head.decode("latin-1"))
        done += 1
    writer.close()
    return done


async def rate(address: tuple[str, int], requests: list[bytes], connections: int, seconds: float) -> float:
    start = time.perf_counter()
    parts = [requests[number::connections] for number in range(connections)]
    done = await asyncio.gather(*(connection(address, part, start + seconds) for part in parts))
    return sum(done) / (time.perf_counter() - start)


def signed(account: Account, base: str, authority: str, names: list[str]) -> list[bytes]:
    """Requests as they go over the wire; a signature holds for five minutes."""
    requests = []
    for name in names:
        target = f"{base}/objects/{name}"
        headers = signature_headers(account.device, authority, "GET", target, b"") | {"Host": authority}
        lines = [f"GET {target} HTTP/1.1", *(f"{key}: {value}" for key, value in headers.items())]
        requests.append("\r\n".join(lines).encode() + b"\r\n\r\n")
    return requests


def main() -> None:
    """Rates of every round, alternating, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--objects", type=int, default=500)
    parser.add_argument("--bare", type=Path, default=None, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.bare:
        bare(given.bare)
        return
    found: dict[str, list[float]] = {"relay": [], "bare": []}
    with tempfile.TemporaryDirectory() as folder, RelayProcess(Path(folder), open_registration=True) as relay:
        account = Account("bench", RelayInfo.parse(ask(relay.address, "GET", "/v1/relay").body).receipt_key)
        ask(relay.address, "POST", "/v1/accounts", account.registration().encode())
        base = f"/v1/accounts/{account.id.hex()}"
        names = [_put(account, base, relay) for _ in range(given.objects)]
        database = max(Path(folder).glob("*.db"), key=lambda path: path.stat().st_size)
        command = [sys.executable, __file__, "--bare", str(database)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
            try:
                port = other.stdout.readline() if other.stdout else ""
                addresses = {"relay": relay.address, "bare": ("127.0.0.1", int(port))}
                for number in range(given.rounds):
                    requests = signed(account, base, relay.authority, names)
                    for name in ("relay", "bare") if number % 2 == 0 else ("bare", "relay"):
                        times = rate(addresses[name], requests, given.connections, given.seconds)
                        found[name].append(round(asyncio.run(times)))
            finally:
                other.terminate()
    print(json.dumps({"what": "reads over HTTP", "bytes": SIZE, "connections": given.connections, **found}))


def _put(account: Account, base: str, relay: RelayProcess) -> str:
    data = os.urandom(SIZE)
    target = f"{base}/objects/{name_of(data).hex()}"
    answer = ask(relay.address, "PUT", target, data, keys=account.device)
    if answer.status != 201:
        raise RuntimeError(f"the relay refused an object: {answer.status}")
    return name_of(data).hex()


if __name__ == "__main__":
    main()
