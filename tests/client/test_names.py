"""File names that others chose."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.formats.names import NAME_BYTES, safe_name


@pytest.mark.parametrize(
    ("given_name", "name"),
    [
        ("cat.jpg", "cat.jpg"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\evil.exe", "evil.exe"),
        ("/absolute", "absolute"),
        ("..", "file"),
        ("", "file"),
        (".bashrc", "bashrc"),
        ("a\x00b\x1b[2J.txt", "a_b_[2J.txt"),
        ("gnp\u202efdp.exe", "gnp_fdp.exe"),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("nul.tar.gz", "_nul.tar.gz"),
        ("COM\u00b9.txt", "_COM\u00b9.txt"),
        ("conin$", "_conin$"),
        ("aux .x.y", "_aux .x.y"),
        ("console.log", "console.log"),
        ("猫の写真.jpg", "猫の写真.jpg"),
        ("x" * 500 + ".jpeg", "x" * (NAME_BYTES - 5) + ".jpeg"),
    ],
)
def test_attack_096_names(given_name: str, name: str) -> None:
    assert safe_name(given_name) == name


@given(st.text())
def test_attack_096_any_text_is_one_harmless_name(text: str) -> None:
    name = safe_name(text)
    assert name not in ("", ".", "..")
    assert not set(name) & set("/\\\x00")
    assert len(name.encode()) <= NAME_BYTES + 1
    assert safe_name(name) == name
