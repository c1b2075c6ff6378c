"""Slack's mrkdwn as text that people read, with spans; one pass, in time linear in the text.

The source stays in the message's markup. Where a mark may or may not be formatting, it is left as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

Span = dict[int, Any]
_START, _LENGTH, _TYPE, _TARGET = 1, 2, 3, 4
_SPECIAL = re.compile(r"[<&`*_~:]")
_TOKEN = re.compile(
    r"```(?P<pre>.*?)```"
    r"|(?<!`)`(?P<code>[^`\n]+)`(?!`)"
    r"|<(?P<angle>[^<>\n]+)>"
    r"|&(?P<entity>lt|gt|amp);"
    r"|:(?P<emoji>[a-z0-9_+'-]{1,64}(?:::skin-tone-[2-6])?):"
    r"|(?P<mark>[*_~])"
    r"|(?P<line>\n)",
    re.DOTALL,
)
_MARKS = {"*": "bold", "_": "italic", "~": "strikethrough"}
_ENTITIES = {"lt": "<", "gt": ">", "amp": "&"}
_ENTITY = re.compile(r"&(lt|gt|amp);")
_TONE = "::skin-tone-"
_EMOJI_FILE = "emoji.txt"


class Names(NamedTuple):
    """How ids are shown: None for one that is not known."""

    person: Callable[[str], str | None]
    channel: Callable[[str], str | None]


class Readable(NamedTuple):
    """A text with what stood between the lines of its source."""

    text: str
    spans: list[Span]
    mentions: list[str]


def readable(source: str, names: Names) -> Readable:
    """The text of a message."""
    if not _SPECIAL.search(source):
        return Readable(source, [], [])
    tokens = list(_TOKEN.finditer(source))
    writer = _Writer(names)
    paired = _pairs(source, tokens)
    place = 0
    for token in tokens:
        writer.plain(source[place : token.start()])
        place = token.end()
        writer.token(token, paired.get(token.start()))
    writer.plain(source[place:])
    spans = sorted(writer.spans, key=lambda span: (span[_START], -span[_LENGTH]))
    return Readable("".join(writer.parts), spans, list(dict.fromkeys(writer.mentions)))


def emoji(name: str) -> str | None:
    """The Unicode emoji that Slack calls so; None for one of a workspace's own."""
    base, _, tone = name.partition(_TONE)
    found = _table().get(base)
    if found is None or not tone:
        return found if not tone else None
    if tone not in ("2", "3", "4", "5", "6"):
        return None
    return found[0] + chr(0x1F3FB + int(tone) - 2) + found[1:].removeprefix("\ufe0f")


@cache
def _table() -> dict[str, str]:
    text = resources.files("strongroom.formats.slack").joinpath(_EMOJI_FILE).read_text("utf-8")
    lines = (line.split(" ") for line in text.splitlines() if not line.startswith("# "))
    return {name: line[0] for line in lines for name in line[1:]}


def _pairs(source: str, tokens: list[re.Match[str]]) -> dict[int, bool]:
    """The marks that are formatting: by place, True for one that opens. They pair up within a line, well nested."""
    paired: dict[int, bool] = {}
    opened: list[tuple[str, int]] = []
    for token in tokens:
        mark = token["mark"]
        if token["line"] or token["pre"] is not None:
            opened.clear()
        if not mark:
            continue
        before, after = source[token.start() - 1 : token.start()], source[token.end() : token.end() + 1]
        depth = next((at for at, (open_mark, _) in enumerate(opened) if open_mark == mark), None)
        if depth is not None and not before.isspace() and not after.isalnum() and opened[depth][1] + 1 < token.start():
            paired[opened[depth][1]], paired[token.start()] = True, False
            del opened[depth:]
        elif depth is None and after.strip() and not before.isalnum():
            opened.append((mark, token.start()))  # at most one of each kind
    return paired


class _Writer:
    def __init__(self, names: Names) -> None:
        self._names = names
        self._length = 0
        self._open: list[tuple[str, int]] = []
        self.parts: list[str] = []
        self.spans: list[Span] = []
        self.mentions: list[str] = []

    def plain(self, text: str) -> None:
        self.parts.append(text)
        self._length += len(text)

    def span(self, text: str, kind: str, target: str | None = None) -> None:
        if text:
            found: Span = {_START: self._length, _LENGTH: len(text), _TYPE: kind}
            self.spans.append(found if target is None else {**found, _TARGET: target})
            self.plain(text)

    def token(self, token: re.Match[str], opens: bool | None) -> None:
        """Write one token; `opens` says of a mark whether it begins or ends formatting, or (None) is just a mark."""
        match token.lastgroup:
            case "pre" | "code" as kind:
                self.span(_unescaped(token[kind]), kind)
            case "angle":
                self._angle(token["angle"])
            case "entity":
                self.plain(_ENTITIES[token["entity"]])
            case "emoji":
                self.plain(emoji(token["emoji"]) or token[0])
            case "mark" if opens:
                self._open.append((token[0], self._length))
            case "mark" if opens is False:
                _, start = self._open.pop()
                if start < self._length:
                    found = {_START: start, _LENGTH: self._length - start, _TYPE: _MARKS[token[0]]}
                    self.spans.append(found)
            case _:
                self.plain(token[0])

    def _angle(self, inner: str) -> None:
        """`<@person>`, `<#channel|name>`, `<!here>`, `<address|label>`."""
        target, _, label = inner.partition("|")
        label = _unescaped(label)
        sign, rest = target[:1], target[1:]
        if sign == "@" and rest:
            self.mentions.append(rest)
            self.span(f"@{self._names.person(rest) or label or rest}", "mention", rest)
        elif sign == "#" and rest:
            self.span(f"#{label or self._names.channel(rest) or rest}", "channel", rest)
        elif sign == "!" and rest:
            self._special(rest, label)
        else:
            address = _unescaped(target)
            self.span(label or address.removeprefix("mailto:"), "text_link" if label else "link", address)

    def _special(self, what: str, label: str) -> None:
        name, _, rest = what.partition("^")
        if name == "subteam":
            self.span(f"@{label.removeprefix('@') or rest}", "group", rest or None)
        elif name == "date":
            self.span(label or rest.partition("^")[0], "date", rest.partition("^")[0] or None)
        else:  # here, channel, everyone
            self.span(f"@{label.removeprefix('@') or name}", "broadcast", name)


def _unescaped(text: str) -> str:
    return _ENTITY.sub(lambda found: _ENTITIES[found[1]], text) if "&" in text else text
