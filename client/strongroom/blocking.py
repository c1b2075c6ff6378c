"""The vault without async: the same methods, each waiting for its result.

    with Vault.open(folder) as vault:
        vault.append("family", message("home at seven", sender="anna"))

The asynchronous vault runs in a thread of its own, so that what was appended is committed while the program does
something else. Ctrl-C while a method waits cancels it there.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator
from types import TracebackType
from typing import Any, TypeVar

from strongroom.vault import Vault as AsyncVault

T = TypeVar("T")


class Vault:
    """A vault, open; see `strongroom.Vault` for the methods, their arguments and errors. Close it, or use `with`."""

    def __init__(self, opening: Coroutine[Any, Any, AsyncVault]) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="strongroom", daemon=True)
        self._thread.start()
        try:
            self._vault = self._wait(opening)
        except BaseException:
            self._stop()
            raise

    @classmethod
    def create(cls, *given: Any, **options: Any) -> Vault:
        """As `strongroom.Vault.create`."""
        return cls(AsyncVault.create(*given, **options))

    @classmethod
    def login(cls, *given: Any, **options: Any) -> Vault:
        """As `strongroom.Vault.login`."""
        return cls(AsyncVault.login(*given, **options))

    @classmethod
    def open(cls, *given: Any, **options: Any) -> Vault:
        """As `strongroom.Vault.open`."""
        return cls(AsyncVault.open(*given, **options))

    def close(self) -> None:
        """As `strongroom.Vault.close`."""
        if self._loop.is_running():
            try:
                self._wait(self._vault.close())
            finally:
                self._stop()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._vault, name)
        if not callable(found):
            return found

        def call(*given: Any, **options: Any) -> Any:
            result = found(*given, **options)
            if isinstance(result, Coroutine):
                return self._wait(result)
            return self._each(result) if isinstance(result, AsyncIterator) else result

        return call

    def __enter__(self) -> Vault:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # an interrupt: without an effect when the work has ended by itself
            raise

    def _each(self, items: AsyncIterator[T]) -> Iterator[T]:
        async def following() -> T | None:
            return await anext(items, None)

        try:
            while (found := self._wait(following())) is not None:
                yield found
        finally:
            if isinstance(items, AsyncGenerator) and self._loop.is_running():
                self._wait(items.aclose())  # a `watch` that is left ends, and its stream with it

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
