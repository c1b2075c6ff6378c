"""Every signed thing of a small vault, as a relay holds it, and every way to leave one out, swap, cut or age it.

A `Held` is what the relay would answer honestly; a `Case` is what it answers instead. Cases of one kind change one
answer only, so what refuses them is the check of that kind.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeVar

from adversary.hostile import Hostile
from strongroom_protocol.manifest.slots import Slot, SlotSet
from strongroom_protocol.relay_api.messages import HeadResponse, UnlockResponse
from vaults import Bench, Device, opener, talk

Link = tuple[bytes, bytes]
"""A keyring and its receipt."""
T = TypeVar("T")


@dataclass(slots=True)
class Held:
    """What a relay has: each head as it answered when that was the newest, the chain, each slot set."""

    account: bytes
    heads: list[HeadResponse]
    chain: list[Link]
    slots: list[UnlockResponse]
    since: dict[str, HeadResponse] = field(default_factory=dict)
    """The newest head as each victim gets it, with the proofs from its pin."""


@dataclass(frozen=True, slots=True)
class Case:
    """What the relay answers: one of head, chain and slots differs from the honest answer."""

    kind: str
    label: str
    head: HeadResponse
    chain: list[Link]
    slots: UnlockResponse

    def serve(self, hostile: Hostile) -> None:
        """Over the parsers that the other transport has, as answers of a relay are bytes."""
        hostile.instead("head", lambda *_: HeadResponse.parse(self.head.encode()))
        hostile.instead("keyrings", lambda _, first: self.chain[first - 1 :])
        hostile.instead("unlock", lambda *_: self.slots)


def lengths(size: int) -> list[int]:
    """The lengths that something is cut to: first bytes, a quarter, a half, around a signature, the last bytes."""
    marks = {0, 1, 2, 3, 4, 32, 38, 42, 64, size // 4, size // 2, size - 66, size - 64, size - 33, size - 32}
    return sorted(length for length in marks | set(range(size - 4, size)) if 0 <= length < size)


def cuts(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Cut to each of `lengths`, and with bytes behind."""
    for length in lengths(len(data)):
        yield f"cut to {length}", data[:length]
    for more in (1, 64):
        yield f"{more} more", data + bytes(more)


def _without(items: tuple[T, ...]) -> Iterator[tuple[str, tuple[T, ...]]]:
    """Each left out, all left out, each pair swapped, each doubled."""
    for place in range(len(items)):
        yield f"without {place}", items[:place] + items[place + 1 :]
        yield f"{place} twice", items[: place + 1] + items[place:]
    if items:
        yield "without any", ()
    for one, other in itertools.combinations(range(len(items)), 2):
        if items[one] != items[other]:
            swapped = list(items)
            swapped[one], swapped[other] = swapped[other], swapped[one]
            yield f"{one} and {other} swapped", tuple(swapped)


def head_cases(held: Held, honest: HeadResponse, *, oldest: int, descent: bool = True) -> Iterator[Case]:
    """Of the newest head's answer. Whole earlier answers: those of versions below `oldest`."""

    def case(kind: str, label: str, **changes: object) -> Case:
        return Case(kind, label, replace(honest, **changes), held.chain, held.slots[-1])  # type: ignore[arg-type]

    for label, data in cuts(honest.head):
        yield case("head", label, head=data)
    for label, data in cuts(honest.receipt):
        yield case("receipt", label, receipt=data)
    for version, other in enumerate(held.heads[:-1], 1):
        yield case("head", f"of version {version}", head=other.head)
        yield case("receipt", f"of version {version}", receipt=other.receipt)
        if other.peaks != honest.peaks:
            yield case("peaks", f"of version {version}", peaks=other.peaks)
        if version < oldest:
            yield case("rollback", f"to version {version}", head=other.head, receipt=other.receipt, peaks=other.peaks)
            yield case("rollback", f"to version {version}, new proofs", head=other.head, receipt=other.receipt)
    for (one, first), (two, second) in itertools.permutations(enumerate(held.heads, 1), 2):
        yield case("head and receipt", f"{one} with the receipt of {two}", head=first.head, receipt=second.receipt,
                   peaks=first.peaks)  # fmt: skip
    for version, (message, receipt) in enumerate(held.chain, 1):
        yield case("head", f"is keyring {version}", head=message)
        yield case("receipt", f"is of keyring {version}", receipt=receipt)
    yield case("head", "and receipt swapped", head=honest.receipt, receipt=honest.head)
    for label, peaks in _without(honest.peaks):
        yield case("peaks", label, peaks=peaks)
    if descent:
        for label, proof in _without(honest.consistency):
            yield case("consistency", label, consistency=proof)
    for label, path in _without(honest.cut_path):
        yield case("cut path", label, cut_path=path)


def chain_cases(held: Held, honest: HeadResponse, *, known: int = 0) -> Iterator[Case]:
    """Of the keyrings after the `known` first."""

    def case(kind: str, label: str, chain: list[Link]) -> Case:
        return Case(kind, label, honest, chain, held.slots[-1])

    def put(place: int, link: Link) -> list[Link]:
        return [*held.chain[:place], link, *held.chain[place + 1 :]]

    places = range(known, len(held.chain))
    for place in places:
        message, receipt = held.chain[place]
        yield case("keyring", f"{place + 1} left out", held.chain[:place] + held.chain[place + 1 :])
        yield case("keyring", f"chain ends before {place + 1}", held.chain[:place])
        for label, data in cuts(message):
            yield case("keyring", f"{place + 1} {label}", put(place, (data, receipt)))
        for label, data in cuts(receipt):
            yield case("keyring receipt", f"{place + 1} {label}", put(place, (message, data)))
        for other, (their, word) in enumerate(held.chain):
            if other != place:
                yield case("keyring", f"{other + 1} in the place of {place + 1}", put(place, (their, word)))
                yield case("keyring", f"{other + 1} with the receipt of {place + 1}", put(place, (their, receipt)))
                yield case("keyring receipt", f"of {other + 1} for {place + 1}", put(place, (message, word)))
        for version, shown in enumerate(held.heads, 1):
            yield case("keyring receipt", f"of head {version} for {place + 1}", put(place, (message, shown.receipt)))
        yield case("keyring", f"{place + 1} is a head", put(place, (honest.head, honest.receipt)))
    for one, other in itertools.combinations(places, 2):
        swapped = list(held.chain)
        swapped[one], swapped[other] = swapped[other], swapped[one]
        yield case("keyring", f"{one + 1} and {other + 1} swapped", swapped)


