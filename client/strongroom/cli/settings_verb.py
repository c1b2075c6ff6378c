"""`strongroom settings`: what this device may spend on data and battery."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from strongroom.cli.context import Context, accepted, common, context
from strongroom_protocol.errors import InvalidArgument

if TYPE_CHECKING:
    from strongroom.settings import Settings

_MEDIA = {"now": "together with messages", "later": "after all messages", "on-demand": "when somebody looks"}


@click.command("settings")
@common
@accepted
@click.option("--live", type=click.Choice(["push", "poll", "off"]),
              help="how watch hears of news: the relay says when, it is asked now and then, or not at all")  # fmt: skip
@click.option(
    "--poll", type=click.IntRange(1, 86_400), metavar="SECONDS", help="ask every so many seconds (live: poll)"
)
@click.option("--media", type=click.Choice(list(_MEDIA)), help="when restore fetches files")
@click.option("--commit-delay", type=click.FloatRange(0, 3_600), metavar="SECONDS",
              help="how long a running program waits for more to send at once")  # fmt: skip
def command(live: str | None, poll: int | None, media: str | None, commit_delay: float | None, **given: Any) -> int:
    """Show the settings of this device, or change some. No relay and no other device sees them."""
    if poll is not None and live in ("push", "off"):
        raise InvalidArgument(f"--poll and --live {live} exclude each other")
    wanted: dict[str, Any] = {"live": "poll" if poll is not None else live, "poll": poll, "media": media}
    wanted["commit_delay"] = commit_delay
    called = context(**given)
    return called.run(_settings(called, {name: value for name, value in wanted.items() if value is not None}))


async def _settings(given: Context, wanted: dict[str, Any]) -> int:
    async with await given.open() as vault:
        settings = vault.settings()
        if wanted:
            settings = replace(settings, **wanted)
            vault.set_settings(settings)
    data = {"live": settings.live, "poll": settings.poll, "media": settings.media, "commit_delay": _delay(settings)}
    live = f"poll, every {settings.poll:,} s" if settings.live == "poll" else settings.live
    text = f"live: {live}\nmedia: {settings.media} ({_MEDIA[settings.media]})\ncommit delay: {_delay(settings):g} s"
    given.emit(data, text)
    return 0


def _delay(settings: Settings) -> float:
    from strongroom.sending import GATHER_S

    return GATHER_S if settings.commit_delay is None else settings.commit_delay
