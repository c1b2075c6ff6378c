"""Linking, on the device that is there already (spec chapter 15): it shows a code, and lets in who proves to know it.

    async with await vault.unlock(passphrase=...) as owner:
        offer = await owner.link()
        show(offer.code, offer.svg())
        device = await offer.complete(lambda name, fingerprint: ask(f"Add {name} ({fingerprint})?"))

Each step is stored before anything of it is sent. After a crash `offer` goes on with the same code until that expires.
"""

from __future__ import annotations

import inspect
import io
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from strongroom.mailbox import Post, require_relay
from strongroom.session import Session, now_ms
from strongroom_protocol.errors import CallError, NotFound, UntrustedDataError
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.link.code import LONG_BYTES, LinkSecret, long_text, short_code, short_secret
from strongroom_protocol.link.exchange import Mailbox, Slot, broken, over
from strongroom_protocol.link.messages import REFUSED, Newcomer, Welcome
from strongroom_protocol.link.old import RUN_RANDOMNESS, Old, Phase
from strongroom_protocol.manifest.anchor import Anchor
from strongroom_protocol.manifest.head import Head

STATE = "link"

Confirm = Callable[[str, str], bool | Awaitable[bool]]
"""Asks the person whether the device of this name and fingerprint is to be added."""


class LinkStep(StrEnum):
    """Where a link stands."""

    WAITING = "waiting"
    WRONG_CODE = "wrong-code"
    CODE_ACCEPTED = "code-accepted"
    ADDING = "adding"


@dataclass(frozen=True, slots=True)
class LinkProgress:
    """A step, seconds until the code expires, tries that are left, the new device's fingerprint where it is known."""

    step: LinkStep
    seconds: int
    tries: int
    fingerprint: str = ""


OnLink = Callable[[LinkProgress], None]


class AddsDevices(Protocol):
    """What linking needs of the unlocked account."""

    async def add_device(self, sign_key: bytes, kem_key: bytes, name: str) -> Head: ...


async def offer(session: Session, owner: AddsDevices, *, name: str) -> LinkOffer:
    """Open a link, or go on with the one that this device was in. `name` is the account's.

    Raises ReadOnly, InvalidArgument for a vault in a folder, RelayError.
    """
    session.require_writer()
    require_relay(session.transport)
    stored = session.state.get(STATE)
    old = None if stored is None else Old.parse(stored)
    if old is not None and now_ms() >= old.expires:
        session.state.put({STATE: None})
        if old.phase in (Phase.AGREED, Phase.CLOSING):
            raise _unfinished(old)
        old = None
    if old is None or old.mailbox.origin != session.transport.origin:
        old = await _opened(session)
    return LinkOffer(session, owner, old, name)


async def _opened(session: Session) -> Old:
    made = await session.transport.open_link(session.account, secrets.token_bytes(16))
    old = Old(
        Mailbox(session.transport.origin, made.number), short_secret(secrets.token_bytes(4)),
        LinkSecret(secrets.token_bytes(LONG_BYTES)), now_ms() + made.lasts, secrets.token_bytes(RUN_RANDOMNESS),
    )  # fmt: skip
    session.state.put({STATE: old.encode()})
    return old


