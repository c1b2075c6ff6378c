"""Stopping: what is under way is finished within a time, a second signal does not wait; names no versions."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path

import pytest

from relay_process import RelayProcess
from server.account_builder import ask, name_of, signature_headers
from server.conftest import Served, enrolled

LENGTH = 2_000_000


def half_an_upload(served: Served, data: bytes) -> socket.socket:
    target = f"{served.base}/objects/{name_of(data).hex()}"
    headers = signature_headers(served.account.device, served.process.authority, "PUT", target, data)
    headers |= {"Host": served.process.authority, "Content-Length": str(len(data))}
    lines = [f"PUT {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    connection = socket.create_connection(served.process.address, timeout=20)
    connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + data[: len(data) // 2])
    time.sleep(0.3)
    return connection


def wait_for(process: RelayProcess, text: str) -> None:
    until = time.monotonic() + 10
    while text not in process.log:
        assert time.monotonic() < until, process.log
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_slow_upload_is_finished_and_nothing_is_left_in_the_log(tmp_path: Path, number: signal.Signals) -> None:
    process = RelayProcess(tmp_path, open_registration=True).start()
    served, data = Served(process, enrolled(process)), os.urandom(LENGTH)
    with half_an_upload(served, data) as upload:
        os.kill(process.pid, number)
        wait_for(process, "stopping: requests under way have 20 s to finish")
        with pytest.raises(OSError, match="refused"):  # nobody new is accepted
            ask(process.address, "GET", "/healthz")
        upload.sendall(data[LENGTH // 2 :])
        assert upload.recv(1000).startswith(b"HTTP/1.1 201 ")
    assert process.wait() == 0
    assert not list(tmp_path.glob("relay.db-*"))  # written back: the folder can be copied as it is
    process.start()
    answer = ask(process.address, "GET", f"{served.base}/objects/{name_of(data).hex()}", keys=served.account.device)
    assert answer.body == data
    assert process.stop() == 0


def test_the_time_for_it_is_bounded(tmp_path: Path) -> None:
    process = RelayProcess(tmp_path, "--stop-seconds", "0.2", open_registration=True).start()
    served, data = Served(process, enrolled(process)), os.urandom(LENGTH)
    with half_an_upload(served, data):
        assert process.stop() == 0
    process.start()
    target = f"{served.base}/objects/{name_of(data).hex()}"
    assert ask(process.address, "GET", target, keys=served.account.device).status == 404
    assert ask(process.address, "PUT", target, data, keys=served.account.device).status == 201
    assert process.stop() == 0


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    process = RelayProcess(tmp_path, "--stop-seconds", "3600", open_registration=True).start()
    served, data = Served(process, enrolled(process)), os.urandom(LENGTH)
    with half_an_upload(served, data):
        os.kill(process.pid, signal.SIGINT)
        wait_for(process, "stopping:")
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait() == 128 + signal.SIGTERM
    process.start()
    assert ask(process.address, "GET", f"{served.base}/head", keys=served.account.device).status == 200
    assert process.stop() == 0


def test_no_answer_names_versions(tmp_path: Path) -> None:
    with RelayProcess(tmp_path, open_registration=True) as process:
        answers = [ask(process.address, "GET", path).headers["Server"] for path in ("/healthz", "/v1/relay", "/none")]
        assert answers == ["strongroom-relay"] * 3
        with socket.create_connection(process.address, timeout=10) as raw:
            raw.sendall(b"GET / HTTP/1.1\r\nbroken header\r\n\r\n")
            said = raw.recv(4000)
        assert b" 400 " in said[:13]
        assert b"\r\nServer: strongroom-relay\r\n" in said
        assert b"aiohttp" not in said
        assert b"Python" not in said
