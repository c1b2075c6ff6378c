"""The peers: what each needs to be here, and its commands for backup, restore and full check.

A place is a folder of one repository: the repository itself in `repo`, the peer's own cache in `cache`. Passwords are
given by environment and are constants: nothing here is secret. What a peer spends on opening its key counts, since
its user waits for it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.process import Sample, shell, size_of, timed

PASSWORD = "benchmark"  # noqa: S105 - of repositories that hold seeded noise
CACHE = Path.home() / ".cache" / "strongroom-bench"
"""Where peers that Debian does not package are looked for besides PATH."""


class Peer(Protocol):
    """A tool that makes encrypted backups of files. Every method raises Failed with what the tool said."""

    @property
    def name(self) -> str: ...

    @property
    def deduplicates(self) -> bool: ...

    def missing(self) -> str | None:
        """How to install it where it is not; None when it is there."""
        ...

    def version(self) -> str:
        """As the tool says itself."""
        ...

    def create(self, place: Path) -> None:
        """A new repository."""
        ...

    def backup(self, place: Path, base: Path, sources: Sequence[Path]) -> Sample:
        """Save `sources`, paths relative to `base`; done when the repository is on the disk."""
        ...

    def restore(self, place: Path, target: Path, only: Path | None = None) -> Sample:
        """Write the newest backup (or one file of it) below `target`; done when that is on the disk."""
        ...

    def check(self, place: Path) -> Sample:
        """Read and authenticate every byte of the repository."""
        ...


def stored(place: Path) -> int:
    """Bytes of the repository."""
    return size_of(place / "repo")


@dataclass(frozen=True, slots=True)
class Restic:
    """restic: content-defined chunks, deduplicated across everything."""

    name: str = "restic"
    deduplicates: bool = True

    def missing(self) -> str | None:
        return None if shutil.which("restic") else "apt-get install restic"

    def version(self) -> str:
        return _said("restic", "version")

    def create(self, place: Path) -> None:
        self._run(place, "init")

    def backup(self, place: Path, base: Path, sources: Sequence[Path]) -> Sample:
        return self._run(place, "backup", "--quiet", *sources, cwd=base, target=place / "repo")

    def restore(self, place: Path, target: Path, only: Path | None = None) -> Sample:
        chosen = ("--include", f"/{only}") if only else ()
        return self._run(place, "restore", "latest", "--target", target, *chosen, target=target, allowed=(0, 1))

    def check(self, place: Path) -> Sample:
        return self._run(place, "check", "--read-data")

    def _run(
        self, place: Path, *words: str | Path, cwd: Path | None = None, target: Path | None = None,
        allowed: tuple[int, ...] = (0,),
    ) -> Sample:  # fmt: skip
        env = {
            "RESTIC_REPOSITORY": str(place / "repo"),
            "RESTIC_PASSWORD": PASSWORD,
            "RESTIC_CACHE_DIR": str(place / "cache"),
        }
        return timed(["restic", *words], cwd=cwd, env=env, target=target, allowed=allowed)


@dataclass(frozen=True, slots=True)
class Borg:
    """Borg: content-defined chunks, deduplicated; `major` 1 is the stable series, 2 the beta that Debian packages."""

    name: str
    major: int
    deduplicates: bool = True

    @property
    def program(self) -> str | None:
        """The right series wherever it is: distributions call different ones `borg`."""
        wanted = re.compile(r"1\.4\." if self.major == 1 else r"2\.")
        for candidate in (
            shutil.which("borg2"), shutil.which("borg"), str(CACHE / "borg1.4/bin/borg"), str(CACHE / "borg2/bin/borg"),
        ):  # fmt: skip
            if candidate and Path(candidate).exists() and wanted.match(_said(candidate, "--version").split()[-1]):
                return candidate
        return None

    def missing(self) -> str | None:
        if self.program:
            return None
        if self.major == 2:
            return "apt-get install borgbackup2"
        return (
            "apt-get install libacl1-dev liblz4-dev libzstd-dev libxxhash-dev libssl-dev pkg-config gcc python3-venv, "
            f"then python3 -m venv {CACHE}/borg1.4 && {CACHE}/borg1.4/bin/pip install 'borgbackup==1.4.*'"
        )

    def version(self) -> str:
        return _said(self.program or "", "--version")

    def create(self, place: Path) -> None:
        place.mkdir(parents=True, exist_ok=True)
        if self.major == 1:
            self._run(place, "init", "-e", "repokey-blake2", place / "repo")
        else:
            self._run(place, "-r", place / "repo", "rcreate", "-e", "repokey-blake2-chacha20-poly1305")

    def backup(self, place: Path, base: Path, sources: Sequence[Path]) -> Sample:
        name = f"n{self._count(place)}"
        options = ("create", "--compression", "zstd,3")
        archive = self._in(place, *options, archive=name)
        return self._run(place, *archive, *sources, cwd=base, target=place / "repo")

    def restore(self, place: Path, target: Path, only: Path | None = None) -> Sample:
        archive = self._in(place, "extract", archive=f"n{self._count(place, add=0) - 1}")
        chosen = (only,) if only else ()
        return self._run(place, *archive, *chosen, cwd=target, target=target, allowed=(0, 1, 2))

    def check(self, place: Path) -> Sample:
        words = ("check", "--verify-data", place / "repo") if self.major == 1 else None
        return self._run(place, *(words or ("-r", place / "repo", "check", "--verify-data")))

    def _in(self, place: Path, *words: str, archive: str) -> tuple[str | Path, ...]:
        if self.major == 1:
            return (*words, f"{place}/repo::{archive}")
        return ("-r", place / "repo", *words, archive)

    def _count(self, place: Path, add: int = 1) -> int:
        """Archives so far, before the one that is `add`ed: names must differ."""
        file = place / "archives"
        count = int(file.read_text()) if file.exists() else 0
        if add:
            file.write_text(str(count + add))
        return count

    def _run(
        self, place: Path, *words: str | Path, cwd: Path | None = None, target: Path | None = None,
        allowed: tuple[int, ...] = (0, 1),
    ) -> Sample:  # fmt: skip
        env = {
            "BORG_PASSPHRASE": PASSWORD,
            "BORG_BASE_DIR": str(place / "cache"),
            "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
        }
        return timed([self.program or "", *words], cwd=cwd, env=env, target=target, allowed=allowed)


@dataclass(frozen=True, slots=True)
class TarAge:
    """tar, zstd and age: no deduplication and no increments, every backup is the whole again."""

    name: str = "tar+zstd+age"
    deduplicates: bool = False

    def missing(self) -> str | None:
        absent = [name for name in ("age", "zstd", "tar") if not shutil.which(name)]
        return f"apt-get install {' '.join(absent)}" if absent else None

    def version(self) -> str:
        return f"age {_said('age', '--version')}, {_said('zstd', '--version').strip('* ')}"

    def create(self, place: Path) -> None:
        (place / "repo").mkdir(parents=True)
        timed(["age-keygen", "-o", place / "key"])

    def backup(self, place: Path, base: Path, sources: Sequence[Path]) -> Sample:
        script = (
            'base=$1 key=$2 out=$3; shift 3; tar -C "$base" -ch "$@" | zstd -q -3 | '
            'age -r "$(age-keygen -y "$key")" > "$out.new" && mv "$out.new" "$out"'
        )
        return shell(script, base, place / "key", place / "repo/all.age", *sources, target=place / "repo")

    def restore(self, place: Path, target: Path, only: Path | None = None) -> Sample:
        script = 'age -d -i "$1" "$2" | zstd -q -d | tar -C "$3" -x ${4:+--occurrence=1} ${4:+"$4"}'
        chosen = (only,) if only else ()
        more = {"target": target, "allowed": (0, 1, 2, 141)}
        return shell(script, place / "key", place / "repo/all.age", target, *chosen, **more)

    def check(self, place: Path) -> Sample:
        script = 'age -d -i "$1" "$2" | zstd -q -d | tar -t > /dev/null'
        return shell(script, place / "key", place / "repo/all.age")


PEERS: tuple[Peer, ...] = (Restic(), Borg("borg 1.4", 1), Borg("borg 2", 2), TarAge())


def _said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout.strip() or done.stderr.strip() or "no version").splitlines()[0]
