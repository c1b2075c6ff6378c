"""Memory does not grow with history or files: peaks of fresh processes at two sizes, one four times the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from scale.memory import Peak, run

pytestmark = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="measures memory through /proc")

CLIENT_MB = 150.0
SLOPE, SLACK_MB = 1.15, 8.0
"""At four times the size; the constant is what two runs of one size differ by."""

SMALL, LARGE = (70_000, 24_000_000), (280_000, 96_000_000)
"""Messages and bytes of media: both are large imports with a worker process, and fill what is fetched at once."""

SUBJECT = "scale.subject"


def peaks(folder: Path, messages: int, media: int) -> dict[str, Peak]:
    """What import, restore on a new device, and export take at most, relay (a folder) and worker included."""
    relay = f"file://{folder}/relay"
    run(SUBJECT, "create", folder / "a", relay)
    imported = run(SUBJECT, "import", folder / "a", str(messages), str(media))
    assert imported.printed["rows"] == messages
    run(SUBJECT, "login", folder / "b", relay)
    restored = run(SUBJECT, "restore", folder / "b")
    assert (restored.printed["rows"], restored.printed["damaged"]) == (messages, 0)
    exported = run(SUBJECT, "export", folder / "b", folder / "export")
    assert exported.printed["message"] == messages
    return {"import": imported.peak, "restore": restored.peak, "export": exported.peak}


def test_peaks_at_four_times_the_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "small").mkdir()
    (tmp_path / "large").mkdir()
    small, large = peaks(tmp_path / "small", *SMALL), peaks(tmp_path / "large", *LARGE)
    with capsys.disabled():
        for what, peak in small.items():
            print(
                f"\n{what}: {peak.pss:.0f} MB at {SMALL[0]:,} messages, {large[what].pss:.0f} MB at {LARGE[0]:,}",
                end="",
            )
    for what, peak in small.items():
        assert large[what].pss <= SLOPE * peak.pss + SLACK_MB, what
        assert large[what].pss < CLIENT_MB, what
