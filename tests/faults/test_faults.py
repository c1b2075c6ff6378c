"""Attacks 84 to 87 and 94: SIGKILL, EIO and ENOSPC at every call that changes a relay's or a vault's folder.

A clean run counts the calls of each thread. Then every one of them is struck in a run of its own, or, in the ordinary
suite, a stated share (`STRONGROOM_FAULTS=K/N`; `make faults` does all).
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable

import pytest

from faults.scenarios import SCENARIOS, Run, Work
from faults.traced import NOT_HERE, Fault

SLICE = os.environ.get("STRONGROOM_FAULTS", "1/61")
PART, PARTS = (int(number) for number in SLICE.split("/"))
FAULTS = ("SIGKILL", "EIO", "ENOSPC")

pytestmark = pytest.mark.skipif(bool(NOT_HERE), reason=NOT_HERE)


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Work]:
    made: dict[str, Work] = {}

    def make(name: str) -> Work:
        if name not in made:
            made[name] = SCENARIOS[name](tmp_path_factory.mktemp(name))
        return made[name]

    return make


@pytest.mark.parametrize(
    ("name", "thread"), [(name, thread) for name, kind in SCENARIOS.items() for thread in kind.threads]
)
def test_attack_085_086_a_fault_at_every_write(
    scenario: Callable[[str], Work], name: str, thread: str, capsys: pytest.CaptureFixture[str]
) -> None:
    case = scenario(name)
    clean = case.run(thread, None)
    case.check(clean)
    assert clean.status == 0, clean.process.errors
    calls = clean.process.calls(clean.folder)
    assert calls, "the clean run changed nothing"
    faults = [Fault(call, what) for call in calls for what in FAULTS]
    chosen = faults[PART - 1 :: PARTS]
    failed: list[str] = []
    for fault in chosen:
        run = case.run(thread, fault)
        try:
            assert run.process.reached, "the call was not made"
            require_honest(run, fault)
            if run.started:
                case.require_answers(run, thread, fault)
            case.check(run)
        except Exception as error:
            failed.append(f"{fault}: {type(error).__name__} {error}\n{run.process.errors}")
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(Counter(call.kind for call in calls).items()))
    with capsys.disabled():
        struck = f"{len(chosen)} of {len(faults)} faults at {len(calls)} calls"
        print(f"\n{name} {thread}: {struck} (slice {SLICE}; {kinds})", file=sys.stderr)
    assert not failed, "\n".join(failed)


def require_honest(run: Run, fault: Fault) -> None:
    """A process that is struck dies of the kill, or ends in order, without a traceback."""
    if fault.what == "SIGKILL":
        assert run.status == -9
        return
    assert run.status in (0, 1), f"status {run.status}: {run.process.errors}"
    assert "Traceback" not in run.process.errors, run.process.errors
