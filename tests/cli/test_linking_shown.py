"""What both sides of a link say while they wait."""

from __future__ import annotations

import pytest

from strongroom.cli.linking_shown import Waiting
from strongroom.linking import LinkProgress, LinkStep


def test_a_step_is_said_once_and_each_wrong_code_counts(capsys: pytest.CaptureFixture[str]) -> None:
    waiting = Waiting("waiting", say_fingerprint=True)
    for step, tries in (
        (LinkStep.WRONG_CODE, 2), (LinkStep.WRONG_CODE, 1), (LinkStep.CODE_ACCEPTED, 1), (LinkStep.CODE_ACCEPTED, 1),
        (LinkStep.ADDING, 1),
    ):  # fmt: skip
        waiting.on(LinkProgress(step, 300, tries, "1234 5678"))
    assert capsys.readouterr().err.splitlines() == [
        "strongroom: a wrong code was entered; tries left: 2",
        "strongroom: a wrong code was entered; tries left: 1",
        "strongroom: the two devices have found each other",
        "strongroom: confirm on the old device; this one is 1234 5678",
        "strongroom: adding the new device",
    ]
