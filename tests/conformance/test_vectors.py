"""The project's code against every vector, and the vectors against what the generator makes today."""

from __future__ import annotations

import json
from typing import Any

import pytest

import make_vectors
from strongroom_protocol.errors import Failure
from strongroom_protocol.relay_api.problems import Problem
from vectors.areas import AREAS
from vectors.case import OK, REFUSED, WRONG_SECRET, answer
from vectors.recorded import VECTORS, stored

BY_NAME = {area.name: area for area in AREAS}
EXPECTATIONS = {OK, REFUSED, WRONG_SECRET, Problem.CLOCK.code, *map(str, Failure)}
NEEDS_A_RELAY = {Failure.MISSING}
"""What is missing is found out by asking for it; nothing sans-I/O raises it."""

MARKED = [
    pytest.param(
        "anchor",
        marks=pytest.mark.spec(
            "ACC-1",
            "ANCH-1",
            "ANCH-2",
            "ANCH-3",
            "ANCH-4",
            "ANCH-5",
            "ANCH-6",
            "ANCH-7",
            "ANCH-8",
            "ENC-6",
            "ENC-7",
            "ENC-10",
            "ENC-12",
            "LOG-3",
        ),
    ),
    pytest.param(
        "batch",
        marks=pytest.mark.spec("BATCH-1", "BATCH-2", "ENC-1", "ENC-6", "ENC-8", "ENC-9", "ENC-10", "ENC-12", "SIG-1"),
    ),
    pytest.param("body", marks=pytest.mark.spec("BODY-1", "BODY-2", "ENC-6", "ENC-7", "ENC-9", "ENC-10", "ENC-12")),
    pytest.param("cbor", marks=pytest.mark.spec("ENC-1", "ENC-2", "ENC-3", "ENC-4", "ENC-5", "ENC-13")),
    pytest.param("chunks", marks=pytest.mark.spec("OBJ-4", "OBJ-9", "OBJ-10", "OBJ-11")),
    pytest.param("cose", marks=pytest.mark.spec("SIG-1", "SIG-2", "SIG-3")),
    pytest.param(
        "directory",
        marks=pytest.mark.spec(
            "ENC-6",
            "ENC-7",
            "ENC-8",
            "ENC-9",
            "ENC-10",
            "ENC-12",
            "ENG-1",
            "ENG-9",
            "ENG-11",
            "ENG-12",
            "ENG-13",
            "ENG-16",
        ),
    ),
    pytest.param("epochs", marks=pytest.mark.spec("EPOCH-1", "EPOCH-2", "KR-6")),
    pytest.param(
        "frame",
        marks=pytest.mark.spec(
            "ENC-1",
            "ENC-6",
            "ENC-7",
            "ENC-8",
            "ENC-10",
            "ENC-12",
            "FRAME-1",
            "FRAME-2",
            "FRAME-3",
            "FRAME-4",
            "FRAME-5",
            "FRAME-6",
            "FRAME-7",
            "FRAME-8",
            "FRAME-9",
            "FRAME-10",
            "FRAME-11",
            "FRAME-12",
            "FRAME-13",
            "FRAME-14",
            "FRAME-15",
            "FRAME-16",
            "FRAME-17",
            "FRAME-19",
            "FRAME-20",
            "FRAME-21",
            "FRAME-22",
            "FRAME-23",
            "FRAME-24",
            "FRAME-25",
            "FRAME-26",
            "MSG-3",
            "MSG-4",
            "MSG-5",
            "MSG-6",
            "OP-1",
            "OP-2",
            "OP-3",
            "OP-4",
        ),
    ),
    pytest.param(
        "head",
        marks=pytest.mark.spec(
            "ACC-1",
            "ENC-6",
            "ENC-7",
            "ENC-9",
            "ENC-10",
            "ENC-12",
            "HEAD-1",
            "HEAD-2",
            "HEAD-3",
            "HEAD-4",
            "HEAD-5",
            "HEAD-6",
            "HEAD-7",
            "HEAD-8",
            "HEAD-9",
            "HEAD-10",
            "KR-18",
            "SIG-1",
        ),
    ),
    pytest.param(
        "hpke-slots",
        marks=pytest.mark.spec(
            "ACC-1",
            "ENC-6",
            "ENC-7",
            "ENC-8",
            "ENC-9",
            "ENC-10",
            "ENC-12",
            "KDF-1",
            "KEY-1",
            "SLOT-1",
            "SLOT-2",
            "SLOT-10",
            "SLOT-11",
            "SLOT-12",
        ),
    ),
    pytest.param(
        "index",
        marks=pytest.mark.spec(
            "ENC-6", "ENC-7", "ENC-9", "ENC-10", "ENC-12", "ENG-1", "ENG-3", "ENG-4", "ENG-5", "ENG-10", "ENG-16"
        ),
    ),
    pytest.param("kdf", marks=pytest.mark.spec("KDF-1", "KDF-2", "KDF-3", "KDF-6")),
    pytest.param(
        "keyring",
        marks=pytest.mark.spec(
            "ACC-1",
            "ENC-1",
            "ENC-6",
            "ENC-7",
            "ENC-8",
            "ENC-9",
            "ENC-10",
            "ENC-11",
            "ENC-12",
            "KR-1",
            "KR-2",
            "KR-3",
            "KR-4",
            "KR-5",
            "KR-6",
            "KR-7",
            "KR-8",
            "KR-20",
            "KR-21",
            "KR-22",
            "KR-23",
            "KR-24",
            "KR-25",
            "KR-26",
            "KR-27",
            "KR-28",
            "KR-9",
            "KR-10",
            "KR-11",
            "KR-12",
            "KR-13",
            "KR-14",
            "KR-15",
            "KR-16",
            "KR-17",
            "KR-19",
            "SIG-1",
        ),
    ),
    pytest.param(
        "kit",
        marks=pytest.mark.spec("ENC-6", "ENC-7", "ENC-10", "ENC-12", "KIT-1", "KIT-2", "KIT-3", "KIT-4", "KIT-5"),
    ),
    pytest.param(
        "link",
        marks=pytest.mark.spec(
            "ENC-10",
            "ENC-12",
            "KEY-1",
            "LINK-1",
            "LINK-2",
            "LINK-3",
            "LINK-4",
            "LINK-5",
            "LINK-6",
            "LINK-7",
            "LINK-11",
            "LINK-13",
            "OBJ-9",
        ),
    ),
    pytest.param(
        "keys",
        marks=pytest.mark.spec("ACC-1", "ENC-7", "ENC-10", "ENC-11", "ENC-12", "KEY-1", "KR-1", "KR-6", "ROOT-1"),
    ),
    pytest.param(
        "media",
        marks=pytest.mark.spec(
            "ENC-6", "ENC-7", "ENC-9", "ENC-10", "ENC-12", "MEDIA-2", "MEDIA-4", "MEDIA-5", "OBJ-7", "OBJ-10"
        ),
    ),
    pytest.param("merkle", marks=pytest.mark.spec("LOG-2", "LOG-3", "LOG-4")),
    pytest.param("forget", marks=pytest.mark.spec("FORGET-1", "FORGET-2", "FORGET-3", "FORGET-4")),
    pytest.param("message-ids", marks=pytest.mark.spec("MSG-1", "MSG-2")),
    pytest.param("names", marks=pytest.mark.spec("KDF-4", "KDF-5")),
    pytest.param(
        "objects",
        marks=pytest.mark.spec(
            "KEY-2", "OBJ-1", "OBJ-2", "OBJ-3", "OBJ-4", "OBJ-5", "OBJ-6", "OBJ-7", "OBJ-8", "OBJ-9"
        ),
    ),
    pytest.param("padding", marks=pytest.mark.spec("OBJ-9")),
    pytest.param(
        "pin",
        marks=pytest.mark.spec(
            "ENC-6",
            "ENC-7",
            "ENC-10",
            "ENC-12",
            "HEAD-7",
            "KR-8",
            "KR-17",
            "KR-18",
            "LOG-1",
            "LOG-2",
            "LOG-3",
            "LOG-4",
            "PIN-1",
            "PIN-2",
            "PIN-3",
            "PIN-4",
            "PIN-5",
            "PIN-6",
            "PIN-7",
            "PIN-8",
            "PIN-9",
            "PIN-10",
            "PIN-11",
            "PIN-12",
        ),
    ),
    pytest.param(
        "proof",
        marks=pytest.mark.spec(
            "ACC-1", "ENC-10", "ENC-12", "FORK-1", "FORK-2", "FORK-3", "FORK-4", "FORK-5", "RCPT-1", "SIG-1"
        ),
    ),
    pytest.param("receipt", marks=pytest.mark.spec("ACC-1", "ENC-6", "ENC-12", "RCPT-1", "RCPT-2", "SIG-1")),
    pytest.param("recovery-code", marks=pytest.mark.spec("CODE-1", "CODE-2", "CODE-3")),
    pytest.param("request-signature", marks=pytest.mark.spec("HSIG-1", "HSIG-2", "HSIG-3", "HSIG-4")),
    pytest.param("root", marks=pytest.mark.spec("ENC-6", "ENC-9", "ENC-10", "ENC-12", "ENG-2")),
    pytest.param(
        "witness",
        marks=pytest.mark.spec(
            "ACC-1",
            "ENC-6",
            "ENC-7",
            "ENC-9",
            "ENC-12",
            "LOG-2",
            "LOG-3",
            "RCPT-1",
            "RCPT-2",
            "SIG-1",
            "WIT-1",
            "WIT-2",
            "WIT-3",
            "WIT-4",
            "WIT-5",
            "WIT-6",
            "WIT-7",
            "WIT-8",
            "WIT-14",
        ),
    ),
]
"""Every area, with the requirement ids that its vectors name."""


