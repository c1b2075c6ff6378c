"""Clients and relays with a check taken out, as `make mutants` does it, but in this process."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from inspect import CO_NEWLOCALS
from types import CodeType, FunctionType
from typing import Any

import pytest

import mutants


def without(patch: pytest.MonkeyPatch, *idents: str) -> None:
    """Take these checks out of every function that has them, until `patch` is undone."""
    for ident in idents:
        found = mutants.mutants(ids=[ident])
        if not found:
            raise ValueError(f"no check cites {ident}")
        for mutant in found:
            _weaken(patch, mutant)


def _weaken(patch: pytest.MonkeyPatch, mutant: mutants.Mutant) -> None:
    path = mutants.ROOT / mutant.path
    name = mutant.path.split("/", 1)[1].removesuffix(".py").replace("/", ".")
    module = importlib.import_module(name)
    whole = dict(_functions(compile(path.read_text(), mutant.path, "exec")))
    weak = dict(_functions(compile(mutant.source, mutant.path, "exec")))
    changed = [place for place, code in weak.items() if _content(code) != _content(whole[place])]
    if not changed:
        raise ValueError(f"{mutant.ident} changes nothing in {mutant.path}")
    for place in changed:
        patch.setattr(_function(module, place), "__code__", weak[place])


def _functions(code: CodeType) -> Iterator[tuple[str, CodeType]]:
    """The functions and methods of a module by qualified name, without those inside functions."""
    for const in code.co_consts:
        if isinstance(const, CodeType) and "<" not in const.co_qualname:
            if const.co_flags & CO_NEWLOCALS:
                yield const.co_qualname, const
            else:  # the body of a class
                yield from _functions(const)


def _content(code: CodeType) -> tuple[Any, ...]:
    """What a function does, whatever lines it stands on."""
    consts = tuple(_content(const) if isinstance(const, CodeType) else const for const in code.co_consts)
    return code.co_code, code.co_names, consts


def _function(module: Any, place: str) -> FunctionType:
    found = module
    for part in place.split("."):
        found = vars(found)[part]
    found = getattr(found, "__func__", found)
    if not isinstance(found, FunctionType):
        raise TypeError(f"{place} is no function")
    return found
