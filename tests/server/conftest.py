"""A relay's service on an embedded store in a temporary folder, with a clock that tests move."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from relay_process import RelayProcess
from server.account_builder import Account, DeviceKeys, ask, name_of
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.manifest.slots import SlotKind
from strongroom_protocol.relay_api.messages import CommitRequest, CommitResponse, RelayInfo
from strongroom_protocol.relay_api.problems import Problem, ProblemError
from strongroom_relay.service import accounts, commits, objects, pieces
from strongroom_relay.service.relay import Principal, Relay, open_relay

ORIGIN = "https://relay.example"


@dataclass(slots=True)
class Clock:
    now: int = 1_800_000_000_000

    def __call__(self) -> int:
        return self.now


@dataclass(slots=True)
class Bench:
    """A relay, its clock, and one registered account."""

    relay: Relay
    clock: Clock
    account: Account
    token: str = ""
    guests: list[DeviceKeys] = field(default_factory=list)

    @property
    def who(self) -> Principal:
        return Principal(self.account.id, self.account.device.sign.public, True)

    async def commit(self, request: CommitRequest, who: Principal | None = None) -> CommitResponse:
        return await commits.commit(self.relay, who or self.who, request)

    async def put(self, data: bytes, who: Principal | None = None) -> bytes:
        """Store one object as the HTTP endpoint does; returns its name."""
        who, name = who or self.who, name_of(data)
        async with objects.reserved(self.relay, who, name, len(data)):
            if len(data) < objects.INLINE:
                await objects.put_small(self.relay, who, name, data)
            else:
                temporary = self.relay.store.files.temporary()
                temporary.write_bytes(data)
                await objects.put_file(self.relay, who, name, len(data), temporary)
        return name

    async def get(self, name: bytes) -> bytes | None:
        return (await pieces.read(self.relay, self.who, [(name, 0, 0)]))[0]

    async def guest(self, kind: SlotKind = SlotKind.PASSPHRASE) -> Principal:
        """A key that an unlock admitted for reading."""
        from strongroom_protocol.relay_api.messages import UnlockRequest

        keys = DeviceKeys()
        self.guests.append(keys)
        asked = await accounts.login(self.relay, self.account.name)
        unlock = next(unlock for unlock in self.account.unlocks if unlock.kind is kind)
        statement = self.account.statement(asked, keys, unlock=unlock, origin=ORIGIN)
        await accounts.unlock(self.relay, UnlockRequest(self.account.name, statement))
        return await accounts.identify(self.relay, self.account.id, keys.sign.public)

    async def second(self, name: str = "berta") -> Account:
        """One more account."""
        other = Account(name, self.relay.receipt_key)
        await accounts.register(self.relay, other.registration(await self.relay.mint_token()))
        return other


@pytest.fixture(params=["wal", "rollback-journal"])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    clock = Clock()
    relay = open_relay(
        tmp_path / "relay", folder_vault=request.param != "wal", origins=(ORIGIN,), clock=clock, cap=10_000_000
    )
    token = await relay.start()
    assert token is not None
    account = Account("anna", relay.receipt_key)
    await accounts.register(relay, account.registration(token))
    yield Bench(relay, clock, account, token)
    await asyncio.to_thread(relay.store.close)


@dataclass(slots=True)
class Served:
    """A relay process and one account in it."""

    process: RelayProcess
    account: Account

    @property
    def base(self) -> str:
        return f"/v1/accounts/{self.account.id.hex()}"


def enrolled(process: RelayProcess, name: str = "anna") -> Account:
    """An account registered over HTTP."""
    info = RelayInfo.parse(ask(process.address, "GET", "/v1/relay").body)
    account = Account(name, info.receipt_key)
    answer = ask(process.address, "POST", "/v1/accounts", account.registration(process.token).encode())
    assert answer.status == 201, answer.body
    return account


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One relay process for a module's tests; open registration."""
    folder = tmp_path_factory.mktemp("relay")
    with RelayProcess(folder, "--header-seconds", "1.5", open_registration=True) as process:
        yield Served(process, enrolled(process))


async def refused(call: object) -> Problem:
    """The problem that a call is refused with."""
    with pytest.raises(ProblemError) as caught:
        await call  # type: ignore[misc]
    return caught.value.problem


__all__ = ["LIMITS", "ORIGIN", "Bench", "Clock", "Served", "enrolled", "refused"]
