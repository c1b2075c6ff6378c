"""`strongroom search WORDS…`: find messages in the index of this device (docs/search.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from strongroom.cli.context import Context, accepted, common, context
from strongroom.cli.errors import EXIT_INCOMPLETE
from strongroom.cli.text import moment, number, safe
from strongroom_protocol.errors import InvalidArgument

if TYPE_CHECKING:
    from strongroom.search.records import Hit, SearchPage

PATIENCE_S = 10.0
"""How long a search waits for the index to be made before it answers from what there is."""


@click.command("search")
@common
@accepted
@click.argument("words", nargs=-1)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1_000), help="how many hits")
@click.option("--before-hit", metavar="CURSOR", help="go on after an earlier page; what that page has printed")
@click.option("--index", "make", is_flag=True, help="make the index complete now, and switch searching on")
@click.option("--forget-index", is_flag=True, help="delete the index, and make no other")
def command(words: tuple[str, ...], make: bool, forget_index: bool, **given: Any) -> int:
    """Find messages, newest first: words, "phrases", -not, from:, in:, before:, after:, has:

    Words are found by how they begin; Chinese, Japanese, Korean and emoji anywhere. The index is plain text on this
    device. A word that begins with - comes after --: `strongroom search cat -- -dog`.
    """
    if sum((bool(words), make, forget_index)) != 1:
        raise InvalidArgument("give words to search for, or --index, or --forget-index", hint="see search --help")
    limit, before = given.pop("limit"), given.pop("before_hit")
    called = context(**given)
    if make:
        return called.run(_index(called))
    if forget_index:
        return called.run(_forget(called))
    return called.run(_search(called, " ".join(words), limit, before))


async def _search(given: Context, query: str, limit: int, before: str | None) -> int:
    async with await given.open() as vault:
        page = await vault.search(query, limit=limit, before=before, patience=PATIENCE_S)
    given.emit(_plain(page), "\n".join(line for hit in page.hits for line in _lines(hit)) or "nothing found")
    if page.rebuilt:
        given.note(f"the search index was made anew: {page.rebuilt}")
    if page.damaged:
        given.note(
            f"{number(len(page.damaged), 'objects')} damaged or missing, so this may not be all: see strongroom verify"
        )
    elif page.back_to:
        given.note(f"indexed back to {moment(page.back_to)[:10]} so far; strongroom search --index makes it complete")
    elif not page.complete:
        given.note("the relay cannot be reached, or not all could be read: newer messages may be missing")
    if page.following is not None:
        given.note(f"more: --before-hit {page.following}")
    return 0 if page.complete else EXIT_INCOMPLETE


async def _index(given: Context) -> int:
    from strongroom.cli.progress import Meter

    async with await given.open() as vault:
        with Meter("indexed", "records") as meter:
            state = await vault.index(lambda rows, waiting, _: meter.to(rows, rows + waiting))
        damaged = vault.damage()
    given.emit(
        {"messages": state.messages, "waiting": state.waiting, "size": state.size, "damaged": damaged},
        f"{number(state.messages, 'messages')} indexed, {state.size / 1e6:,.1f} MB",
    )
    if damaged:
        given.note(f"{number(len(damaged), 'objects')} damaged or missing, so this is not all: see strongroom verify")
    return EXIT_INCOMPLETE if damaged else 0


async def _forget(given: Context) -> int:
    async with await given.open() as vault:
        there = await vault.forget_index()
    given.emit({"deleted": there}, "the search index is deleted" if there else "there was no search index")
    given.note("searching is switched off on this device; strongroom search --index switches it on")
    return 0


def _plain(page: SearchPage) -> dict[str, Any]:
    return {
        "hits": [
            {
                "chat": hit.chat, "title": hit.title, "id": hit.id, "time": hit.time, "sender": hit.sender,
                "sender_name": hit.sender_name, "has": list(hit.labels), "snippet": hit.snippet,
                "marks": [list(mark) for mark in hit.marks],
            }
            for hit in page.hits
        ],
        "following": page.following, "complete": page.complete, "back_to": page.back_to,
        "damaged": list(page.damaged), "rebuilt": page.rebuilt,
    }  # fmt: skip


def _lines(hit: Hit) -> list[str]:
    who = hit.sender_name or hit.sender
    said = "".join(f"[{safe(part)}]" if marked else safe(part) for part, marked in _parts(hit))
    return [
        f"{moment(hit.time)}  {safe(hit.title or hit.chat)}",
        f"{'':16}  {f'{safe(who)}: ' if who else ''}{said}  ({safe(hit.id)})",
    ]


def _parts(hit: Hit) -> list[tuple[str, bool]]:
    parts: list[tuple[str, bool]] = []
    at = 0
    for start, end in hit.marks:
        parts += [(hit.snippet[at:start], False), (hit.snippet[start:end], True)]
        at = end
    return [*parts, (hit.snippet[at:], False)]
