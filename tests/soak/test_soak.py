"""Four devices or more and a lying relay, for 60 seconds, or STRONGROOM_SOAK_SECONDS (`make soak`: ten minutes)."""

from __future__ import annotations

import os
import random
import time

import pytest
from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from soak.machine import Machine

SECONDS = float(os.environ.get("STRONGROOM_SOAK_SECONDS", "60"))
SEED = int(os.environ.get("STRONGROOM_SOAK_SEED", "0"))
"""A round's seed, to repeat it alone; 0: a new one every round."""

ROUND = settings(
    max_examples=8, stateful_step_count=100, deadline=None, database=None, verbosity=Verbosity.normal,
    phases=[Phase.generate, Phase.shrink], suppress_health_check=list(HealthCheck), print_blob=False,
)  # fmt: skip


def test_no_promise_breaks(capsys: pytest.CaptureFixture[str]) -> None:
    """Rounds of a few worlds until the time is up; a failure names its round's seed and prints the shortest script."""
    began, rounds = time.monotonic(), 0
    while time.monotonic() < began + SECONDS:
        number = SEED or random.SystemRandom().getrandbits(48)
        try:
            run_state_machine_as_test(seed(number)(Machine), settings=ROUND)
        except BaseException as error:
            error.add_note(f"again with STRONGROOM_SOAK_SEED={number}")
            raise
        rounds += 1
        if SEED:
            break
    with capsys.disabled():
        print(f"\n{rounds} rounds in {time.monotonic() - began:.0f} s: {Machine.tally.words()}")
    assert Machine.tally.compared > 0
