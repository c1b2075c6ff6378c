"""Sizes of sealed bytes, for who lays things out without opening them (spec chapter 05)."""

from __future__ import annotations

HEADER_BYTES = 94
TAG_BYTES = 16
