"""Kill -9 under load: whatever was acknowledged is there afterwards, and nothing is torn (chapter 11)."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from relay_process import RelayProcess
from server.account_builder import ask, name_of
from server.conftest import Served, enrolled
from strongroom_protocol.manifest.head import parse_head
from strongroom_protocol.relay_api.messages import HeadResponse
from strongroom_relay.cli import main

ROUNDS = 3


def test_attack_085_everything_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    process = RelayProcess(tmp_path, open_registration=True).start()
    served = Served(process, enrolled(process))
    acknowledged: dict[bytes, bytes] = {}
    heads: list[bytes] = [served.account.newest.hash]

    def uploads(stop: threading.Event, size: int) -> None:
        while not stop.is_set():
            data = os.urandom(size)
            try:
                answer = ask(process.address, "PUT", f"{served.base}/objects/{name_of(data).hex()}", data,
                             keys=served.account.device)  # fmt: skip
            except OSError:
                return
            if answer.status == 201:
                acknowledged[name_of(data)] = data

    def committing(stop: threading.Event) -> None:
        while not stop.is_set():
            request = served.account.commit(objects=(os.urandom(2000),))
            try:
                answer = ask(process.address, "POST", f"{served.base}/commit", request.encode(),
                             keys=served.account.device)  # fmt: skip
            except OSError:
                return
            assert answer.status == 200, answer.body
            served.account.done(request)
            heads.append(served.account.newest.hash)
            acknowledged.update((name_of(data), data) for data in request.objects)

    for round_ in range(ROUNDS):
        stop = threading.Event()
        threads = [threading.Thread(target=uploads, args=(stop, size)) for size in (4096, 4096, 300_000)]
        threads.append(threading.Thread(target=committing, args=(stop,)))
        for thread in threads:
            thread.start()
        time.sleep(0.4 + 0.13 * round_)
        process.kill()
        stop.set()
        for thread in threads:
            thread.join()
        process.start()
        newest = HeadResponse.parse(ask(process.address, "GET", served.base + "/head", keys=served.account.device).body)
        head = parse_head(newest.head, account=served.account.id)
        assert head.version >= len(heads)
        if head.version > len(heads):  # committed, and killed before the answer
            assert head.version == len(heads) + 1
            lost = ask(process.address, "GET", f"{served.base}/heads/{len(heads)}", keys=served.account.device)
            assert parse_head(HeadResponse.parse(lost.body).head, account=served.account.id).hash == heads[-1]
            served.account.peaks = newest.peaks
            served.account.heads.append(head)
            heads.append(head.hash)
        assert head.hash == heads[-1]
        for name, data in acknowledged.items():
            answer = ask(process.address, "GET", f"{served.base}/objects/{name.hex()}", keys=served.account.device)
            assert answer.body == data
    assert len(acknowledged) > 10
    assert process.stop() == 0
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--deep", "--data", str(tmp_path)])
    assert ended.value.code == 0
