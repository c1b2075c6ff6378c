"""Export as pages that look like a chat app and open from disk (docs/formats.md)."""

from __future__ import annotations

from strongroom.formats.html.export import export_html

__all__ = ["export_html"]
