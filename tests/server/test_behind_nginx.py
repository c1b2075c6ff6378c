"""The relay behind a real nginx with the configuration of docs/relay.md: every request, and news at once."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from relay_process import RelayProcess
from strongroom import Update, message
from vaults import create_at, login_at, opener

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
DOCS = Path(__file__).resolve().parents[2] / "docs" / "relay.md"
PATIENCE_S = 30.0

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed: the documented proxy is not tried")


@contextmanager
def nginx(folder: Path, port: int, relay: str) -> Iterator[None]:
    """nginx as the documentation has it, on `port`, before `relay` (host:port)."""
    assert NGINX is not None
    (documented,) = re.findall(r"```\n# nginx\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert documented.count("127.0.0.1:8790") == 2
    folder.mkdir()
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log; events {{}}\n"
        f"http {{ access_log off; client_body_temp_path {folder}/bodies; proxy_temp_path {folder}/answers;\n"
        f"server {{ listen 127.0.0.1:{port};\n{documented.replace('127.0.0.1:8790', relay)}}}}}\n"
    )
    process = subprocess.Popen(
        [NGINX, "-c", str(folder / "nginx.conf"), "-p", str(folder)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        until = time.monotonic() + PATIENCE_S
        while not _listens(port):
            assert process.poll() is None, (folder / "error.log").read_text()
            assert time.monotonic() < until, "nginx does not listen"
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def _listens(port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0


async def test_everything_passes_and_news_comes_at_once(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with (
        RelayProcess(tmp_path / "relay", "--origin", url, "--trust-forwarded", open_registration=True) as relay,
        nginx(tmp_path / "nginx", port, relay.authority),
    ):
        secrets = opener()
        async with await create_at(url, tmp_path / "phone", secrets) as phone:
            (tmp_path / "large.bin").write_bytes(bytes(range(256)) * 20_000)  # larger than nginx takes unless told to
            await phone.attach("family", tmp_path / "large.bin", sender="ann")
            await phone.append("family", message("before", sender="ann", time=1))
            await phone.flush()
            async with await login_at(url, tmp_path / "desk", secrets) as desk:
                told: asyncio.Queue[Update] = asyncio.Queue()

                async def follow() -> None:
                    async for update in desk.watch(poll=None):
                        told.put_nowait(update)

                task = asyncio.create_task(follow())
                async with asyncio.timeout(PATIENCE_S):
                    while desk._live is None or not desk._live.telling:  # noqa: ASYNC110
                        await asyncio.sleep(0.01)
                    await phone.append("family", message("and after", sender="ann", time=2))
                    await phone.flush()
                    update = await told.get()
                assert [item.text for item in update.messages] == ["and after"]
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
