"""Attack 87: after a power cut at any moment every acknowledged object and head is there, and nothing is torn."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path

import pytest

from faults.scenarios import Run, Work, with_transport
from faults.shadow import Shadow, cuts, events, recording
from faults.story import Step, ask, authenticated
from faults.test_faults import PART, PARTS, SLICE
from faults.traced import NOT_HERE, Traced
from relay_process import RelayProcess
from strongroom.transport.http import HttpTransport
from strongroom.transport.inprocess import InProcessTransport
from strongroom_relay.service.relay import open_relay

pytestmark = pytest.mark.skipif(bool(NOT_HERE), reason=NOT_HERE)
ANSWERS = (b"HTTP/1.1 200 ", b"HTTP/1.1 201 ")


async def after_the_cut(case: Work, folder: Path, acknowledged: list[Step]) -> None:
    """A start without repair, all that was acknowledged, and every request once more."""
    relay = open_relay(folder, origins=("file:",), open_registration=True)
    try:
        await relay.start()
        transport = InProcessTransport(relay)
        authenticated(case.story, transport)
        await case.look(Run(folder, Traced((), folder), acknowledged), transport)
        for step in case.story.steps:
            await ask(case.story, step, transport)
        await case.require(transport, case.story.steps, absent=())
    finally:
        relay.store.close()


def test_attack_087_what_was_acknowledged_survives_a_power_cut_at_any_call(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = Work(tmp_path)
    folder, log = tmp_path / "run", tmp_path / "recorded"
    shutil.copytree(case.template, folder)
    process = RelayProcess(folder, *case.options)
    process.prefix = recording(log)
    with process:
        run = Run(folder, Traced((), log))
        with_transport(HttpTransport(process.url), lambda transport: case.ask(run, transport))
    assert run.acknowledged == case.story.steps
    happened = events(log, folder)
    shadow, answers, struck, failed = Shadow(case.template), 0, 0, []
    for number, event in enumerate(happened):
        acknowledging = event.kind == "sendto" and event.data.startswith(ANSWERS) and answers < len(case.story.steps)
        answers += acknowledging
        if event.kind != "sendto":
            shadow.do(event)
        if number % PARTS != PART - 1 and not acknowledging:
            continue
        for name, keep in cuts(number):
            struck += 1
            left = tmp_path / "left"
            shadow.leave(left, keep)
            try:
                asyncio.run(after_the_cut(case, left, case.story.steps[:answers]))
            except Exception as error:
                failed.append(f"cut after {event.kind} {event.path} ({number}), {name} arrived: {error!r}")
            shutil.rmtree(left)
    with capsys.disabled():
        print(f"\npower cuts: {struck} of {4 * len(happened)} states (slice {SLICE})", file=sys.stderr)
    assert answers == len(case.story.steps)
    assert not failed, "\n".join(failed)
