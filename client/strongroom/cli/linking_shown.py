"""What both sides of a link show while they wait."""

from __future__ import annotations

import sys

import click

from strongroom.linking import LinkProgress, LinkStep

_SAID = {
    LinkStep.WRONG_CODE: "a wrong code was entered",
    LinkStep.CODE_ACCEPTED: "the two devices have found each other",
    LinkStep.ADDING: "adding the new device",
}


class Waiting:
    """Steps as they come; on a terminal, how long the code is still good."""

    def __init__(self, what: str, *, say_fingerprint: bool = False) -> None:
        self._what = what
        self._say_fingerprint = say_fingerprint
        self._on = sys.stderr.isatty()
        self._said: LinkStep | None = None

    def on(self, progress: LinkProgress) -> None:
        """Show one step of the SDK."""
        if progress.step is LinkStep.WAITING:
            if self._on:
                left = f"{progress.seconds // 60}:{progress.seconds % 60:02}"
                sys.stderr.write(f"\r\x1b[K{self._what} ({left} left)")
                sys.stderr.flush()
            return
        self.clear()
        if progress.step is self._said and progress.step is not LinkStep.WRONG_CODE:
            return  # every step is said once; each wrong code counts
        self._said = progress.step
        more = f"; tries left: {progress.tries}" if progress.step is LinkStep.WRONG_CODE else ""
        click.echo(f"strongroom: {_SAID[progress.step]}{more}", err=True)
        if self._say_fingerprint and progress.step is LinkStep.CODE_ACCEPTED:
            click.echo(f"strongroom: confirm on the old device; this one is {progress.fingerprint}", err=True)

    def clear(self) -> None:
        """Take the moving line away."""
        if self._on:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
