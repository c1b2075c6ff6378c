"""How many refused unlocks are borne: by account name, and by the network address they come from (chapter 12).

The first bound protects one account against many guessers, the second all accounts against one. Both are in memory
only: a restart forgets them, and nothing about addresses is stored.
"""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass, field

ENTRIES = 100_000
"""Above this many names or addresses, those that are owed nothing any more are forgotten; at ten times as many, all."""


@dataclass(slots=True)
class Attempts:
    """Buckets that fill with refusals and empty by one every `refill_ms`; a full one makes further attempts wait."""

    burst: int
    refill_ms: int
    _spent: dict[bytes, tuple[float, int]] = field(default_factory=dict)
    _bound: int = ENTRIES

    def allowed(self, key: str, now: int) -> bool:
        """Whether one more may be tried at `now` (milliseconds)."""
        return self._level(_hashed(key), now) <= self.burst - 1

    def count(self, key: str, now: int) -> None:
        """One more was refused."""
        if len(self._spent) >= self._bound:
            self._forget(now)
        hashed = _hashed(key)
        self._spent[hashed] = (self._level(hashed, now) + 1, now)

    def __len__(self) -> int:
        return len(self._spent)

    def _level(self, hashed: bytes, now: int) -> float:
        spent, since = self._spent.get(hashed, (0.0, now))
        return max(0.0, spent - (now - since) / self.refill_ms)

    def _forget(self, now: int) -> None:
        for hashed in [hashed for hashed in self._spent if self._level(hashed, now) <= 0]:
            del self._spent[hashed]
        if len(self._spent) >= 10 * ENTRIES:
            self._spent.clear()
        self._bound = max(ENTRIES, 2 * len(self._spent))  # looking through all of them is not for every refusal


def by_name() -> Attempts:
    """10 at once, then one every 30 s: a person who mistypes is not held up."""
    return Attempts(10, 30_000)


def by_address() -> Attempts:
    """50 at once, then one every 6 s: a household behind one address is not held up."""
    return Attempts(50, 6_000)


def source_of(peer: str | None, forwarded: str | None) -> str | None:
    """What an asker is counted by: an IPv4 address, the /64 of an IPv6 one; None when it cannot be told.

    `forwarded` is the X-Forwarded-For that the operator's own proxy made, of which the last entry is the proxy's word;
    None where none is trusted. Then this machine's own addresses are whoever a proxy here speaks for, and not counted.
    """
    text = peer if forwarded is None else forwarded.rpartition(",")[2].strip()
    try:
        address = ipaddress.ip_address(text or "")
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.is_loopback:
        return None
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.ip_network((address, 64), strict=False))


def _hashed(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
