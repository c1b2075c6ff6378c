"""What a client does in every run with a fault: the same requests, over HTTP or on a vault folder.

An account registers, uploads a small and a large object, commits them with two more objects, uploads another large one
and commits it, dropping the first. Made once: so each run writes the same bytes, and a retry is the same request again.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from server.account_builder import Account, DeviceKeys, name_of
from strongroom.transport.base import CommitRequest, RegisterRequest, Transport
from strongroom_protocol.errors import StrongroomError
from strongroom_protocol.keys.secrets import SigningSeed
from strongroom_protocol.keys.signing import SignKey

LARGE = 600_000


@dataclass(frozen=True, slots=True)
class Step:
    """One request, the objects it brings, and those that it drops."""

    label: str
    what: RegisterRequest | CommitRequest | bytes
    objects: tuple[bytes, ...]


@dataclass(slots=True)
class Story:
    account: bytes
    seed: bytes
    steps: list[Step]
    last: Step
    """One more commit, for a relay that has done all the others."""
    heads: list[bytes]
    """The hash of each version's head, the last step's included."""

    @classmethod
    def make(cls, receipt_key: bytes) -> Story:
        device, seed = DeviceKeys(), os.urandom(32)
        device.sign = SignKey(SigningSeed(seed))
        account = Account("anna", receipt_key, device=device)
        small, large, later = os.urandom(5_000), os.urandom(LARGE), os.urandom(LARGE // 2)
        register = account.registration()
        first = account.commit(adds=(name_of(small), name_of(large)), objects=(os.urandom(30_000), os.urandom(9_000)))
        account.done(first)
        second = account.commit(adds=(name_of(later),), drops=(name_of(large),), objects=(os.urandom(20_000),))
        account.done(second)
        third = account.commit(objects=(os.urandom(25_000),))
        account.done(third)
        steps = [
            Step("register", register, register.objects),
            Step("small", small, (small,)),
            Step("large", large, (large,)),
            Step("first", first, first.objects),
            Step("later", later, (later,)),
            Step("second", second, second.objects),
        ]
        last = Step("third", third, third.objects)
        return cls(account.id, seed, steps, last, [head.hash for head in account.heads])

    @property
    def dropped(self) -> bytes:
        """The name of the object that a commit drops."""
        return next(name_of(step.objects[0]) for step in self.steps if step.label == "large")

    def save(self, path: Path) -> None:
        path.write_bytes(pickle.dumps(self))

    @classmethod
    def load(cls, path: Path) -> Story:
        story = pickle.loads(path.read_bytes())  # noqa: S301 - written by this test run
        assert isinstance(story, cls)
        return story


async def play(
    story: Story, steps: Sequence[Step], transport: Transport, answered: Callable[[Step, bool], None]
) -> None:
    """Steps in order; one that is refused is asked for once more at once, and then left for after a restart."""
    authenticated(story, transport)
    for step in steps:
        for _ in range(2):
            try:
                await ask(story, step, transport)
            except StrongroomError:
                answered(step, False)
            else:
                answered(step, True)
                break


async def ask(story: Story, step: Step, transport: Transport) -> None:
    """One request of the story."""
    if isinstance(step.what, RegisterRequest):
        await transport.register(step.what)
    elif isinstance(step.what, CommitRequest):
        await transport.commit(story.account, step.what)
    else:
        await transport.put(story.account, name_of(step.what), step.what)


def authenticated(story: Story, transport: Transport) -> Transport:
    """The transport, signing as the story's device."""
    key = SignKey(SigningSeed(story.seed))
    transport.authenticate(key.public, key.sign)
    return transport
