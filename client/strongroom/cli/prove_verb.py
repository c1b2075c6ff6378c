"""`strongroom prove`: proof that a relay told two devices two histories, checked anywhere or collected here."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from strongroom.cli.context import Context, accepted, common, context
from strongroom.cli.text import moment
from strongroom_protocol.errors import InvalidArgument
from strongroom_protocol.limits import LIMITS

if TYPE_CHECKING:
    from strongroom_protocol.manifest.proof import ForkProof

_CHAINS = {1: "list of devices", 2: "state"}


@click.command("prove")
@common
@accepted
@click.argument("proof", required=False, type=click.Path(path_type=Path), metavar="[FILE]")
@click.option("--export", "out", type=click.Path(path_type=Path), metavar="FILE",
              help="write this device's evidence to a new FILE, for another device's --against")  # fmt: skip
@click.option("--against", type=click.Path(path_type=Path), metavar="FILE",
              help="compare another device's evidence with what the relay shows here")  # fmt: skip
def command(proof: Path | None, out: Path | None, against: Path | None, **given: Any) -> int:
    """Check a proof that a relay has signed two histories of one account: FILE is all it takes, on any machine.

    Such a file appears in the vault's folder when the relay shows a device something else than before. To find out
    whether it shows two devices the same, run --export on one, carry the file over, and run --against on the other.
    """
    if sum(item is not None for item in (proof, out, against)) != 1:
        raise InvalidArgument("give a proof, or --export, or --against", hint="see strongroom prove --help")
    called = context(**given)
    if proof is not None:
        return called.run(_check(called, proof))
    if out is not None and out.exists():
        raise InvalidArgument("the evidence file exists already", hint="choose another name")
    return called.run(_export(called, out) if out is not None else _compare(called, against or Path()))


async def _check(given: Context, file: Path) -> int:
    from strongroom_protocol.manifest.proof import ForkProof

    proof = ForkProof.parse(await asyncio.to_thread(_read, file))
    given.emit(
        {
            "proven": True,
            "account": proof.core.account_id().hex(),
            "receipt_key": proof.core.receipt_key.hex(),
            "chain": proof.one.chain.name.lower(),
            "receipts": [
                {"version": receipt.version, "hash": receipt.hash.hex(), "accepted": receipt.time}
                for receipt in (proof.one, proof.other)
            ],
        },
        _words(proof),
    )
    return 0


def _words(proof: ForkProof) -> str:
    lines = [
        "this is a proof: the holder of one relay's receipt key has signed two histories of one account",
        f"relay     receipt key {proof.core.receipt_key.hex()}",
        f"account   {proof.core.account_id().hex()}",
    ]
    for receipt in (proof.one, proof.other):
        before = "nothing" if receipt.previous is None else receipt.previous.hex()[:16]
        lines.append(
            f"signed    {_CHAINS[receipt.chain]} {receipt.version} is {receipt.hash.hex()[:16]} after {before},"
            f" accepted {moment(receipt.time)} UTC"
        )
    return "\n".join(lines)


async def _export(given: Context, out: Path) -> int:
    from strongroom.evidence import write_whole

    async with await given.open() as vault:
        found = await vault.evidence()
    await asyncio.to_thread(write_whole, out, found.encode())
    anchor = found.anchor
    given.emit(
        {"version": anchor.head_version, "keyring_version": anchor.keyring_version, "receipts": len(found.receipts())},
        f"evidence of state {anchor.head_version} written; compare it on another device of this account with\n"
        "`strongroom prove --against FILE`",
    )
    return 0


async def _compare(given: Context, file: Path) -> int:
    from strongroom_protocol.manifest.proof import Evidence

    other = Evidence.parse(await asyncio.to_thread(_read, file))
    async with await given.open() as vault:
        await vault.compare(other)
        version = vault.anchor().head_version
    same = other.anchor.head_version
    given.emit(
        {"same": True, "version": version, "other_version": same},
        f"the relay tells both devices one history: the other's state {same} is part of this device's state {version}",
    )
    return 0


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(LIMITS.evidence_bytes + 1)
    except OSError as error:
        raise InvalidArgument("that file cannot be read", hint="check the path and its permissions") from error
