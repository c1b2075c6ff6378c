"""What a relay can do to a call. Each lie is made from a number, so that what breaks a promise can be repeated."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from nacl.signing import SigningKey

from soak.wires import Ask, Branch, Lie, Wire
from strongroom.transport.base import CommitRequest, CommitResponse, HeadResponse
from strongroom_protocol.errors import RelayConflict, RelayUnreachable
from strongroom_protocol.manifest.head import parse_head
from strongroom_protocol.manifest.keyring import parse_keyring
from strongroom_protocol.manifest.receipt import Chain, Receipt
from strongroom_protocol.relay_api.problems import Problem, ProblemError, to_error

NOW = 1_800_000_000_000
STRANGER = SigningKey(bytes(range(32)))


async def honest(wire: Wire, call: str, arguments: tuple[Any, ...], ask: Ask) -> Any:
    """No lie."""
    return await ask()


def no_answer(pick: int) -> Lie:
    """Nobody is there."""

    async def lie(wire: Wire, call: str, arguments: tuple[Any, ...], ask: Ask) -> Any:
        raise RelayUnreachable("away")

    return lie


def lost_answer(pick: int) -> Lie:
    """It is done, and the answer gets lost."""

    async def lie(wire: Wire, call: str, arguments: tuple[Any, ...], ask: Ask) -> Any:
        await ask()
        raise RelayUnreachable("away")

    return lie


def conflict(pick: int) -> Lie:
    """It is done, or not; and the answer is that somebody else was first."""

    async def lie(wire: Wire, call: str, arguments: tuple[Any, ...], ask: Ask) -> Any:
        if pick % 2:
            await ask()
        raise RelayConflict("somebody else was first")

    return lie


def refused(pick: int) -> Lie:
    """Any refusal that the API has."""
    problem = list(Problem)[pick % len(Problem)]

    async def lie(wire: Wire, call: str, arguments: tuple[Any, ...], ask: Ask) -> Any:
        wire.refused = True
        raise to_error(ProblemError(problem, relay_time=NOW, missing=[bytes(32).hex()]))

    return lie


def stalled(pick: int) -> Lie:
    """No answer for ever, before or after it is done: whoever waits is cancelled, or killed."""

    async def lie(wire: Wire, call: str, arguments: tuple[Any, ...], ask: Ask) -> Any:
        if pick % 2:
            await ask()
        wire.stalled.set()
        await asyncio.Event().wait()

    return lie


def altered(pick: int) -> Lie:
    """One field of the answer is another one."""

    async def lie(wire: Wire, call: str, arguments: tuple[Any, ...], ask: Ask) -> Any:
        return alter(await ask(), pick)

    return lie


def replayed(pick: int) -> Lie:
    """What was answered to an earlier call of that name."""

    async def lie(wire: Wire, call: str, arguments: tuple[Any, ...], ask: Ask) -> Any:
        found = await ask()
        kept = wire.kept[call]
        return kept[pick % len(kept)] if call != "read" or not kept else _fitting(kept[pick % len(kept)], found)

    return lie


def mixed(old: int) -> Lie:
    """Half of an earlier answer and half of this one."""

    async def lie(wire: Wire, call: str, arguments: tuple[Any, ...], ask: Ask) -> Any:
        found = await ask()
        earlier = wire.kept[call][old % len(wire.kept[call])]
        if dataclasses.is_dataclass(found) and not isinstance(found, type):
            names = [field.name for field in dataclasses.fields(found)]
            taken = {name: getattr(earlier, name) for place, name in enumerate(names) if old >> place & 1}
            return dataclasses.replace(found, **taken)
        return found

    return lie


def meanwhile(work: Callable[[], Awaitable[None]], *, after: bool) -> Lie:
    """Something else happens just before the call is answered, or just after."""

    async def lie(wire: Wire, call: str, arguments: tuple[Any, ...], ask: Ask) -> Any:
        if not after:
            await work()
        found = await ask()
        if after:
            await work()
        return found

    return lie


def elsewhere(branch: Branch) -> Lie:
    """Another copy of the store answers."""

    async def lie(wire: Wire, call: str, arguments: tuple[Any, ...], ask: Ask) -> Any:
        wire.refused = True  # as there this device may be a stranger
        return await wire.ask(call, arguments, branch)

    return lie


def forgotten(pick: int) -> Lie:
    """It is acknowledged with good receipts, and not kept."""

    async def lie(wire: Wire, call: str, arguments: tuple[Any, ...], ask: Ask) -> Any:
        if call != "commit":
            return None if call == "put" else [] if call == "missing" else await ask()
        account, request = arguments
        return acknowledged(wire, account, request)

    return lie


def acknowledged(wire: Wire, account: bytes, request: CommitRequest) -> CommitResponse:
    """Good receipts for a commit, whatever becomes of it."""
    head = parse_head(request.head, account=account)
    sign = wire.branch.relay.sign_receipt
    keyring_receipt = None
    if request.keyring is not None:
        keyring = parse_keyring(request.keyring, account=account)
        keyring_receipt = sign(Receipt(account, Chain.KEYRING, keyring.version, keyring.hash, keyring.previous, NOW))
    return CommitResponse(
        sign(Receipt(account, Chain.HEAD, head.version, head.hash, head.previous, NOW)), keyring_receipt
    )


def strangers(pick: int) -> Lie:
    """The receipt is good, but of another relay."""

    async def lie(wire: Wire, call: str, arguments: tuple[Any, ...], ask: Ask) -> Any:
        found = await ask()
        account = arguments[0]
        if isinstance(found, HeadResponse):
            return dataclasses.replace(found, receipt=_strange(account, found.head))
        if isinstance(found, CommitResponse):
            return dataclasses.replace(found, head_receipt=_strange(account, arguments[1].head))
        return found

    return lie


def _strange(account: bytes, message: bytes) -> bytes:
    head = parse_head(message, account=account)
    receipt = Receipt(account, Chain.HEAD, head.version, head.hash, head.previous, NOW)
    return receipt.sign(bytes(STRANGER.verify_key), lambda data: STRANGER.sign(data).signature)


def withheld(pick: int) -> Lie:
    """Only the older part of what is asked for, or none of it."""

    async def lie(wire: Wire, call: str, arguments: tuple[Any, ...], ask: Ask) -> Any:
        found = await ask()
        if call == "read":
            return [None if pick >> (place % 16) & 1 else piece for place, piece in enumerate(found)]
        return found[: pick % (len(found) + 1)] if isinstance(found, list) else found

    return lie


def reordered(pick: int) -> Lie:
    """Everything is there, in another order."""

    async def lie(wire: Wire, call: str, arguments: tuple[Any, ...], ask: Ask) -> Any:
        found = await ask()
        if call == "read":
            return _fitting(found[::-1], found)
        if isinstance(found, list):
            return found[::-1]
        if isinstance(found, HeadResponse):
            return dataclasses.replace(found, peaks=found.peaks[::-1], consistency=found.consistency[::-1])
        return found

    return lie


LIES: dict[str, Callable[[int], Lie]] = {
    "no answer": no_answer,
    "lost answer": lost_answer,
    "conflict": conflict,
    "refused": refused,
    "stalled": stalled,
    "altered": altered,
    "replayed": replayed,
    "mixed": mixed,
    "forgotten": forgotten,
    "strangers": strangers,
    "withheld": withheld,
    "reordered": reordered,
}


def alter(answer: Any, pick: int) -> Any:
    """The answer with one of its fields changed: which one, and how, comes of `pick`."""
    places = list(_leaves(answer))
    if not places:
        return answer
    return _changed(answer, places[pick % len(places)], pick // len(places))


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, list | tuple):
        for place, item in enumerate(value):
            yield from _leaves(item, (*path, place))
    elif dataclasses.is_dataclass(value):
        for each in dataclasses.fields(value):
            yield from _leaves(getattr(value, each.name), (*path, each.name))
    elif isinstance(value, bytes | int) and not isinstance(value, bool):
        yield path


def _changed(value: Any, path: tuple[Any, ...], how: int) -> Any:
    if not path:
        return _bent(value, how)
    first, rest = path[0], path[1:]
    if isinstance(value, list | tuple):
        items = list(value)
        items[first] = _changed(items[first], rest, how)
        return type(value)(items)
    return dataclasses.replace(value, **{first: _changed(getattr(value, first), rest, how)})


def _bent(value: Any, how: int) -> Any:
    if isinstance(value, int):
        return value + 1 + how % 3
    if not value:
        return b"\x00"
    place = how % len(value)
    return value[:place] + bytes((value[place] ^ 1 << how % 8,)) + value[place + 1 :]


def _fitting(pieces: list[bytes | None], asked: list[bytes | None]) -> list[bytes | None]:
    """As many pieces as were asked for, none longer than asked: the transport lets nothing else through."""
    found = [pieces[place % len(pieces)] if pieces else None for place in range(len(asked))]
    return [
        piece if piece is None or right is None else piece[: len(right)]
        for piece, right in zip(found, asked, strict=True)
    ]
