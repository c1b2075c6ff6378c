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
    from strongroom.backfill import Backfill
    from strongroom.codes import new_recovery_code, recovery_code, recovery_code_text
    from strongroom.columns import Columns
    from strongroom.compose import member, message, title
    from strongroom.engine.depth import Depth
    from strongroom.linking import LinkOffer
    from strongroom.owner import Owner
    from strongroom.policies import Policies, Policy
    from strongroom.records import (
        Attachment,
        ChatMessage,
        DeviceInfo,
        ImportResult,
        KeyEventInfo,
        MessageRef,
        Progress,
        Restored,
        SlotInfo,
        Status,
        Update,
        VersionInfo,
    )
    from strongroom.retention import Cut, Plan
    from strongroom.search.records import Hit, IndexState, SearchPage
    from strongroom.settings import Settings
    from strongroom.undoing import Undone
    from strongroom.vault import Vault
    from strongroom_protocol.errors import (
        ImportRefused,
        IncompleteError,
        InvalidArgument,
        NotFound,
        ReadOnly,
        RelayConflict,
        RelayRefused,
        RelayUnreachable,
        StorageFull,
        StrongroomError,
        UntrustedDataError,
        UpgradeRequired,
        VaultLocked,
        WrongSecret,
    )
    from strongroom_protocol.keys.names import passphrase
    from strongroom_protocol.manifest.anchor import Anchor
    from strongroom_protocol.manifest.proof import Evidence
    from strongroom_protocol.rows.model import ConversationKind, DeleteKind, Kind, Op, Row

__all__ = [
    "Anchor",
    "Attachment",
    "Backfill",
    "ChatMessage",
    "Columns",
    "ConversationKind",
    "Cut",
    "DeleteKind",
    "Depth",
    "DeviceInfo",
    "Evidence",
    "Hit",
    "ImportRefused",
    "ImportResult",
    "IncompleteError",
    "IndexState",
    "InvalidArgument",
    "KeyEventInfo",
    "Kind",
    "LinkOffer",
    "MessageRef",
    "NotFound",
    "Op",
    "Owner",
    "Plan",
    "Policies",
    "Policy",
    "Progress",
    "ReadOnly",
    "RelayConflict",
    "RelayRefused",
    "RelayUnreachable",
    "Restored",
    "Row",
    "SearchPage",
    "Settings",
    "SlotInfo",
    "Status",
    "StorageFull",
    "StrongroomError",
    "Undone",
    "UntrustedDataError",
    "Update",
    "UpgradeRequired",
    "Vault",
    "VaultLocked",
    "VersionInfo",
    "WrongSecret",
    "member",
    "message",
    "new_recovery_code",
    "passphrase",
    "recovery_code",
    "recovery_code_text",
    "title",
]

_PLACES = {
    "Hit": ("strongroom.search.records", "Hit"),
    "IndexState": ("strongroom.search.records", "IndexState"),
    "Settings": ("strongroom.settings", "Settings"),
    "Update": ("strongroom.records", "Update"),
    "SearchPage": ("strongroom.search.records", "SearchPage"),
    "KeyEventInfo": ("strongroom.records", "KeyEventInfo"),
    "SlotInfo": ("strongroom.records", "SlotInfo"),
    "VersionInfo": ("strongroom.records", "VersionInfo"),
    "Undone": ("strongroom.undoing", "Undone"),
    "LinkOffer": ("strongroom.linking", "LinkOffer"),
    "Owner": ("strongroom.owner", "Owner"),
    "Anchor": ("strongroom_protocol.manifest.anchor", "Anchor"),
    "Evidence": ("strongroom_protocol.manifest.proof", "Evidence"),
    "ImportResult": ("strongroom.records", "ImportResult"),
    "ImportRefused": ("strongroom_protocol.errors", "ImportRefused"),
    "IncompleteError": ("strongroom_protocol.errors", "IncompleteError"),
    "InvalidArgument": ("strongroom_protocol.errors", "InvalidArgument"),
    "NotFound": ("strongroom_protocol.errors", "NotFound"),
    "ReadOnly": ("strongroom_protocol.errors", "ReadOnly"),
    "RelayConflict": ("strongroom_protocol.errors", "RelayConflict"),
    "RelayRefused": ("strongroom_protocol.errors", "RelayRefused"),
    "RelayUnreachable": ("strongroom_protocol.errors", "RelayUnreachable"),
    "StorageFull": ("strongroom_protocol.errors", "StorageFull"),
    "UntrustedDataError": ("strongroom_protocol.errors", "UntrustedDataError"),
    "UpgradeRequired": ("strongroom_protocol.errors", "UpgradeRequired"),
    "VaultLocked": ("strongroom_protocol.errors", "VaultLocked"),
    "WrongSecret": ("strongroom_protocol.errors", "WrongSecret"),
    "Attachment": ("strongroom.records", "Attachment"),
    "ChatMessage": ("strongroom.records", "ChatMessage"),
    "Backfill": ("strongroom.backfill", "Backfill"),
    "Policies": ("strongroom.policies", "Policies"),
    "Policy": ("strongroom.policies", "Policy"),
    "Cut": ("strongroom.retention", "Cut"),
    "Plan": ("strongroom.retention", "Plan"),
    "Depth": ("strongroom.engine.depth", "Depth"),
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
    "new_recovery_code": ("strongroom.codes", "new_recovery_code"),
    "recovery_code": ("strongroom.codes", "recovery_code"),
    "recovery_code_text": ("strongroom.codes", "recovery_code_text"),
    "Kind": ("strongroom_protocol.rows.model", "Kind"),
    "Op": ("strongroom_protocol.rows.model", "Op"),
    "Row": ("strongroom_protocol.rows.model", "Row"),
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'strongroom' has no attribute {name!r}")
    module, attribute = _PLACES[name]
    return getattr(importlib.import_module(module), attribute)
