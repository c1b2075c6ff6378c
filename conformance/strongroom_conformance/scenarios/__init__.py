"""All scenarios, by what the relay lies about."""

from strongroom_conformance.scenario import ALL as _ALL
from strongroom_conformance.scenario import Scenario
from strongroom_conformance.scenarios import commits, devices, freshness, http, login, objects, structures

ALL: list[Scenario] = _ALL
"""In the order of the modules below."""

__all__ = ["ALL", "commits", "devices", "freshness", "http", "login", "objects", "structures"]
