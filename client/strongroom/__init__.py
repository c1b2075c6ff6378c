"""Strongroom: end-to-end encrypted backup of chat history.

    import strongroom

    async with await strongroom.Vault.open(folder) as vault:
        for chat in await vault.chats():
            print(chat.title, chat.rows)

Names are loaded when they are first used, so that a command line stays quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from strongroom.vault import DeviceInfo, Restored, Status, Vault
    from strongroom_protocol.errors import StrongroomError
    from strongroom_protocol.keys.names import passphrase
    from strongroom_protocol.keys.recovery_code import parse as recovery_code
    from strongroom_protocol.rows.model import Kind, Op, Row

__all__ = [
    "DeviceInfo",
    "Kind",
    "Op",
    "Restored",
    "Row",
    "Status",
    "StrongroomError",
    "Vault",
    "passphrase",
    "recovery_code",
]

_PLACES = {
    "DeviceInfo": ("strongroom.vault", "DeviceInfo"),
    "Restored": ("strongroom.vault", "Restored"),
    "Status": ("strongroom.vault", "Status"),
    "Vault": ("strongroom.vault", "Vault"),
    "StrongroomError": ("strongroom_protocol.errors", "StrongroomError"),
    "passphrase": ("strongroom_protocol.keys.names", "passphrase"),
    "recovery_code": ("strongroom_protocol.keys.recovery_code", "parse"),
    "Kind": ("strongroom_protocol.rows.model", "Kind"),
    "Op": ("strongroom_protocol.rows.model", "Op"),
    "Row": ("strongroom_protocol.rows.model", "Row"),
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'strongroom' has no attribute {name!r}")
    module, attribute = _PLACES[name]
    return getattr(importlib.import_module(module), attribute)
