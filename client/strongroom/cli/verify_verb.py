"""`strongroom verify`: every byte, from the relay; or a part of it, and what that says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from strongroom.cli.context import Context, accepted, common, context
from strongroom.cli.errors import EXIT_UNTRUSTED
from strongroom.cli.progress import Meter
from strongroom.cli.text import number

if TYPE_CHECKING:
    from strongroom.engine.audit import Audit

_LOSSES = (("a hundredth", 0.01), ("a tenth", 0.1))


@click.command("verify")
@common
@accepted
@click.option("--quick", is_flag=True, help="fetch no content: what there is, and whether the relay answers for it")
@click.option("--sample", metavar="N%", help="fetch N percent of the content, drawn at random")
@click.option("--full", is_flag=True, help="fetch everything (the default)")
def command(quick: bool, sample: str | None, full: bool, **given: Any) -> int:
    """Check what the relay holds, even what this device has too. What it was wrongly told to delete, it is told to
    keep.

    All of it, unless told otherwise: every digest is compared, every seal opened, every message parsed. A sample says
    how likely it would have found a loss; repeat it, and the chance that one stays hidden shrinks each time.
    """
    if quick + full + (sample is not None) > 1:
        raise click.UsageError("--quick, --sample and --full exclude each other")
    called = context(**given)
    return called.run(_verify(called, quick=quick, percent=None if sample is None else _percent(sample)))


def _percent(text: str) -> float:
    try:
        percent = float(text.removesuffix("%"))
    except ValueError:
        percent = 0.0
    if not 0 < percent <= 100:  # also when it is not a number
        raise click.UsageError("--sample takes a percentage above 0 and up to 100, such as 5%")
    return percent


async def _verify(given: Context, *, quick: bool, percent: float | None) -> int:
    from strongroom.engine.depth import FULL, Depth

    depth = Depth.quick() if quick else FULL if percent is None else Depth.sample(percent)
    async with await given.open() as vault:
        with Meter("verifying", "bytes") as meter:
            found = await vault.verify(depth, progress=meter.on)
        damaged = {name: str(kind) for name, kind in found.damaged.items()}
        kept = await vault.keep_all() if found.leaving and vault.writable else 0
        hides = bool(found.planted or found.unlisted)
        uprooted = await vault.uproot() if hides and vault.writable and not damaged else 0
        lost = {"1": found.chance(1)} | {f"{share:.0%}": found.chance(_of(found, share)) for _, share in _LOSSES}
        given.emit(
            {
                "depth": "quick" if quick else "full" if percent is None else "sample",
                "objects": found.objects,
                "bytes": found.bytes,
                "content": found.content,
                "examined": found.examined,
                "asked": found.asked,
                "leaving": found.leaving,
                "kept_again": kept,
                "planted": found.planted,
                "unlisted": found.unlisted,
                "uprooted": uprooted,
                "chance": {loss: round(chance, 6) for loss, chance in lost.items()},
                "frames": found.frames,
                "records": found.rows,
                "frames_lost": found.frames_lost,
                "records_lost": found.rows_lost,
                "damaged": damaged,
            },
            "\n".join(_lines(found, quick=quick, sampled=percent is not None)),
        )
        for name, kind in damaged.items():
            given.note(f"{kind}: {name}")
        if found.leaving:
            given.note(
                f"{number(found.leaving, 'objects')} needed by this version about to be deleted: a device wanted it. "
                + ("They are kept again" if kept else "A device that may write has to run `strongroom verify`")
                + "; `strongroom undo --list` shows who committed what"
            )
        if hides:
            given.note(
                f"a device has hidden messages, of {number(found.unlisted, 'chats')} now, "
                f"of {found.planted:,} later on. "
                + ("That is mended" if uprooted else "A device that may write has to run `strongroom verify`")
                + "; find out which device, and remove it with `strongroom revoke`"
            )
        return EXIT_UNTRUSTED if damaged or found.leaving or hides else 0


def _of(found: Audit, share: float) -> int:
    """So large a share of the content objects, one at least."""
    return max(1, round(share * found.content))


def _lines(found: Audit, *, quick: bool, sampled: bool) -> list[str]:
    verdict = "all good" if not found.damaged else f"{len(found.damaged)} damaged"
    seen = (number(found.objects, "objects"), number(found.bytes, "bytes"), number(found.rows, "records"))
    lines = [f"{', '.join(seen)}: {verdict}"]
    if quick:
        lines.append(
            f"structure fetched and checked; the relay says that it has the {number(found.asked, 'objects')} of "
            "content, which were not fetched: damage inside them would not be noticed (--sample or --full does)"
        )
    elif sampled:
        lines.append(
            f"structure fetched and checked, and {found.examined:,} of {number(found.content, 'objects')} of content"
        )
        lines += [
            f"the loss of {words} of them ({_of(found, share):,}) is found with a chance of "
            f"{_shown(found.chance(_of(found, share)))}"
            for words, share in _LOSSES
        ]
    return lines


def _shown(chance: float) -> str:
    """Percent, never rounded up to a certainty that is none."""
    return "100 %" if chance == 1 else f"{min(chance * 100, 99.99):.2f} %"
