"""Finding what a person named among devices and slots: by name, or by the start of an id."""

from __future__ import annotations

from collections.abc import Sequence

from strongroom.cli.text import safe
from strongroom.records import DeviceInfo, SlotInfo
from strongroom_protocol.errors import NotFound

_SHORTEST = 4
"""Characters of an id that may stand for it."""


def device_named(devices: Sequence[DeviceInfo], wanted: str) -> DeviceInfo:
    """The device with that name, or whose id begins so. Raises NotFound, with the list, also when several fit."""
    found = [device for device in devices if device.name == wanted]
    if len(wanted) >= _SHORTEST:
        found = found or [device for device in devices if device.id.startswith(wanted.lower())]
    if len(found) != 1:
        known = ", ".join(f"{safe(device.name)} ({device.id[:8]})" for device in devices)
        what = "no device is" if not found else f"{len(found)} devices are"
        raise NotFound(f"{what} called {safe(wanted)!r}", hint=f"one of: {known}")
    return found[0]


def slot_named(slots: Sequence[SlotInfo], wanted: str) -> SlotInfo:
    """The same for what opens the account, by label or key."""
    found = [slot for slot in slots if slot.label == wanted]
    if len(wanted) >= _SHORTEST:
        found = found or [slot for slot in slots if slot.key.startswith(wanted.lower())]
    if len(found) != 1:
        known = ", ".join(f"{safe(slot.label)} ({slot.key[:8]})" for slot in slots)
        what = "nothing that opens this account is" if not found else f"{len(found)} are"
        raise NotFound(f"{what} called {safe(wanted)!r}", hint=f"one of: {known}")
    return found[0]
