"""A device of the model: its vault, its wire, and what it may never go back on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from soak.history import Broken, History, Node
from soak.wires import Wire
from strongroom import evidence
from strongroom.records import MessageRef
from strongroom.session import Session
from strongroom.state import State
from strongroom.vault import Vault
from strongroom_protocol.manifest.receipt import Chain
from strongroom_protocol.wire import cbor, cose
from vaults import NAME, quick_state


@dataclass(slots=True)
class Deed:
    """Something that a person did on a device, and the heads under which it was said to be saved."""

    kind: str
    text: str
    saved: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class Said:
    """A message and all that was done to it."""

    ref: MessageRef
    deeds: list[Deed]


@dataclass(slots=True)
class Phone:
    """A device folder, open. What is remembered here of its state is what its state must never fall behind of."""

    folder: Path
    wire: Wire
    session: Session
    history: History
    vault: Vault = field(init=False)
    unsaved: list[Deed] = field(default_factory=list)
    node: Node | None = None
    """The head that it has accepted."""
    keyrings: list[bytes] = field(default_factory=list)
    copied: bool = False
    """There is, or was, a copy of its folder."""

    def __post_init__(self) -> None:
        self.vault = Vault(self.session, name=NAME, relay="file:///bench")

    @classmethod
    def open(cls, folder: Path, wire: Wire) -> Phone:
        """From its folder."""
        with quick_state():
            session = Session.open(State.open(folder), wire)
        phone = cls(folder, wire, session, wire.history)
        phone.look()
        return phone

    def reopen(self) -> None:
        """The next process, of one that was killed: it knows what is on disk. The state is closed."""
        with quick_state():
            self.session = Session.open(State.open(self.folder), self.wire)
        self.vault = Vault(self.session, name=NAME, relay="file:///bench")
        self.look()

    @property
    def ident(self) -> bytes:
        return self.session.device.id

    @property
    def waiting(self) -> int:
        return self.vault._outbox.waiting()[0]

    def look(self) -> None:
        """Compare what it has accepted with what it had, and with what really happened. Raises Broken."""
        session, pin = self.session, self.session.pin
        if session.state.require("pin") != pin.encode():
            raise Broken("the pin on disk is not the one in memory")
        hashes = [keyring.hash for keyring in session.keyrings]
        if hashes[: len(self.keyrings)] != self.keyrings:
            raise Broken("a device went back on a keyring that it had accepted")
        node = self.history.nodes.get(pin.head_hash)
        if node is None:
            raise Broken("a device accepted a head that nobody ever sent")
        if self.node is not None and not node.continues(self.node):
            raise Broken("a device went back on a head that it had accepted")
        if hashes[-1] != node.keyring.hash:
            raise Broken("a device goes by another keyring than the one its head was made under")
        self._look_at_signers(node)
        self._look_at_receipt(node)
        self.node, self.keyrings = node, hashes

    def _look_at_signers(self, node: Node) -> None:
        for step in node.line():
            if step is self.node:
                break
            if step.device not in step.members:
                raise Broken("a device accepted a head of a device that was none any more")

    def _look_at_receipt(self, node: Node) -> None:
        """Signed by the relay that the account was made at, and for this head: checked without the client's code."""
        stored = self.session.state.get(evidence.HEAD_RECEIPT)
        core = self.session.keyrings[0].core
        if stored is None or core is None:
            raise Broken("a device accepted a head without a receipt")
        signed: Any = cose.verify(cose.Context.RECEIPT, stored, maximum=4096)
        fields = cbor.decode(signed.payload)
        if (signed.key, fields[2], fields[4]) != (core.receipt_key, int(Chain.HEAD), node.hash):
            raise Broken("a device accepted a head without its relay's receipt")