class LinkOffer:
    """A code on this device's screen, good for ten minutes and one new device."""

    def __init__(self, session: Session, owner: AddsDevices, old: Old, name: str) -> None:
        self._session = session
        self._owner = owner
        self._old = old
        self._name = name
        self._progress: OnLink | None = None
        self._post = Post(session.transport, old.mailbox.number, self._require_live, self._waiting)

    # What to show -------------------------------------------------------------------------------------------------

    @property
    def code(self) -> str:
        """To be typed: `482193-K7Q-M2X`. The new device needs the relay's address with it."""
        return short_code(self._old.mailbox.number, self._old.short)

    @property
    def text(self) -> str:
        """What the QR code says; it can be pasted as well."""
        return long_text(self._old.mailbox.origin, self._old.mailbox.number, self._old.long)

    @property
    def expires(self) -> int:
        """Until when the code is good (ms since 1970, by this device's clock)."""
        return self._old.expires

    def svg(self) -> bytes:
        """The QR code as an SVG image."""
        return self._image("svg")

    def png(self) -> bytes:
        """The QR code as a PNG image."""
        return self._image("png")

    def terminal(self) -> str:
        """The QR code in block characters, for terminals."""
        import segno

        out = io.StringIO()
        segno.make(self.text, error="l", micro=False).terminal(out, compact=True)
        return out.getvalue()

    def _image(self, kind: str) -> bytes:
        import segno

        out = io.BytesIO()
        segno.make(self.text, error="m", micro=False).save(out, kind=kind, scale=8)
        return out.getvalue()

    # Until the device is in ---------------------------------------------------------------------------------------

    async def complete(self, confirm: Confirm, progress: OnLink | None = None) -> Newcomer | None:
        """Wait for the new device, ask `confirm`, add it. None when the person said no.

        Can be called again after RelayUnreachable. Raises NotFound when the time is over or three wrong codes came, and
        UntrustedDataError(LINK) when somebody is between the two devices. Nothing is added then.
        """
        self._progress = progress
        try:
            while True:
                match self._old.phase:
                    case Phase.OFFERED:
                        await self._await_answer()
                    case Phase.ANSWERED:
                        self._judge()
                    case Phase.CONFIRMED:
                        await self._post.put(self._old.run, Slot.VERDICT, self._old.verdict())
                        sealed = await self._post.wait(self._old.run, Slot.NEWCOMER)
                        self._keep(self._old.meet(sealed, now_ms()))
                    case Phase.MET:
                        await self._ask(confirm)
                    case Phase.AGREED:
                        await self._add()
                    case Phase.CLOSING | Phase.DECLINED:
                        return await self._close()
                    case Phase.SPENT:
                        await self._post.put(self._old.run, Slot.VERDICT, REFUSED)
                        raise over("three wrong codes were entered; the link is over")
        except (NotFound, UntrustedDataError):
            self._forget()
            raise

    async def _await_answer(self) -> None:
        if self._old.run > 1:
            await self._post.put(self._old.run - 1, Slot.VERDICT, REFUSED)
        await self._post.put(self._old.run, Slot.OFFER, self._old.offer())
        answer = await self._post.wait(self._old.run, Slot.ANSWER)
        self._keep(self._old.take(answer, now_ms()))  # spec: LINK-24

    def _judge(self) -> None:
        self._keep(self._old.judge(secrets.token_bytes(RUN_RANDOMNESS)))
        right = self._old.phase is Phase.CONFIRMED
        self._tell(LinkStep.CODE_ACCEPTED if right else LinkStep.WRONG_CODE)

    async def _ask(self, confirm: Confirm) -> None:
        newcomer = self._newcomer()
        answer = confirm(newcomer.name, newcomer.fingerprint)
        agreed = await answer if inspect.isawaitable(answer) else answer
        self._keep(self._old.agree(now_ms()) if agreed is True else self._old.decline())  # spec: LINK-25

    async def _add(self) -> None:
        session, newcomer = self._session, self._newcomer()
        self._tell(LinkStep.ADDING)
        async with session.lock:
            await session.sync()
        if session.keyring.device(newcomer.id) is None:  # else a crash came between the commit and its note
            self._require_live()
            await self._owner.add_device(newcomer.sign_key, newcomer.kem_key, newcomer.name)
        anchor = Anchor.of(session.pin, now_ms())
        self._keep(self._old.welcome(Welcome(self._name, anchor.encode())))

    async def _close(self) -> Newcomer | None:
        added = self._old.phase is Phase.CLOSING
        try:
            await self._post.put(self._old.run, Slot.WELCOME, self._old.closing)
        except NotFound as error:
            if added:
                self._forget()
                raise _unfinished(self._old) from error
        self._forget()
        return self._newcomer() if added else None

    def _newcomer(self) -> Newcomer:
        if self._old.newcomer is None:
            raise broken("no device has introduced itself")
        return self._old.newcomer

    def _keep(self, old: Old) -> None:
        self._session.state.put({STATE: old.encode()})
        self._old = old

    def _forget(self) -> None:
        self._session.state.put({STATE: None})

    def _require_live(self) -> None:
        self._old.require_live(now_ms())

    def _waiting(self) -> None:
        self._tell(LinkStep.WAITING)

    def _tell(self, step: LinkStep) -> None:
        if self._progress is not None:
            left = max(0, self._old.expires - now_ms()) // 1000
            tries = 0 if self._old.phase is Phase.SPENT else LIMITS.link_tries + 1 - self._old.run
            self._progress(LinkProgress(step, left, tries))


def _unfinished(old: Old) -> CallError:
    name = "" if old.newcomer is None else old.newcomer.name
    return CallError(
        f"the new device {name!r} is on the list of devices but could not be told in time",
        hint="remove it with `strongroom revoke`, then link again",
    )
