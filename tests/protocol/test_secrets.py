"""Secrets do not show themselves (chapter 04)."""

from __future__ import annotations

import copy
import hmac
import logging
import pickle
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from protocol.builders import random_bytes
from strongroom_protocol.errors import InvalidArgument
from strongroom_protocol.keys.secrets import (
    EpochSecret,
    KemSeed,
    Passphrase,
    RecoveryCode,
    RootSecret,
    Secret,
    SigningSeed,
    UnlockSecret,
)
from strongroom_protocol.link.code import LinkSecret

SIZED: dict[type[Secret], int] = {
    RecoveryCode: 20, UnlockSecret: 32, RootSecret: 32, EpochSecret: 32, SigningSeed: 32, KemSeed: 96,
}  # fmt: skip
ALL: list[type[Secret]] = [Passphrase, LinkSecret, *SIZED]


def make(kind: type[Secret], label: str = "secret") -> Secret:
    return kind(random_bytes(label, SIZED.get(kind, 12)))


def test_every_kind_of_secret_is_tested_here() -> None:
    assert set(Secret.__subclasses__()) == set(ALL)


@pytest.mark.parametrize("kind", ALL)
def test_nothing_prints_a_secret(kind: type[Secret], caplog: pytest.LogCaptureFixture) -> None:
    secret = make(kind)
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("x").warning("%s %r %s", secret, secret, [secret])
    try:
        raise ValueError(secret)
    except ValueError as error:
        trace = "".join(traceback.format_exception(error))
    shown = [repr(secret), str(secret), f"{secret}", f"{secret!r:>50}", repr({"a": [secret]}), caplog.text, trace]
    value = secret.reveal()
    for text in shown:
        assert f"<{kind.__name__} redacted>" in text
        assert value.hex() not in text
        assert repr(value)[2:-1] not in text


@pytest.mark.parametrize("kind", ALL)
def test_a_secret_is_neither_pickled_copied_nor_hashed(kind: type[Secret]) -> None:
    secret = make(kind)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError):
            pickle.dumps(secret, protocol)
    for attempt in (copy.copy, copy.deepcopy, hash, lambda one: {one}, lambda one: {one: 1}):
        with pytest.raises(TypeError):
            attempt(secret)


@pytest.mark.parametrize("kind", ALL)
def test_a_secret_has_nothing_but_its_bytes(kind: type[Secret]) -> None:
    secret = make(kind)
    assert secret.reveal() == random_bytes("secret", SIZED.get(kind, 12))
    attempts: list[Callable[[Any], object]] = [bytes, len, iter]
    for attempt in attempts:
        with pytest.raises(TypeError):
            attempt(secret)


def test_equality_is_of_kind_and_bytes() -> None:
    for one in ALL:
        for other in ALL:
            assert (make(one) == make(other)) is (one is other)
        assert make(one) != make(one, "another")
        assert make(one) != make(one).reveal()
        assert make(one) != None  # noqa: E711 - the comparison itself is tested


def test_equality_takes_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(left: bytes, right: bytes) -> bool:
        compared.append((left, right))
        return left == right

    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert make(RootSecret) == make(RootSecret)
    assert make(RootSecret) != make(RootSecret, "another")
    assert make(RootSecret) != make(EpochSecret)
    assert len(compared) == 2


@pytest.mark.parametrize(("kind", "size"), SIZED.items())
def test_a_secret_has_its_length(kind: type[Secret], size: int) -> None:
    for wrong in (0, size - 1, size + 1, 2 * size):
        with pytest.raises(InvalidArgument) as caught:
            kind(bytes(wrong))
        assert bytes(wrong).hex() not in str(caught.value) or wrong == 0


def test_a_secret_does_not_follow_the_buffer_it_was_made_of() -> None:
    buffer = bytearray(32)
    secret = RootSecret(buffer)  # type: ignore[arg-type]
    buffer[0] = 1
    assert secret.reveal() == bytes(32)