def vectors_of(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((VECTORS / f"{name}.json").read_text())
    return found


@pytest.mark.parametrize("name", MARKED)
def test_the_code_gives_what_every_vector_says(name: str) -> None:
    wrong = [
        vector["name"]
        for vector in vectors_of(name)
        if answer(BY_NAME[name], vector["input"]) != (vector["expect"], vector["output"])
    ]
    assert wrong == []


@pytest.mark.parametrize("name", sorted(set(BY_NAME) - {"kdf"}))
def test_generating_again_gives_the_same_bytes(name: str) -> None:
    assert make_vectors.text_of(BY_NAME[name]) == (VECTORS / f"{name}.json").read_text()


def test_generating_the_slow_area_again_gives_the_same_inputs() -> None:
    inputs = [json.loads(json.dumps(case.input)) for case in BY_NAME["kdf"].cases()]
    assert inputs == [vector["input"] for vector in vectors_of("kdf")]


def test_the_dictionary_beside_the_vectors_is_the_one_in_the_code() -> None:
    assert (VECTORS / make_vectors.DICTIONARY.name).read_bytes() == make_vectors.DICTIONARY.read_bytes()


def test_every_file_is_an_area_and_the_other_way_round() -> None:
    files = {path.stem for path in VECTORS.glob("*.json")} - {"recorded"}
    assert files == set(BY_NAME) == {str(param.values[0]) for param in MARKED}


def test_vectors_have_the_form_that_the_readme_describes() -> None:
    for name in BY_NAME:
        for vector in vectors_of(name):
            assert set(vector) == {"name", "expect", "ids", "input", "output"}
            assert vector["name"].startswith(f"{name}_")
            assert vector["expect"] in EXPECTATIONS
            assert vector["ids"]
            assert "op" in vector["input"]
            assert vector["expect"] == OK or vector["output"] == {}


def test_the_marks_are_the_ids_of_the_vectors() -> None:
    for param in MARKED:
        (mark,) = param.marks
        named = {ident for vector in vectors_of(str(param.values[0])) for ident in vector["ids"]}
        assert named == set(mark.args)


def test_every_failure_class_has_a_vector() -> None:
    seen = {vector["expect"] for name in BY_NAME for vector in vectors_of(name)}
    assert {str(failure) for failure in Failure} - seen == {str(failure) for failure in NEEDS_A_RELAY}


def test_nothing_is_recorded_in_vain() -> None:
    text = "".join((VECTORS / f"{name}.json").read_text() for name in BY_NAME)
    unused = [name for name, value in stored().items() if value not in text]
    assert unused == []
