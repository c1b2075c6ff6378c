"""Attack 074: what a relay sees is written down, and cannot grow unnoticed."""

from __future__ import annotations

from pathlib import Path

from leaks.relay_view import PAGE, page


def test_attack_074_the_page_is_what_a_relay_sees(tmp_path: Path) -> None:
    """When this fails and the change is meant: `python tests/leaks/relay_view.py`, and read the difference."""
    assert page(tmp_path).rstrip("\n") + "\n" == PAGE.read_text()
