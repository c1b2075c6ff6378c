"""The frame of every exported page: its policy, its one style sheet, its one script. Neither is ever filled in."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files

from strongroom.formats.html.words import text

MARK = '<meta name="generator" content="strongroom-export html 1">'


def _asset(name: str) -> str:
    return (files("strongroom.formats.html") / name).read_text(encoding="utf-8").strip()


STYLE, SCRIPT = _asset("page.css"), _asset("page.js")


def _hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


POLICY = (
    f"default-src 'none'; script-src {_hash(SCRIPT)}; style-src {_hash(STYLE)}; img-src 'self' file:; media-src 'self' "
    "file:; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
"""Nothing but this script and this style; pictures and sounds from the disk, and nothing from anywhere else. A policy
cannot name a folder on the disk. The last two make a browser refuse to turn any text into markup, this script's too."""


def opening(title: str, *, kind: str) -> str:
    """Everything before a page's content. The policy stands before anything that it is to hold."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{text(POLICY)}">\n{MARK}\n'  # spec: EXP-2
        '<meta name="referrer" content="no-referrer">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{text(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body class="{kind}">\n'
    )


def closing() -> str:
    """Everything after it: the script comes last, when all that it works on is there."""
    return f"<script>{SCRIPT}</script>\n</body>\n</html>\n"
