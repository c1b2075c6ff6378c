"""What a device shows at a head, compared with what was done, and with what others show at that head."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from soak.history import Broken, Node
from soak.phones import Deed, Said
from strongroom.engine.snapshot import Snapshot
from strongroom_protocol.rows.merge import Message
from vaults import messages_of

View = dict[str, list[tuple[Any, ...]]]


class Views:
    """The first complete view of every head; each later one must be the same."""

    def __init__(self) -> None:
        self.said: dict[tuple[str, str], Said] = {}
        self.known: set[str] = set()
        self.compared = 0
        self._first: dict[bytes, View] = {}

    def add(self, said: Said) -> None:
        self.said[said.ref.chat, said.ref.id] = said

    async def check(self, snapshot: Snapshot, node: Node) -> bool:
        """Whether the view is complete; with damage that is named, less is shown. Raises Broken."""
        found = await messages_of(snapshot)
        shown = {chat: [_plain(message) for message in messages] for chat, messages in found.items() if messages}
        for chat, messages in found.items():
            for message in messages:
                self._check_known(chat, message)
            ids = [message.id for message in messages]
            if len(ids) != len(set(ids)):
                raise Broken("a message is shown twice")
        if snapshot.source.damage:
            return False
        self._check_saved(found, node)
        if self._first.setdefault(node.hash, shown) != shown:
            raise Broken("two devices show different things at the same head")
        self.compared += 1
        return True

    def _check_known(self, chat: str, message: Message) -> None:
        said = self.said.get((chat, message.id))
        if said is None:
            raise Broken("a message is shown that nobody wrote")
        texts = [row.text for row in message.versions]
        written = {deed.text for deed in said.deeds if deed.kind in ("put", "edit")}
        if len(texts) != len(set(texts)) or not written.issuperset(texts):
            raise Broken("a message shows what nobody wrote, or twice what somebody wrote once")
        if message.deletion is not None and not any(deed.kind == "delete" for deed in said.deeds):
            raise Broken("a message was deleted that nobody deleted")

    def _check_saved(self, found: dict[str, list[Message]], node: Node) -> None:
        """All that was acknowledged in this history is there."""
        by_key = {(chat, message.id): message for chat, messages in found.items() for message in messages}
        for key, said in self.said.items():
            saved = [deed for deed in said.deeds if _saved(deed.saved, node)]
            if not saved:
                continue
            message = by_key.get(key)
            if message is None and all(deed.kind == "react" for deed in saved):
                continue  # to a message that this history has not
            if message is None:
                raise Broken(f"lost: {', '.join(deed.kind for deed in saved)} was acknowledged and is not there")
            if any(deed.kind == "delete" for deed in saved):
                if message.versions or message.deletion is None:
                    raise Broken("a deletion was acknowledged and the message is still there")
                continue
            if message.deletion is not None:
                continue
            _check_deeds(message, saved)


def _check_deeds(message: Message, saved: Iterable[Deed]) -> None:
    texts = {row.text for row in message.versions}
    reactions = {row.text for row in message.reactions}
    for deed in saved:
        if deed.text not in (reactions if deed.kind == "react" else texts):
            raise Broken(f"lost: {deed.kind} was acknowledged and is not there")


def _saved(heads: list[Node], node: Node) -> bool:
    return any(node.continues(head) for head in heads)


def _plain(message: Message) -> tuple[Any, ...]:
    return (
        message.id, message.time, tuple(row.text for row in message.versions), message.deletion is not None,
        tuple((row.sender, row.text) for row in message.reactions),
    )  # fmt: skip
