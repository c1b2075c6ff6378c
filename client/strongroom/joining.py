"""Linking, on the new device (spec chapter 15): it enters a code, and becomes a device of the account.

The vault's folder holds nothing until the new device has found itself in the account's keyring, under the anchor that
the old device vouches for. What is known before that lies beside it (`link_pending`), and the same command goes on.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from strongroom import evidence
from strongroom.freshness import FRESHNESS, FirstState
from strongroom.link_pending import ENTERED, forget, is_by, mark, pending, settle, under_way
from strongroom.linking import STATE, LinkProgress, LinkStep, OnLink
from strongroom.mailbox import Post, require_relay
from strongroom.session import DeviceKeys, Session, now_ms
from strongroom.state import FILES, State
from strongroom.transport import open_transport
from strongroom.transport.base import Transport
from strongroom.transport.http import HttpTransport
from strongroom_protocol.errors import (
    CallError,
    InvalidArgument,
    StrongroomError,
    UntrustedDataError,
    WrongSecret,
)
from strongroom_protocol.keys.epochs import open_epochs
from strongroom_protocol.keys.secrets import KemSeed, SigningSeed
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.link import code as codes
from strongroom_protocol.link.exchange import Mailbox, Slot, broken, over
from strongroom_protocol.link.messages import NAME_BYTES, Newcomer, Welcome
from strongroom_protocol.link.new import ANSWER_RANDOMNESS, New, Step
from strongroom_protocol.manifest.anchor import Anchor
from strongroom_protocol.wire import cbor


async def join(
    folder: Path, *, code: str | None, relay: str | None, device_name: str, progress: OnLink | None = None
) -> Session:
    """Link this device by a code, or go on with the link that it is in (then without one, or with its own).

    Another code gives that link up, and this device's keys with it: whoever enters a code means that one.

    Raises WrongSecret when the old device has another code (again with the right one, three times at most), NotFound
    when the time is over, CallError when the person at the old device says no, UntrustedDataError.
    """
    settle(folder)
    if code is None and not under_way(folder):
        raise InvalidArgument("a link code is needed", hint="run `strongroom link` on the old device, which shows one")
    entered = None if code is None else codes.parse(code)
    if entered is not None and under_way(folder):
        if is_by(folder, entered):
            entered = None
        else:  # spec: LINK-29
            forget(folder)
    address = relay
    if entered is not None:
        address = entered.relay or relay
        if entered.relay and relay and not _same(entered.relay, relay):
            raise InvalidArgument(
                f"the code is of another relay, {entered.relay}, than the one given with --relay",
                hint="compare it with the old device's; give that one with --relay if it is yours",
            )
        if address is None:
            raise InvalidArgument("--relay is needed with a short code", hint="give the relay that the old device uses")
    state = pending(folder)
    done = state.get(STATE) is None  # until something of the link is kept, nothing is left behind
    try:
        if address is None or entered is None:
            address = state.require("relay").decode()
        transport = await open_transport(address)
        try:
            require_relay(transport)
            joining = _Joining(folder, state, transport, address, device_name, progress)
            joining.begin(entered)
            done = False
            try:
                return await joining.run(entered)
            finally:
                done = joining.done
        except BaseException:
            await transport.close()
            raise
    finally:
        state.close()
        if done:
            forget(folder)


def _same(one: str, other: str) -> bool:
    """Whether two addresses are of one relay."""
    return HttpTransport(one.rstrip("/")).origin == HttpTransport(other.rstrip("/")).origin


class _Joining:
    """One run of the command."""

    def __init__(
        self, folder: Path, state: State, transport: Transport, relay: str, name: str, progress: OnLink | None
    ) -> None:
        self.done = self._declined = False
        self._folder = folder
        self._state = state
        self._transport = transport
        self._relay = relay
        self._progress = progress
        self._seeds = self._stored_seeds()
        self._device = DeviceKeys(SigningSeed(self._seeds["sign-seed"]), KemSeed(self._seeds["kem-seed"]))
        cut = name.encode()[:NAME_BYTES].decode(errors="ignore")
        self._newcomer = Newcomer(self._device.sign.public, self._device.kem.public, cut)
        self._new: New

    def begin(self, entered: codes.LinkCode | None) -> None:
        """Take up the stored link, or a new one by its code."""
        self._new = self._begun(entered)
        self._post = Post(self._transport, self._new.mailbox.number, self._require_live, self._waiting)

    async def run(self, entered: codes.LinkCode | None) -> Session:
        """Until this device is one of the account's. `done` says whether what is kept of the link can go."""
        try:
            if entered is not None:
                await self._answer(entered.secret)
            if self._new.step is Step.ANSWERED:
                await self._prove()
            welcome = await self._introduce()
            session = await self._accepted(welcome)
        except BaseException:
            self.done = self._is_over()
            raise
        self.done = True
        return session

    def _is_over(self) -> bool:
        """Whether nothing is left to go on with. Whatever a relay brings about leaves tries counted and keys kept."""
        return self._declined or self._new.tries == 0 or now_ms() >= self._new.expires  # spec: LINK-30

    def _begun(self, entered: codes.LinkCode | None) -> New:
        stored = self._state.get(STATE)
        known = None if stored is None else New.parse(stored)
        if entered is None:
            if known is None:
                raise over()
            return known
        mailbox = Mailbox(self._transport.origin, entered.number)
        if known is not None and known.mailbox == mailbox and now_ms() < known.expires:
            if known.step is Step.SPENT:
                raise over("the code was entered wrongly three times")
            return known
        new = New(mailbox, now_ms() + LIMITS.link_ms)
        self._state.put({STATE: new.encode(), "relay": self._relay.encode()})
        return new

    async def _answer(self, secret: codes.LinkSecret) -> None:
        run = await self._post.first_free_run(LIMITS.link_tries)
        offer = await self._post.wait(run, Slot.OFFER)
        answered = self._new.answer(secret, run, offer, secrets.token_bytes(ANSWER_RANDOMNESS), now_ms())
        self._state.put({ENTERED: mark(self._new.mailbox.number, secret)})
        self._keep(answered)  # spec: LINK-26

    async def _prove(self) -> None:
        """Send the answer and check the verdict; whatever it comes to, the try is spent."""
        new = self._new
        try:
            await self._post.put(new.run, Slot.ANSWER, new.reply)
            verdict = await self._post.wait(new.run, Slot.VERDICT)
            self._keep(new.judged(verdict, self._newcomer, now_ms()))
        except (UntrustedDataError, CallError):
            self._keep(new.refused())
            raise
        if self._new.step is not Step.CONFIRMED:
            left = self._new.left
            raise WrongSecret(
                f"the old device shows another code; tries left: {left}",
                hint="compare it with the old device's screen; --relay must be written as there",
            )
        self._tell(LinkStep.CODE_ACCEPTED)

    async def _introduce(self) -> Welcome:
        await self._post.put(self._new.run, Slot.NEWCOMER, self._new.introduction)
        welcome = self._new.welcomed(await self._post.wait(self._new.run, Slot.WELCOME), now_ms())
        if welcome is None:
            self._declined = True
            raise CallError("the person at the old device did not let this device in", hint="link again if it was you")
        return welcome

    async def _accepted(self, welcome: Welcome) -> Session:
        """The same as `_accept`; what stands in the way says that this device may be on the account's list by now."""
        try:
            return await self._accept(welcome, Anchor.parse(welcome.anchor))
        except StrongroomError as error:
            error.hint = (
                "the old device may list this one by now: repeat `strongroom login --link` within ten minutes, it goes "
                "on from here, or remove this device there with `strongroom revoke`"
            )
            raise

    async def _accept(self, welcome: Welcome, anchor: Anchor) -> Session:
        """Take the account over as the old device vouches for it; all of it is stored at once, or nothing is."""
        self._transport.authenticate(self._device.sign.public, self._device.sign.sign)
        first = FirstState(self._transport, anchor)
        newest = await first.fetch(anchor.account)
        if newest.keyrings[-1].device(self._device.id) is None:  # spec: LINK-27
            raise broken("this device is not on the account's list of devices")
        open_epochs(newest.keyrings[-1], self._device.kem)
        chain = cbor.encode([keyring.message for keyring in newest.keyrings])
        state = State.create(self._folder)
        try:
            state.put(
                {
                    **self._seeds, "relay": self._relay.encode(), "name": welcome.name.encode(),
                    "pin": newest.pin.encode(), "keyrings": chain, "head": newest.answer.head,
                    "asked": now_ms().to_bytes(8, "big"), evidence.HEAD_RECEIPT: newest.answer.receipt,
                    evidence.KEYRING_RECEIPT: first.shown.keyrings[-1], FRESHNESS: first.words().encode(),
                }
            )  # fmt: skip
            return Session.open(state, self._transport)
        except BaseException:
            state.close()
            for leftover in FILES:
                (self._folder / leftover).unlink(missing_ok=True)
            raise

    def _stored_seeds(self) -> dict[str, bytes]:
        seeds = {"sign-seed": self._state.get("sign-seed"), "kem-seed": self._state.get("kem-seed")}
        found = {name: seed for name, seed in seeds.items() if seed is not None}
        if len(found) < len(seeds):
            found = {"sign-seed": secrets.token_bytes(32), "kem-seed": secrets.token_bytes(96)}
            self._state.put(found)
        return found

    def _keep(self, new: New) -> None:
        self._state.put({STATE: new.encode()})
        self._new = new

    def _require_live(self) -> None:
        self._new.require_live(now_ms())

    def _waiting(self) -> None:
        self._tell(LinkStep.WAITING)

    def _tell(self, step: LinkStep) -> None:
        if self._progress is not None:
            left = max(0, self._new.expires - now_ms()) // 1000
            self._progress(LinkProgress(step, left, self._new.left, self._newcomer.fingerprint))
