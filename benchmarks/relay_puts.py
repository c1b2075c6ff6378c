"""Durable 4 KiB PUTs a second: signed requests over 16 connections to a real relay process; JSON on stdout.

    python benchmarks/relay_puts.py [--seconds 5] [--connections 16] [--bytes 4096] [--clients 1]

A PUT counts when its 201 has come, which is after the relay's sync. Requests are signed beforehand (the client's work
is not measured), and the senders speak HTTP over bare sockets, because they share the machine's cores with the relay.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

sys.path[:0] = [str(Path(__file__).resolve().parent.parent / "tests")]

from relay_process import RelayProcess  # noqa: E402
from server.account_builder import Account, DeviceKeys, ask, name_of, signature_headers  # noqa: E402
from strongroom_protocol.relay_api.messages import RelayInfo  # noqa: E402


def prepared(keys: DeviceKeys, base: str, authority: str, size: int) -> bytes:
    """One PUT of fresh random bytes, as it goes over the wire."""
    data = os.urandom(size)
    target = f"{base}/objects/{name_of(data).hex()}"
    headers = signature_headers(keys, authority, "PUT", target, data)
    headers |= {"Host": authority, "Content-Length": str(size)}
    lines = [f"PUT {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


async def connection(host: str, port: int, requests: list[bytes], until: float, times: list[float]) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    while requests and time.perf_counter() < until:
        begun = time.perf_counter()
        writer.write(requests.pop())
        answer = await reader.readuntil(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 201 "):
            raise RuntimeError(answer.decode("latin-1"))
        times.append(time.perf_counter() - begun)
    writer.close()


async def measure(url: str, requests: list[bytes], connections: int, seconds: float) -> tuple[list[float], float]:
    parts = urlsplit(url)
    times: list[float] = []
    begun = time.perf_counter()
    await asyncio.gather(
        *(
            connection(parts.hostname or "", parts.port or 0, requests, begun + seconds, times)
            for _ in range(connections)
        )
    )
    return times, time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--bytes", type=int, default=4096)
    parser.add_argument(
        "--folder", type=Path, default=None, help="where the relay's data goes; default: a temporary folder"
    )
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(dir=given.folder) as folder,
        RelayProcess(Path(folder), open_registration=True) as relay,
    ):
        account = Account("bench", RelayInfo.parse(ask(relay.address, "GET", "/v1/relay").body).receipt_key)
        ask(relay.address, "POST", "/v1/accounts", account.registration().encode())
        base = f"/v1/accounts/{account.id.hex()}"
        requests = [
            prepared(account.device, base, relay.authority, given.bytes) for _ in range(int(given.seconds * 4000))
        ]
        before = cpu_seconds(relay.pid)
        times, seconds = asyncio.run(measure(relay.url, requests, given.connections, given.seconds))
        used = cpu_seconds(relay.pid) - before
    times.sort()
    result = {
        "what": "durable PUTs over HTTP", "bytes": given.bytes, "connections": given.connections,
        "puts": len(times), "seconds": round(seconds, 2), "puts_per_second": round(len(times) / seconds),
        "latency_ms_p50": round(times[len(times) // 2] * 1000, 2),
        "latency_ms_p99": round(times[len(times) * 99 // 100] * 1000, 2),
        "relay_cpu_ms_per_put": round(used / len(times) * 1000, 3), "cores": os.cpu_count(),
        "sync_ms": sync_ms(given.folder),
    }  # fmt: skip
    print(json.dumps(result, indent=2))


def cpu_seconds(pid: int) -> float:
    found = subprocess.run(["cat", f"/proc/{pid}/stat"], capture_output=True, text=True, check=True).stdout.split()
    return (int(found[13]) + int(found[14])) / os.sysconf("SC_CLK_TCK")


def sync_ms(folder: Path | None) -> float:
    """Median time of one 4 KiB append and fsync here: what a relay without group commit would pay for every PUT."""
    times = []
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        for _ in range(50):
            begun = time.perf_counter()
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - begun)
    return round(sorted(times)[25] * 1000, 3)


if __name__ == "__main__":
    main()
