"""Old, other and too new states: rollback, freeze, fork, fast forward, mixtures."""

from __future__ import annotations

from strongroom_conformance.client import Outcome
from strongroom_conformance.insider import forged_head, peaks_of
from strongroom_conformance.scenario import HEAD, MISFIT, OK, Expected, Scene, refusal, scenario
from strongroom_conformance.world import CHAT, FAMILY, append
from strongroom_protocol.relay_api.messages import HeadResponse
from strongroom_protocol.wire import cbor, merkle

APPEND = append("m9")
READING = 10
KEPT = refusal(messages=FAMILY)


def _back(scene: Scene, snapshot: str) -> None:
    scene.world.control.ask("reset", name=snapshot)
    scene.lie("GET head", "honest")


def _rollback(name: str, snapshot: str, does: str, command: tuple[str, ...] = ("restore",), requests: int = 3) -> None:
    messages = FAMILY if command == ("restore",) else None
    expected = refusal(messages=messages, requests=requests)

    @scenario(name, 36, does=does, command=command, expected=expected)
    def attack(scene: Scene) -> None:
        _back(scene, snapshot)


_rollback("rollback-by-one", "before a2", "the state before the newest")
_rollback("rollback-of-a-keyring", "ally joined", "a state with the keyring before", requests=MISFIT)
_rollback("rollback-of-all-keyrings", "story", "a state with the first keyring", requests=MISFIT)
_rollback("rollback-to-the-beginning", "before m1", "the first state of all", requests=MISFIT)
_rollback("rollback-while-writing", "before a2", "the state before the newest, to a device that writes", APPEND)
_rollback("rollback-while-verifying", "before a2", "the state before the newest, to `verify`", ("verify",))


@scenario(
    "replayed-answer", 36, does="an earlier answer to the same request, receipt and proofs included", expected=KEPT
)
def _replay(scene: Scene) -> None:
    old = scene.heads()[-2]
    message, receipt = scene.history()["heads"][-2]
    peaks = peaks_of([head.hash for head in scene.heads()[: old.version - 1]])
    scene.show(HeadResponse(bytes.fromhex(message), bytes.fromhex(receipt), peaks))


@scenario("replayed-by-the-relay", 36, does="what it answered to that request before another device committed")
def _replay_later(scene: Scene) -> None:
    scene.world.must("restore")
    scene.world.another([CHAT, "a8", "newer"])
    scene.world.must("restore")
    scene.world.remember()
    scene.lie("GET head", "replay", number=0)


def _told(scene: Scene, outcome: Outcome) -> list[str]:
    """When the relay shows it, the client takes what was withheld."""
    scene.world.control.ask("serve", default="other")
    scene.world.must("restore")
    shown = scene.world.must("status", "--messages").said.get("messages")
    return [] if shown == sorted([*FAMILY, [CHAT, "a8", "withheld"]]) else ["does not show what was withheld before"]


@scenario(
    "freeze", 38, does="the newest state it showed, for ever: the limit that chapter 00 names",
    expected=Expected(frozenset({OK}), requests=READING, messages=FAMILY), after=_told,
)  # fmt: skip
def _freeze(scene: Scene) -> None:
    _other_branch(scene)
    scene.world.another([CHAT, "a8", "withheld"])
    scene.lie("GET head", "honest")


def _other_branch(scene: Scene) -> None:
    """From here on the suite's devices live on a branch of their own."""
    control, ally = scene.world.control, scene.world.insider("ally")
    control.ask("snapshot", name="fork")
    control.ask("reset", name="fork", branch="other")
    control.ask("serve", default="main", keys={ally.keys.sign.public.hex(): "other"})


def _fork(name: str, longer: int, command: tuple[str, ...], does: str) -> None:
    @scenario(name, 39, 45, does=does, command=command, expected=refusal())
    def attack(scene: Scene) -> None:
        _other_branch(scene)
        for number in range(1 + longer):
            scene.world.another([CHAT, f"b{number}", "the other history"])
        scene.world.must(*append("m8"), text="this history")
        scene.world.remember()
        scene.world.control.ask("serve", default="other")
        scene.lie("GET head", "honest")


_fork("fork-of-one-version", 0, ("restore",), "the other side of a fork, at the same version")
_fork("fork-that-is-longer", 1, ("restore",), "the other side of a fork, which is ahead")
_fork("fork-while-writing", 1, APPEND, "the other side of a fork, to a device that writes")


def _forward(name: str, version: int, does: str) -> None:
    @scenario(name, 40, does=does, expected=refusal(requests=0))
    def attack(scene: Scene) -> None:
        past, thief = scene.heads()[-1], scene.world.insider("thief")
        peaks = tuple(bytes([n]) * 32 for n in range((version - 1).bit_count()))
        message = forged_head(past, thief.keyring, thief.keys, (), f3=version, f12=merkle.root_of(peaks))
        receipt = scene.receipt(message, chain=HEAD, version=version, previous=past.hash)
        scene.show(HeadResponse(message, receipt, peaks))


_forward("fast-forward", 1_000_200, "a head of a device, a million versions ahead")
_forward("fast-forward-to-the-end", 2**48 - 1, "a head of a device, at the end of all numbers")


def _mixed(name: str, *attacks: int, field: int, does: str) -> None:
    """A field of the newest answer as it was in the one before."""

    @scenario(name, *attacks, does=does, expected=KEPT)
    def attack(scene: Scene) -> None:
        heads = scene.heads()
        old = {
            2: bytes.fromhex(scene.history()["heads"][-2][1]),
            3: list(peaks_of([head.hash for head in heads[:-2]])),
            1: heads[-2].message,
        }[field]
        scene.world.another([CHAT, "a8", "newer"])
        heads = scene.heads()
        answer = {
            1: heads[-1].message,
            2: bytes.fromhex(scene.history()["heads"][-1][1]),
            3: list(peaks_of([head.hash for head in heads[:-1]])),
            4: merkle.consistency_proof(len(heads) - 2, [head.hash for head in heads[:-1]]),
            5: None,
            6: [],
        }
        scene.lie("GET head", "answer", body=cbor.encode(answer | {field: old}).hex(), instead=True)


_mixed("mixed-old-head", 37, field=1, does="an earlier head with the newest receipt and proofs")
_mixed("mixed-old-receipt", 37, field=2, does="an earlier head's receipt")
_mixed("mixed-old-log", 37, 46, field=3, does="an earlier log")


@scenario("head-cut-out", 46, does="a log from which one earlier head was taken out", expected=KEPT)
def _cut_out(scene: Scene) -> None:
    scene.world.another([CHAT, "a8", "newer"])
    hashes = [head.hash for head in scene.heads()]
    scene.lie(
        "GET head", "put", path=[3], value=None, hexes=[peak.hex() for peak in peaks_of([*hashes[:3], *hashes[4:-1]])]
    )


@scenario("proof-withheld", 46, does="no proof that the log goes on from what the device knows", expected=KEPT)
def _no_proof(scene: Scene) -> None:
    scene.world.another([CHAT, "a8", "newer"])
    scene.world.another([CHAT, "a9", "newer still"])
    scene.lie("GET head", "put", path=[4], value=[])


@scenario(
    "keyring-withheld", 36, 37, does="the newest head, and none of the keyrings since", stage="behind",
    expected=refusal(requests=MISFIT),
)  # fmt: skip
def _no_keyrings(scene: Scene) -> None:
    scene.lie("GET keyring", "answer", body=cbor.encode([]).hex(), instead=True)
