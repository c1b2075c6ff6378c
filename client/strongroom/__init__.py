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
    from strongroom.columns import Columns
    from strongroom.compose import member, message, title
    from strongroom.records import (
        Attachment,
        ChatMessage,
        DeviceInfo,
        MessageRef,
        Progress,
        Restored,
        Status,
    )
    from strongroom.vault import Vault
    from strongroom_protocol.errors import StrongroomError
    from strongroom_protocol.keys.names import passphrase
    from strongroom_protocol.keys.recovery_code import parse as recovery_code
    from strongroom_protocol.rows.model import ConversationKind, DeleteKind, Kind, Op, Row

__all__ = [
    "Attachment",
    "ChatMessage",
    "Columns",
    "ConversationKind",
    "DeleteKind",
    "DeviceInfo",
    "Kind",
    "MessageRef",
    "Op",
    "Progress",
    "Restored",
    "Row",
    "Status",
    "StrongroomError",
    "Vault",
    "member",
    "message",
    "passphrase",
    "recovery_code",
    "title",
]

_PLACES = {
    "Attachment": ("strongroom.records", "Attachment"),
    "ChatMessage": ("strongroom.records", "ChatMessage"),
    "Columns": ("strongroom.columns", "Columns"),
    "ConversationKind": ("strongroom_protocol.rows.model", "ConversationKind"),
    "DeleteKind": ("strongroom_protocol.rows.model", "DeleteKind"),
    "MessageRef": ("strongroom.records", "MessageRef"),
    "Progress": ("strongroom.records", "Progress"),
    "member": ("strongroom.compose", "member"),
    "message": ("strongroom.compose", "message"),
    "title": ("strongroom.compose", "title"),
    "DeviceInfo": ("strongroom.records", "DeviceInfo"),
    "Restored": ("strongroom.records", "Restored"),
    "Status": ("strongroom.records", "Status"),
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
