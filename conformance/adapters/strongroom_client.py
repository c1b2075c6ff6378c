#!/usr/bin/env python3
"""Adapter: the conformance protocol (../PROTOCOL.md) on Strongroom's own command line, one subprocess a step.

    strongroom_client.py init|login|append|restore|verify|status [ARGUMENT]…

It decides nothing: exit codes and JSON are those of `strongroom`, in the protocol's words.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import cbor2

NOWHERE = "http://127.0.0.1:1"
"""A relay that nothing listens on: `status` says what the device itself knows."""

HASTY = """
import sys
import strongroom.transport.http as http
http.DEADLINE = float(sys.argv.pop(1))
from strongroom.cli.main import main
main()
"""
"""The command line with a shorter deadline for requests, so that a relay that never answers is judged soon."""


def strongroom(*arguments: str, relay: str = "", text: str = "") -> tuple[int, dict[str, Any]]:
    """One run of the command line; its exit code and JSON."""
    given = os.environ
    command = [sys.executable, "-c", HASTY, given.get("CONFORMANCE_DEADLINE", "120"), *arguments, "--json"]
    command += ["--vault", given["CONFORMANCE_VAULT"], "--relay", relay or given["CONFORMANCE_RELAY"]]
    environment = {name: value for name, value in given.items() if not name.startswith("STRONGROOM_")}
    environment["STRONGROOM_PASSPHRASE"] = given.get("CONFORMANCE_PASSPHRASE", "")
    run = subprocess.run(command, env=environment, input=text, stdout=subprocess.PIPE, text=True, check=False)
    lines = run.stdout.splitlines()
    return run.returncode, json.loads(lines[-1]) if lines else {}


def act(verb: str, arguments: list[str]) -> tuple[int, dict[str, Any]]:
    """One command of the protocol."""
    account = ["--account", os.environ.get("CONFORMANCE_ACCOUNT", "")]
    if verb == "init":
        with tempfile.TemporaryDirectory() as folder:
            return strongroom("init", *account, "--recovery-code-out", str(Path(folder) / "code"))
    if verb == "login":
        return strongroom("login", *account, *arguments)
    if verb == "append":
        chat, ident, time = arguments
        given = ["--id", ident, "--time", time, "--sender", "me"]
        return strongroom("append", chat, "-", *given, text=sys.stdin.read())
    if verb in ("restore", "verify"):
        code, said = strongroom(verb)
        found = {"lost": said.get("records_lost", 0), "damaged": len(said.get("damaged", ()))} | _failure(said)
        if "--messages" in arguments and code in (0, 3):
            found["messages"] = _messages()
        return code, found
    if verb == "status":
        return _status("--messages" in arguments)
    return 2, {"failure": "no such command"}


def _status(messages: bool) -> tuple[int, dict[str, Any]]:
    code, said = strongroom("status", "--anchor", relay=NOWHERE)
    if code:
        return code, _failure(said)
    found: dict[str, Any] = {"anchor": said["anchor"]} | _pinned(said["anchor"])
    if messages:
        found["messages"] = _messages(NOWHERE)
    return 0, found


def _pinned(anchor: str) -> dict[str, Any]:
    """The state that an anchor names (spec chapter 16: base32 of CBOR and a check)."""
    text = anchor.partition(":")[2]
    fields = cbor2.loads(base64.b32decode(text + "=" * (-len(text) % 8))[:-4])
    return {
        "version": fields[5], "head": fields[6].hex(), "keyring_version": fields[3], "keyring": fields[4].hex()
    }  # fmt: skip


def _messages(relay: str = "") -> list[list[str]]:
    """What an export has; nothing when there is none."""
    with tempfile.TemporaryDirectory() as folder:
        code, _ = strongroom("export", str(Path(folder) / "out"), "--no-media", relay=relay)
        return sorted(_exported(Path(folder) / "out")) if code in (0, 3) else []


def _exported(folder: Path) -> list[list[str]]:
    """Chat, id and text of every message of an export."""
    chats = json.loads((folder / "strongroom.json").read_text())["chats"]
    found = []
    for chat in chats:
        for line in (folder / chat["file"]).read_text().splitlines():
            message = json.loads(line)
            if "text" in message and "id" in message:
                found.append([chat["conversation"], message["id"], message["text"]])
    return found


def _failure(said: dict[str, Any]) -> dict[str, Any]:
    return {"failure": said["failure"]} if "failure" in said else {}


def main() -> None:
    code, said = act(sys.argv[1] if len(sys.argv) > 1 else "", sys.argv[2:])
    print(json.dumps(said))
    sys.exit(code)


if __name__ == "__main__":
    main()