_FIELDS: dict[str, Callable[[Slot, Slot], Slot]] = {
    "unlock key": lambda slot, other: replace(slot, unlock_key=other.unlock_key),
    "key": lambda slot, other: replace(slot, kem_key=other.kem_key),
    "wrap": lambda slot, other: replace(slot, wrap=other.wrap),
    "tag": lambda slot, other: replace(slot, tag=other.tag),
}


def slot_cases(held: Held, honest: HeadResponse) -> Iterator[Case]:
    """Of the answer to an unlock: the slot set as bytes, slots of it, fields of slots, earlier sets, the account."""
    newest = held.slots[-1]
    found = SlotSet.parse(newest.slots, account=held.account)

    def case(label: str, data: bytes, account: bytes = held.account) -> Case:
        return Case("slots", label, honest, held.chain, replace(newest, slots=data, account=account))

    for label, data in cuts(newest.slots):
        yield case(label, data)
    for label, slots in _without(found.slots):
        yield case(f"slot {label}", replace(found, slots=slots).encode())
    for one, other in itertools.permutations(range(len(found.slots)), 2):
        for name, mixed in _FIELDS.items():
            changed = list(found.slots)
            changed[one] = mixed(changed[one], changed[other])
            yield case(f"{name} of {other} in {one}", replace(found, slots=tuple(changed)).encode())
    for version, earlier in enumerate(held.slots[:-1], 1):
        yield case(f"set of version {version}", earlier.slots)
        old = SlotSet.parse(earlier.slots, account=held.account)
        yield case(f"slots of version {version}", replace(found, slots=old.slots).encode())
        yield case(f"blind of version {version}", replace(found, blind=old.blind).encode())
        yield case(f"version {version} renumbered", replace(old, version=found.version).encode())
    yield case("of no account", newest.slots, bytes(32))
    for version, (message, _) in enumerate(held.chain, 1):
        yield case(f"is keyring {version}", message[: 64 * 1024])


async def build(bench: Bench) -> tuple[Held, Device]:
    """Eighteen heads, seven keyrings, three slot sets; the writing device. Two victims are closed: `behind` knows four
    keyrings, `near` knows all and misses two heads."""
    writer = await bench.create()
    slots: list[UnlockResponse] = []

    async def note_slots() -> None:
        async with await bench.owner(writer) as owner:
            answer = UnlockResponse(writer.session.account, owner._unlocked.slots.encode(), 2**40)
            if not slots or slots[-1].slots != answer.slots:
                slots.append(answer)

    at = iter(range(1_700_000_000_000, 2_000_000_000_000, 10**6))
    await note_slots()
    await writer.add(talk("chat", 3, start=next(at)))
    behind = await bench.login("behind", confirm=True)
    near = await bench.login("near", confirm=True)
    lost = await bench.login("lost", confirm=True)
    for n in range(4):
        await writer.add(talk(f"chat {n % 2}", 3, start=next(at)))
    await behind.session.sync()
    bench.drop(behind)
    async with await bench.owner(writer) as owner:
        await owner.add_slot(opener(), "second")
    await note_slots()
    await writer.add(talk("chat", 3, start=next(at)))
    async with await bench.owner(writer) as owner:
        await owner.revoke(lost.session.device.id)
    await note_slots()
    bench.drop(lost)
    await writer.add(talk("chat", 3, start=next(at)))
    async with await bench.owner(writer) as owner:
        await owner.add_slot(opener(), "third")
    await note_slots()
    for _ in range(2):
        await writer.add(talk("chat", 3, start=next(at)))
    await near.session.sync()
    bench.drop(near)
    for _ in range(2):
        await writer.add(talk("chat", 3, start=next(at)))
    transport, account = await bench.transport(), writer.session.account
    transport.authenticate(writer.session.device.sign.public, writer.session.device.sign.sign)
    heads: list[HeadResponse] = []
    for version in range(1, writer.session.pin.head_version + 1):
        heads.append(await transport.head_at(account, version))
    _restore_peaks(heads, account)
    held = Held(account, heads, await transport.keyrings(account, 1), slots)
    newest = await transport.head(account, None)
    held.heads[-1] = newest
    for name, device in (("behind", behind), ("near", near)):
        held.since[name] = await transport.head(account, device.session.pin.head_version)
    held.since["fresh"] = newest
    return held, writer


def _restore_peaks(heads: list[HeadResponse], account: bytes) -> None:
    """What the relay answered with each head when it was the newest."""
    from strongroom_protocol.manifest.head import parse_head
    from strongroom_protocol.wire import merkle

    peaks: tuple[bytes, ...] = ()
    for place, answer in enumerate(heads):
        heads[place] = replace(answer, peaks=peaks)
        peaks = tuple(merkle.append(place, peaks, parse_head(answer.head, account=account).hash))
