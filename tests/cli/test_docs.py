"""The page on the command line says what the command line does."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from strongroom.cli import errors
from strongroom.cli.main import VERBS, load

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "cli.md").read_text()


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_and_option_is_in_the_page(verb: str) -> None:
    command = load(verb)
    assert re.search(rf"^## .*\b{verb}\b", PAGE, re.MULTILINE)
    under = command.commands.values() if isinstance(command, click.Group) else []
    for parameter in [item for called in (command, *under) for item in called.params]:
        if isinstance(parameter, click.Option):
            assert f"`{parameter.opts[0]}" in PAGE, parameter.opts
            assert parameter.help, parameter.opts
        for variable in [parameter.envvar] if isinstance(parameter.envvar, str) else []:
            assert f"`{variable}`" in PAGE


def test_every_exit_code_is_in_the_page() -> None:
    codes = {str(code) for name, code in vars(errors).items() if name.startswith("EXIT_")} | {"0"}
    assert set(re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)) == codes
