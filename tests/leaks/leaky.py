"""The command line, deliberately broken: what it backs up it also gives to the relay unsealed, in many forms.

Run in place of `strongroom` to show that the scanner would notice.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import strongroom.importing
from strongroom.cli.main import main
from strongroom.vault import Vault

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LEAKED: dict[str, None] = {}


def texts(value: Any) -> Iterator[str]:
    """Every string in a row."""
    match value:
        case str():
            yield value
        case bytes():
            yield value.decode("utf-8", "replace")
        case dict():
            for item in value.values():
                yield from texts(item)
        case list() | tuple():
            for item in value:
                yield from texts(item)


def leaks() -> Iterator[bytes]:
    """The strings in every form that the scanner claims to find."""
    whole = "\n".join(LEAKED)
    for encoding in ("utf-8", "utf-16-le", "utf-16-be"):
        yield whole.encode(encoding)
    yield whole.encode().hex().encode()
    yield whole.encode().hex().upper().encode()
    encoders: list[Callable[[bytes], bytes]] = [base64.b64encode, base64.urlsafe_b64encode]
    for encode in encoders:
        for place in range(3):
            yield b"\n".join(encode(b"x" * place + text.encode()) for text in LEAKED)
    yield b"header" + zlib.compress(whole.encode())
    yield b"header" + gzip.compress(whole.encode(), mtime=0)
    yield b"header" + zstd.compress(whole.encode())


def leaking(rows: Iterable[strongroom.importing.Imported]) -> Iterator[strongroom.importing.Imported]:
    for conversation, row in rows:
        LEAKED.update(dict.fromkeys(texts([conversation, *row])))
        yield conversation, row


def install() -> None:
    import_rows, create, confirm, close = (
        strongroom.importing.import_rows, Vault.create.__func__, Vault.confirm_devices, Vault.close,  # type: ignore[attr-defined]
    )  # fmt: skip

    async def leaky_import(session: Any, rows: Any, **more: Any) -> Any:
        return await import_rows(session, leaking(rows), **more)

    async def leaky_create(cls: Any, /, folder: Path, **more: Any) -> Any:
        LEAKED[more["device_name"]] = None
        return await create(cls, folder, **more)

    async def leaky_confirm(self: Vault, **more: Any) -> None:
        LEAKED[more["device_name"]] = None
        await confirm(self, **more)

    async def leaky_close(self: Vault) -> None:
        session = self._session
        if self.writable and LEAKED:
            for data in leaks():
                await session.transport.put(session.account, hashlib.sha256(data).digest(), data)
        await close(self)

    strongroom.importing.import_rows = leaky_import
    Vault.create = classmethod(leaky_create)  # type: ignore[method-assign, assignment]
    Vault.confirm_devices = leaky_confirm  # type: ignore[method-assign, assignment]
    Vault.close = leaky_close  # type: ignore[method-assign, assignment]
    if "import" in sys.argv:
        for argument in sys.argv[2:]:
            LEAKED.update(dict.fromkeys(path.name for path in Path(argument).rglob("*")))


if __name__ == "__main__":
    install()
    main()
