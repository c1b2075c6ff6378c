"""Telegram Desktop's JSON exports: `result.json` of one chat or of all, alone, in its folder, or in a zip."""

from __future__ import annotations

from strongroom.formats.telegram.export import Telegram

__all__ = ["Telegram"]
