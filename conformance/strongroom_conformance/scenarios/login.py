"""A fresh device logs in, and the relay lies about what to derive, what to open, and whose it is."""

from __future__ import annotations

from dataclasses import replace

from strongroom_conformance.client import Outcome, Secrets
from strongroom_conformance.scenario import OK, SECRET, UNTRUSTED, Expected, Scene, refusal, scenario
from strongroom_conformance.world import ANNA, CHAT
from strongroom_protocol.manifest.slots import SlotSet
from strongroom_protocol.relay_api.messages import UnlockResponse, encode_keyrings

LATER = 4_000_000_000_000
LOGIN = ("login",)
BEFORE_DERIVING = refusal(pin="none", only=(), seconds=10, memory=200)
"""Refused at sight: nothing derived, nothing sent."""

NOT_OPENED = Expected(frozenset({SECRET}), pin="none", only=("POST unlock",), alike="unlock")
"""A wrong secret, as far as anybody can see: one unlock, always of the same size."""

NOT_ITS_OWN = Expected(frozenset({SECRET, UNTRUSTED}), pin="none", requests=4)
"""What does not open may be a wrong secret or a lie."""

REFUSED = refusal(pin="none")


def _parameters(name: str, *attacks: int, path: list[int], value: int, does: str) -> None:
    @scenario(name, *attacks, does=does, stage="story", command=LOGIN, vault="fresh", expected=BEFORE_DERIVING)
    def attack(scene: Scene) -> None:
        scene.lie("POST login", "put", path=path, value=value)


_parameters("kdf-memory-floor", 1, path=[3, 1], value=8, does="8 KiB of memory for Argon2id")
_parameters("kdf-passes-floor", 1, path=[3, 2], value=1, does="one pass of Argon2id")
_parameters("kdf-lanes", 1, path=[3, 3], value=1, does="another number of lanes")
_parameters("kdf-memory-ceiling", 2, path=[3, 1], value=2**32 - 1, does="4 TiB of memory for Argon2id")
_parameters("kdf-passes-ceiling", 2, path=[3, 2], value=2**31, does="two thousand million passes")


@scenario(
    "login-wrong-passphrase", 10, does="nothing; the passphrase is wrong: what the next ones are compared with",
    stage="story", command=LOGIN, vault="fresh", expected=NOT_OPENED,
    secrets=Secrets(ANNA.account, ANNA.passphrase + "-no"),
)  # fmt: skip
def _wrong(scene: Scene) -> None:
    scene.lie("POST login", "honest")


@scenario(
    "login-salt-changed", 3, 10, does="one bit of the salt", stage="story", command=LOGIN, vault="fresh",
    expected=NOT_OPENED,
)  # fmt: skip
def _salt(scene: Scene) -> None:
    scene.lie("POST login", "flip", path=[2])


@scenario(
    "login-passes-changed", 3, 10, does="another number of passes, within the limits", stage="story", command=LOGIN,
    vault="fresh", expected=NOT_OPENED,
)  # fmt: skip
def _passes(scene: Scene) -> None:
    scene.lie("POST login", "put", path=[3, 2], value=4)


@scenario(
    "login-salt-of-another", 4, 10, does="the salt of another account with the same passphrase", stage="story",
    command=LOGIN, vault="fresh", expected=NOT_OPENED,
)  # fmt: skip
def _others_salt(scene: Scene) -> None:
    scene.lie("POST login", "put", path=[2], hex=_slots(scene, "bert").salt.hex())


@scenario(
    "unlock-after-a-changed-salt", 3, does="a changed salt, and the account's real slots for whoever asks",
    stage="story", command=LOGIN, vault="fresh", expected=NOT_ITS_OWN,
)  # fmt: skip
def _colluding(scene: Scene) -> None:
    scene.lie("POST login", "flip", path=[2])
    _unlocks(scene, scene.account, _slots(scene, "anna"))


@scenario(
    "unlock-slots-of-another", 4, 5, does="another account's slots", stage="story", command=LOGIN, vault="fresh",
    expected=NOT_ITS_OWN,
)  # fmt: skip
def _others_slots(scene: Scene) -> None:
    _unlocks(scene, scene.account, _slots(scene, "bert"))


