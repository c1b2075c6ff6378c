"""The vault without a server: a relay's service on a plain folder, in this process (file:///folder).

The same checks as over HTTP, except request signatures: who can write the folder needs none.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from strongroom.transport.base import (
    CommitRequest,
    CommitResponse,
    HeadResponse,
    LinkResponse,
    LoginResponse,
    Range,
    RegisterRequest,
    RelayInfo,
    UnlockResponse,
    Usage,
    Versions,
    WitnessRequest,
    WitnessResponse,
)
from strongroom.transport.reading import read_all
from strongroom_protocol.errors import NotFound, RelayUnreachable
from strongroom_protocol.relay_api.links import LinkRequest
from strongroom_protocol.relay_api.messages import UnlockRequest
from strongroom_protocol.relay_api.problems import ProblemError, to_error
from strongroom_protocol.wire.cose import Signer

if TYPE_CHECKING:
    from strongroom_relay.service.relay import Principal, Relay

T = TypeVar("T")
ORIGIN = "file:"
_HINT = "check that the disk is there, writable and not full; strongroom-relay doctor --data FOLDER says more"


async def open_folder(folder: Path, *, create: bool = False) -> InProcessTransport:
    """A transport on a vault folder.

    Raises NotFound where there is none, VaultLocked while another process has it, InvalidArgument where the file system
    does not do what a vault needs, RelayUnreachable when the folder cannot be read or written.
    """
    fresh = not (folder / "relay.db").exists()
    if fresh and not create:
        raise NotFound("there is no vault in that folder", hint="check the path in --relay; a new one is made by init")
    from strongroom_relay.service.relay import open_relay
    from strongroom_relay.store.mount import require_known, require_sound

    try:
        if fresh:  # before anything is written that two processes, or a power cut, could tear
            require_sound(folder)
        relay = open_relay(folder, folder_vault=True, origins=(ORIGIN,), open_registration=True)
        try:
            await relay.start()
            await require_known(relay.store, tried=fresh)
        except BaseException:
            relay.store.close()
            raise
    except (OSError, sqlite3.Error) as error:
        raise RelayUnreachable("the vault folder cannot be opened", hint=_HINT) from error
    except ProblemError as problem:
        raise to_error(problem) from problem
    return InProcessTransport(relay)


class InProcessTransport:
    """Calls a relay's service directly."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._key = b""
        self.origin = ORIGIN
        self.requests = self.bytes_sent = self.bytes_received = 0

    def authenticate(self, key: bytes, signer: Signer) -> None:
        self._key = key

    async def relay_info(self) -> RelayInfo:
        self.requests += 1
        return RelayInfo(self._relay.receipt_key, self._relay.clock(), ORIGIN)

    async def login(self, name: str) -> LoginResponse:
        from strongroom_relay.service import accounts

        return await self._asked(accounts.login(self._relay, name))

    async def unlock(self, name: str, statement: bytes, account: bytes | None = None) -> UnlockResponse:
        from strongroom_relay.service import accounts

        who = None if account is None else await self._who(account)
        return await self._asked(accounts.unlock(self._relay, UnlockRequest(name, statement), who=who))

    async def block(self, account: bytes, message: bytes) -> None:
        from strongroom_relay.service import blocks

        await self._asked(blocks.block(self._relay, await self._who(account), message))

    async def register(self, request: RegisterRequest) -> CommitResponse:
        from strongroom_relay.service import accounts

        self.bytes_sent += sum(map(len, request.objects))
        return await self._asked(accounts.register(self._relay, request))

    async def keyrings(self, account: bytes, first: int) -> list[tuple[bytes, bytes]]:
        from strongroom_relay.service import reading

        return await self._asked(reading.keyrings(self._relay, await self._who(account), first))

    async def head(self, account: bytes, since: int | None) -> HeadResponse:
        from strongroom_relay.service import reading

        return await self._asked(reading.head(self._relay, await self._who(account), since))

    async def head_at(self, account: bytes, version: int) -> HeadResponse:
        from strongroom_relay.service import reading

        return await self._asked(reading.head_at(self._relay, await self._who(account), version))

    async def missing(self, account: bytes, names: Sequence[bytes]) -> list[bytes]:
        from strongroom_relay.service import objects

        return await self._asked(objects.missing(self._relay, await self._who(account), names))

    async def put(self, account: bytes, name: bytes, data: bytes | memoryview) -> None:
        from strongroom_relay.service import objects

        who = await self._who(account)
        self.bytes_sent += len(data)
        if len(data) < objects.INLINE:
            await self._asked(objects.put_small(self._relay, who, name, bytes(data)))
            return
        temporary = self._relay.store.files.temporary()
        try:
            await self._relay.store.in_thread(lambda: _write(temporary, data, self._relay.store.files.sync))
            await self._asked(objects.put_file(self._relay, who, name, len(data), temporary))
        except ProblemError as problem:  # of the sync
            raise to_error(problem) from problem
        except OSError as error:
            from strongroom_relay.store.connection import disk_problem

            raise to_error(disk_problem(error)) from error
        finally:
            with contextlib.suppress(OSError):  # what cannot be removed now is removed when the folder is next opened
                temporary.unlink(missing_ok=True)

    async def read(self, account: bytes, ranges: Sequence[Range]) -> list[bytes | None]:
        from strongroom_relay.service import pieces

        who = await self._who(account)
        found = await read_all(lambda rest: self._asked(pieces.read(self._relay, who, rest)), ranges)
        self.bytes_received += sum(len(piece or b"") for piece in found)
        return found

    async def commit(self, account: bytes, request: CommitRequest) -> CommitResponse:
        from strongroom_relay.service import commits

        self.bytes_sent += len(request.head) + sum(map(len, request.objects))
        return await self._asked(commits.commit(self._relay, await self._who(account), request))

    async def open_link(self, account: bytes, ident: bytes) -> LinkResponse:
        from strongroom_relay.service import links

        return await self._asked(links.open_link(self._relay, await self._who(account), LinkRequest(ident)))

    async def put_link(self, number: int, slot: int, message: bytes) -> None:
        from strongroom_relay.service import links

        await self._asked(links.put_slot(self._relay, number, slot, message))

    async def get_link(self, number: int, slot: int) -> bytes:
        from strongroom_relay.service import links

        return await self._asked(links.get_slot(self._relay, number, slot))

    async def witness(self, request: WitnessRequest) -> WitnessResponse:
        from strongroom_relay.service.witness import witness

        return await self._asked(witness(self._relay, request))

    async def events(self, account: bytes) -> AsyncGenerator[Versions | None, None]:
        """The same without heartbeats: a folder has one user at a time, but tests share a relay."""
        from strongroom_relay.service import reading

        told = None
        try:
            with self._relay.streams.listen(account, self._key) as stream:
                while not stream.ended:
                    stream.woken.clear()
                    versions = await self._asked(reading.versions(self._relay, await self._who(account)))
                    if versions != told:
                        told = versions
                        yield versions
                    await stream.woken.wait()
        except ProblemError as problem:
            raise to_error(problem) from problem
        raise RelayUnreachable("the stream has ended")

    async def usage(self, account: bytes) -> Usage:
        from strongroom_relay.service import objects

        return await self._asked(objects.usage(self._relay, await self._who(account)))

    async def close(self) -> None:
        self._relay.store.close()

    async def _who(self, account: bytes) -> Principal:
        from strongroom_relay.service import accounts

        self.requests -= 1  # part of the request it is asked for, not one of its own
        return await self._asked(accounts.identify(self._relay, account, self._key))

    async def _asked(self, call: Awaitable[T]) -> T:
        self.requests += 1
        try:
            return await call
        except ProblemError as problem:
            raise to_error(problem) from problem


def _write(path: Path, data: bytes | memoryview, sync: Callable[[int], None]) -> None:
    with path.open("xb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(data)
        file.flush()
        sync(file.fileno())
