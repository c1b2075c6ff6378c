"""The judge can fail: clients that are broken on purpose fail the scenarios that they should, and pass a sound one."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from conformance_client.conftest import BROKEN
from strongroom_conformance.cli import chosen
from strongroom_conformance.client import Client
from strongroom_conformance.judge import Verdict
from strongroom_conformance.runner import Runner
from strongroom_conformance.world import World


def _judged(world: World, client: str, *names: str) -> dict[str, Verdict]:
    broken = replace(world, client=Client([sys.executable, str(BROKEN), client]))
    # Its accounts are those of the honest client: what is broken is how it meets a lie.
    verdicts = Runner(broken, lambda line: None).run(chosen(names, ""), {})
    return {verdict.name: verdict for verdict in verdicts}


def _fault(verdict: Verdict, *words: str) -> bool:
    return any(all(word in fault for word in words) for fault in verdict.faults)


@pytest.fixture(scope="module", autouse=True)
def _stages(world: World) -> None:
    world.begin("family")


def test_a_client_that_forgets_fails_where_it_should_remember(world: World) -> None:
    found = _judged(world, "forgetful", "rollback-by-one", "freeze")
    assert _fault(found["rollback-by-one"], "exit 0 instead of 13")
    assert _fault(found["rollback-by-one"], "moved from version 8 to 7")
    assert _fault(found["rollback-by-one"], "messages")
    assert found["freeze"].passed  # nothing there for it to forget


def test_a_client_that_believes_everything_fails(world: World) -> None:
    found = _judged(world, "credulous", "head-bit", "rollback-while-verifying", "redirect-307")
    assert _fault(found["head-bit"], "exit 0 instead of 13")
    assert _fault(found["rollback-while-verifying"], "exit 0 instead of 13")
    assert _fault(found["redirect-307"], "exit 0 instead of 14")


def test_a_client_that_never_gives_up_fails(world: World) -> None:
    found = _judged(world, "insistent", "ghost-head", "problem-rate")
    assert _fault(found["ghost-head"], "requests after the lie, more than")
    assert _fault(found["problem-rate"], "requests after the lie, more than")


def test_a_client_that_cannot_do_with_an_honest_relay_is_told_so(world: World) -> None:
    broken = replace(world, client=Client([sys.executable, "-c", "import sys; print('{}'); sys.exit(9)"]))
    (verdict,) = Runner(broken, lambda line: None).run(chosen(["head-bit"], ""), {})
    assert _fault(verdict, "fails against an honest relay: exit 9")