@scenario(
    "unlock-another-account", 4, 21, does="the account's slots as another account's", stage="story", command=LOGIN,
    vault="fresh", expected=REFUSED,
)  # fmt: skip
def _other_account(scene: Scene) -> None:
    _unlocks(scene, scene.account_of("bert"), _slots(scene, "anna"))


@scenario(
    "unlock-wrap-changed", 3, 5, does="a bit in each slot's sealed root record", stage="story", command=LOGIN,
    vault="fresh", expected=REFUSED,
)  # fmt: skip
def _wrap(scene: Scene) -> None:
    found = _slots(scene, "anna")
    slots = tuple(replace(slot, wrap=slot.wrap[:-1] + bytes([slot.wrap[-1] ^ 1])) for slot in found.slots)
    _unlocks(scene, scene.account, replace(found, slots=slots))


@scenario(
    "unlock-wrap-of-another", 5, does="another account's root record in each slot", stage="story", command=LOGIN,
    vault="fresh", expected=REFUSED,
)  # fmt: skip
def _others_wrap(scene: Scene) -> None:
    found, other = _slots(scene, "anna"), _slots(scene, "bert")
    slots = tuple(replace(slot, wrap=other.slots[0].wrap) for slot in found.slots)
    _unlocks(scene, scene.account, replace(found, slots=slots))


def _keyrings(name: str, *attacks: int, places: list[int], account: str = "anna", does: str) -> None:
    @scenario(name, *attacks, does=does, command=LOGIN, vault="fresh", expected=REFUSED)
    def attack(scene: Scene) -> None:
        chain = scene.history(account=scene.account_of(account))["keyrings"]
        kept = [tuple(map(bytes.fromhex, chain[place])) for place in places]
        body = encode_keyrings([(message, receipt) for message, receipt in kept])
        scene.lie("GET keyring", "answer", body=body.hex(), instead=True, times=1)
        scene.lie("GET keyring", "answer", body=encode_keyrings([]).hex(), instead=True)


_keyrings("login-keyring-first-missing", 46, places=[1, 2], does="a keyring chain without its beginning")
_keyrings("login-keyring-middle-missing", 46, places=[0, 2], does="a keyring chain without its middle")
_keyrings(
    "login-keyring-last-missing", 36, places=[0, 1], does="a keyring chain without its end, under the newest head"
)
_keyrings("login-keyring-of-another", 5, 6, places=[0], account="bert", does="another account's keyring")


def _older(scene: Scene) -> None:
    scene.world.control.ask("reset", name="before a2")
    scene.lie("GET head", "honest")


def _read_only(scene: Scene, outcome: Outcome) -> list[str]:
    return ["a device that cannot know what is newest may write"] if outcome.said.get("writable") is not False else []


scenario(
    "login-old-state", 41, does="an old state for a fresh device: the limit that chapter 00 names", command=LOGIN,
    vault="fresh", expected=Expected(frozenset({OK}), pin="any", requests=8), after=_read_only,
)(_older)  # fmt: skip
scenario(
    "login-old-state-with-anchor", 41, 36, does="an old state for a fresh device that brings an anchor",
    command=("login", "--anchor", "{anchor}"), vault="fresh", expected=REFUSED,
)(_older)  # fmt: skip


@scenario(
    "login-fork-with-anchor", 39, 41, does="another history for a fresh device that brings an anchor",
    command=("login", "--anchor", "{anchor}"), vault="fresh", expected=REFUSED,
)  # fmt: skip
def _forked(scene: Scene) -> None:
    scene.world.control.ask("reset", name="before a2")
    scene.world.rewind("ally", "before a2")
    scene.world.another([CHAT, "b2", "of another history"])
    scene.lie("GET head", "honest")


def _slots(scene: Scene, name: str) -> SlotSet:
    account = scene.account_of(name)
    return SlotSet.parse(bytes.fromhex(scene.history(account=account)["slots"]), account=account)


def _unlocks(scene: Scene, account: bytes, slots: SlotSet) -> None:
    body = UnlockResponse(account, slots.encode(), LATER).encode()
    scene.lie("POST unlock", "answer", body=body.hex(), instead=True)
