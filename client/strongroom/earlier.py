"""Earlier heads of the account: proved by the hashes that later ones name, and whose they are (spec chapter 11.5).

The newest head, which a device accepts with its writer, names its predecessor by hash, and so on down: a relay has no
choice of what it shows. Who wrote a head in between nobody has checked for us but the relay; it is checked here.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from strongroom.session import Session
from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.manifest.head import Head, parse_head
from strongroom_protocol.manifest.keyring import Keyring, check_writer

AT_ONCE = 16
"""Heads that are asked for at the same time."""


@dataclass(slots=True)
class Earlier:
    """The heads of one account before its newest one. What was proved once is not asked for again."""

    session: Session
    _heads: dict[bytes, Head] = field(default_factory=dict)

    async def down_to(self, newest: Head, version: int) -> list[Head]:
        """The heads from `version` up to the accepted `newest`, oldest first. Raises UntrustedDataError(CHAIN)."""
        found = [newest]
        while found[-1].version > version:
            known = self._heads.get(found[-1].previous or b"")
            for head in [known] if known is not None else await self._ask(found[-1].version - 1, version):
                if head.hash != found[-1].previous:  # spec: UNDO-3
                    raise UntrustedDataError(Failure.CHAIN, "not the head that the next one names", subject="head")
                self._heads[head.hash] = head
                found.append(head)
        return found[::-1]

    async def _ask(self, last: int, first: int) -> list[Head]:
        account, transport = self.session.account, self.session.transport
        versions = range(last, max(first, last - AT_ONCE + 1) - 1, -1)
        answers = await asyncio.gather(*(transport.head_at(account, version) for version in versions))
        return [parse_head(answer.head, account=account) for answer in answers]


def is_undo(session: Session, head: Head) -> bool:
    """Whether the head was made by an undo: the first one under a keyring that brought discards."""
    chain, number = session.keyrings, head.keyring_version
    if not 1 < number <= len(chain) or len(chain[number - 1].discards) == len(chain[number - 2].discards):
        return False
    cut = chain[number - 1].cut
    return cut is not None and head.version == cut.version + 1


def writer_of(session: Session, head: Head) -> bytes | None:
    """The device that wrote an earlier head, None when that was no device of the account at the time.

    Its keyring lists it, and is the one that counted then: the next keyring's cut is not before it.
    """
    chain, number = session.keyrings, head.keyring_version
    if not 1 <= number <= len(chain):
        return None
    following = chain[number].cut if number < len(chain) else None
    over = following is not None and head.version > following.version
    if over or not _is_by(head, chain[number - 1]):  # spec: UNDO-8
        return None
    return head.device


def _is_by(head: Head, keyring: Keyring) -> bool:
    try:
        check_writer(head, keyring)
    except UntrustedDataError:
        return False
    return True
