"""`strongroom-conformance`: judge a client, or run the malicious relay by itself."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from strongroom_conformance.client import Client
from strongroom_conformance.runner import Report, run
from strongroom_conformance.scenario import Scenario
from strongroom_conformance.scenarios import ALL

SLICE = "STRONGROOM_CONFORMANCE"


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="strongroom-conformance", description="How a client stands a relay that lies (conformance/PROTOCOL.md)."
    )
    verbs = top.add_subparsers(dest="verb", required=True)
    client = verbs.add_parser("client", help="judge a client")
    client.add_argument(
        "command", nargs="?", metavar="CMD", help="the client's adapter, with its arguments, as one word"
    )
    client.add_argument("--scenario", nargs="+", default=[], metavar="NAME", help="only these")
    client.add_argument("--list", action="store_true", help="list the scenarios and end")
    client.add_argument("--known-failures", type=Path, metavar="FILE", help="names that fail; lines NAME # REASON")
    client.add_argument("--json", action="store_true", help="print the verdicts as one JSON object")
    client.add_argument("--deadline", type=float, default=3.0, metavar="S", help="what the client is told to wait for")
    client.add_argument("--slice", default=os.environ.get(SLICE, "1/1"), metavar="K/N", help=f"a part; also ${SLICE}")
    client.add_argument("--jobs", type=int, default=1, metavar="N", help="scenarios at a time")
    relay = verbs.add_parser("relay", help="run the malicious relay alone; it says where its control port is")
    relay.add_argument("--data", required=True, type=Path, metavar="DIR", help="the folder of its stores")
    return top


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point. Exit 0 when every verdict is as expected, 1 when one is not, 2 for a wrong call."""
    top = parser()
    given = top.parse_args(argv)
    if given.verb == "relay":
        from strongroom_conformance.control import serve

        asyncio.run(serve(given.data))
        return
    try:
        scenarios = chosen(given.scenario, given.slice)
        known = known_failures(given.known_failures)
    except ValueError as error:
        top.error(str(error))
    if given.list:
        print("\n".join(f"{item.name:34} {_numbers(item):12} {item.does}" for item in scenarios))
        return
    if not given.command:
        top.error("CMD is needed: the client's adapter")
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        client = Client.parse(given.command)
        client.deadline = given.deadline
        found = run(client, Path(folder), scenarios, known, jobs=given.jobs)
    if given.json:
        print(json.dumps(_as_json(found)))
    print(_summary(found, len(ALL)), file=sys.stderr)
    sys.exit(1 if found.unexpected else 0)


def chosen(names: Sequence[str], part: str) -> list[Scenario]:
    """The scenarios of these names, or part K of N of all. Raises ValueError."""
    unknown = set(names) - {item.name for item in ALL}
    if unknown:
        raise ValueError(f"no such scenario: {', '.join(sorted(unknown))}")
    if names:
        return [item for item in ALL if item.name in names]
    number, slash, count = part.partition("/")
    if not (slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise ValueError("a slice is K/N")
    return ALL[int(number) - 1 :: int(count)]


def known_failures(file: Path | None) -> dict[str, str]:
    """Name to reason, from a file of lines `NAME # REASON`. Raises ValueError for a name that no scenario has."""
    found = {}
    for line in [] if file is None else file.read_text().splitlines():
        name, _, reason = line.partition("#")
        if name.strip():
            found[name.strip()] = reason.strip()
    strange = set(found) - {item.name for item in ALL}
    if strange:
        raise ValueError(f"known failures of no scenario: {', '.join(sorted(strange))}")
    return found


def _numbers(item: Scenario) -> str:
    return " ".join(f"{number:03}" for number in item.attacks)


def _as_json(found: Report) -> dict[str, object]:
    return {
        "verdicts": [asdict(verdict) | {"passed": verdict.passed} for verdict in found.verdicts],
        "known": dict(found.known),
        "unexpected": [verdict.name for verdict in found.unexpected],
        "seconds": round(found.seconds, 1),
    }


def _summary(found: Report, total: int) -> str:
    passed = sum(verdict.passed for verdict in found.verdicts)
    share = f"{len(found.verdicts)} of {total} scenarios"
    return f"{share} in {found.seconds:.0f} s: {passed} passed, {len(found.unexpected)} not as expected"


if __name__ == "__main__":
    main()
