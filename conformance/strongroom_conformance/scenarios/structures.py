"""Heads that are not quite heads: bits, lengths, encodings, types, formats, algorithms, accounts."""

from __future__ import annotations

from strongroom_conformance.insider import forged_head, peaks_of
from strongroom_conformance.scenario import HEAD, Scene, refusal, scenario
from strongroom_conformance.world import FAMILY
from strongroom_protocol.manifest.head import Head
from strongroom_protocol.relay_api.messages import HeadResponse
from strongroom_protocol.wire import cbor, cose, merkle

REFUSED = refusal(messages=FAMILY, requests=1)
AT_SIGHT = refusal(alike="head", requests=0)
"""Nothing else is asked for, whatever was wrong."""


def _change(name: str, *attacks: int, do: str, does: str, **given: object) -> None:
    @scenario(name, *attacks, does=does, expected=AT_SIGHT)
    def attack(scene: Scene) -> None:
        scene.lie("GET head", do, **given)


_change("head-bit", 18, do="flip", path=[1], does="a bit in the newest head")
_change("head-signature-bit", 18, do="flip", path=[1], at=-1, does="a bit in its signature")
_change("receipt-bit", 18, do="flip", path=[2], does="a bit in its receipt")
_change("receipt-signature-bit", 18, do="flip", path=[2], at=-1, does="a bit in the receipt's signature")
_change("head-truncated", 19, do="cut", path=[1], keep=100, does="the first 100 bytes of the newest head")
_change("head-extended", 19, do="extend", path=[1], by="00", does="the newest head and one more byte")
_change("answer-truncated", 19, do="cut", keep=60, does="the first 60 bytes of the answer")
_change("encoding-long", 35, do="loose", how="long", does="a length in more bytes than it needs")
_change("encoding-indefinite", 35, do="loose", how="indefinite", does="a map of indefinite length")
_change("encoding-twice", 35, do="loose", how="twice", does="a key twice")
_change("encoding-trailing", 35, do="loose", how="trailing", does="a byte after the end")
_change("encoding-tagged", 35, do="loose", how="tagged", does="a tag before it")
_change("answer-field-missing", 35, do="answer", body="a10140", does="an answer without most of its fields")
_change("answer-deep", 35, do="answer", body="81" * 4000 + "80", does="arrays in arrays, 4,000 deep")
_change("answer-promises-much", 35, do="answer", body="9b7fffffffffffffff", does="an array that claims 2^63 items")


@scenario("receipt-as-head", 22, does="the receipt in the place of the head", expected=AT_SIGHT)
def _receipt_as_head(scene: Scene) -> None:
    scene.lie("GET head", "put", path=[1], hex=scene.history()["heads"][-1][1])


@scenario("keyring-as-head", 22, does="the keyring in the place of the head", expected=AT_SIGHT)
def _keyring_as_head(scene: Scene) -> None:
    message = scene.history()["keyrings"][-1][0]
    scene.lie("GET head", "put", path=[1], hex=message)


@scenario("head-as-receipt", 22, does="the head in the place of its receipt", expected=AT_SIGHT)
def _head_as_receipt(scene: Scene) -> None:
    scene.lie("GET head", "put", path=[2], hex=scene.history()["heads"][-1][0])


@scenario("head-of-another-account", 21, does="another account's head and receipt", expected=AT_SIGHT)
def _other_account(scene: Scene) -> None:
    message, receipt = scene.history(account=scene.account_of("bert"))["heads"][-1]
    scene.show(HeadResponse(bytes.fromhex(message), bytes.fromhex(receipt)))


def _signed(name: str, *attacks: int, does: str, **fields: object) -> None:
    """A malicious device signs it, the relay receipts it: only the form is wrong."""

    @scenario(name, *attacks, does=does, expected=REFUSED)
    def attack(scene: Scene) -> None:
        thief = scene.world.insider("thief")
        _shown(scene, forged_head(scene.heads()[-1], thief.keyring, thief.keys, _leaves(scene), **fields))


_signed("head-format-0", 30, f1=0, does="a head of format 0, signed by a device")
_signed("head-format-2", 30, f1=2, does="a head of a format from the future, signed by a device")
_signed("head-field-more", 30, f15=1, does="a head with a field too many, signed by a device")
_signed("head-of-no-epoch", 30, f7=0, does="a head of epoch 0, signed by a device")


@scenario("head-in-another-context", 22, does="a head that a device signed as something else", expected=REFUSED)
def _context(scene: Scene) -> None:
    thief = scene.world.insider("thief")
    head = forged_head(scene.heads()[-1], thief.keyring, thief.keys, _leaves(scene))
    payload = cbor.decode(head)[2]
    _shown(scene, cose.sign(cose.Context.BLOCK, payload, thief.keys.sign.public, thief.keys.sign.sign))


@scenario("head-signed-loosely", 35, does="a head that a device signed in another encoding", expected=REFUSED)
def _loose(scene: Scene) -> None:
    thief = scene.world.insider("thief")
    payload = cbor.decode(forged_head(scene.heads()[-1], thief.keyring, thief.keys, _leaves(scene)))[2]
    loose = bytes([0xB8, payload[0] & 31]) + payload[1:]
    _shown(scene, cose.sign(cose.Context.HEAD, loose, thief.keys.sign.public, thief.keys.sign.sign))


@scenario("head-of-another-algorithm", 30, does="a head under another algorithm", expected=REFUSED)
def _algorithm(scene: Scene) -> None:
    head = cbor.decode(scene.heads()[-1].message)
    header = cbor.decode(head[0])
    _shown(scene, cbor.encode([cbor.encode({**header, 1: -8}), *head[1:]]))


@scenario("head-with-an-open-header", 30, does="a header field that nobody signed", expected=REFUSED)
def _unprotected(scene: Scene) -> None:
    head = cbor.decode(scene.heads()[-1].message)
    _shown(scene, cbor.encode([head[0], {1: -8}, *head[2:]]))


def _leaves(scene: Scene) -> list[bytes]:
    return [head.hash for head in scene.heads()]


def _shown(scene: Scene, message: bytes) -> None:
    """As the newest head, with receipt, log and proof as they should be."""
    past: Head = scene.heads()[-1]
    leaves = _leaves(scene)
    receipt = scene.receipt(message, chain=HEAD, version=past.version + 1, previous=past.hash)
    proof = merkle.consistency_proof(past.version - 1, leaves)
    scene.show(HeadResponse(message, receipt, peaks_of(leaves), tuple(proof)))
