"""What the machine has found, each as its shortest script."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from adversary.hostile import Hostile
from strongroom.owner import Owner
from strongroom.records import MessageRef
from strongroom_protocol.errors import IncompleteError, NotFound, ReadOnly
from vaults import Bench, Device, opener, talk


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


async def test_what_a_relay_withholds_is_not_said_to_be_nowhere(bench: Bench) -> None:
    """`edit` and `message` said NotFound for a message whose bytes the relay kept back: incomplete is what it is."""
    first = await bench.create()
    rows = talk("chat", 600)  # more than a batch: they lie in a run
    await first.add(rows)
    other = await bench.login("b", confirm=True)
    hostile = Hostile(other.session.transport)
    other.session.transport = hostile
    ref = MessageRef("chat", rows[0][1].id or "", rows[0][1].time)
    with pytest.raises(NotFound):
        await other.vault.message("chat", "no such id", time=ref.time)
    for answered in range(8):
        hostile.trace.clear()
        other.session.base = None
        cached = other.session.state.folder / "objects"
        for path in [path for path in cached.rglob("*") if path.is_file()]:  # as on a device that has read nothing
            path.unlink()

        def withheld(honest: list[bytes | None], *_: object, answered: int = answered) -> list[bytes | None]:
            return honest if hostile.calls.count("read") <= answered else [None] * len(honest)

        hostile.replace("read", withheld)
        try:
            found = await other.vault.message("chat", ref.id, time=ref.time)
        except NotFound:
            pytest.fail("the relay made a message disappear")
        except Exception as error:
            last = error
        else:
            assert found.text == rows[0][1].text
            break
    else:
        pytest.fail("never read whole")
    assert isinstance(last, IncompleteError)


CHANGES: dict[str, Callable[[Owner, Device], Awaitable[object]]] = {
    "confirm": lambda owner, other: owner.confirm("b"),
    "revoke": lambda owner, other: owner.revoke(other.session.device.id),
    "secrets": lambda owner, other: owner.remove_slot(owner.slots()[0].key),
}


@pytest.mark.spec("CLIENT-36")
@pytest.mark.parametrize("what", CHANGES)
async def test_a_removed_device_with_the_passphrase_is_told_so(bench: Bench, what: str) -> None:
    """It knows that it was removed, its person has the passphrase: changing keys failed as if the relay had lied, and
    later it read on as a guest under the keys that were removed."""
    first = await bench.create()
    gone = await bench.login("b", confirm=True)
    keys, other = gone.session.device.sign, first.session.device.sign
    async with await bench.owner(first) as owner:
        await owner.add_slot(opener(), "another")
        await owner.revoke(gone.session.device.id)
    gone.session.transport.authenticate(other.public, other.sign)  # a relay that helps lets it see its removal
    await gone.session.sync()
    gone.session.transport.authenticate(keys.public, keys.sign)
    with pytest.raises(ReadOnly):
        async with await bench.owner(gone) as owner:
            await CHANGES[what](owner, first)
    assert gone.session.guest_epoch is None
    assert gone.session.state.get("guest-epoch") is None
    gone.session.transport.authenticate(other.public, other.sign)
    with pytest.raises(ReadOnly):  # whatever the relay helps with
        await gone.snapshot()
    await first.add(talk("chat", 1))  # it has paused nobody by trying
