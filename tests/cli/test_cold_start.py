"""A short command loads what it needs and no more."""

from __future__ import annotations

from cli.command import Person

LIST = "import atexit, sys; atexit.register(lambda: print(*sorted(sys.modules), sep='\\n', file=sys.stderr))"
WRITING = ("strongroom.account", "strongroom.importing", "strongroom.commit", "strongroom.exporting")


def loaded(person: Person, *arguments: str) -> set[str]:
    return set(person.run(*arguments, tweak=LIST).err.split())


def absent(modules: set[str], *names: str) -> None:
    found = {module for module in modules for name in names if module == name or module.startswith(f"{name}.")}
    assert found == set()


def test_help_loads_no_protocol_code(ada: Person) -> None:
    absent(loaded(ada, "--help"), "aiohttp", "asyncio", "argon2", "cryptography", "nacl", "cbor2", "strongroom.vault")


def test_chats_over_http_loads_neither_argon2_nor_formats_nor_what_writes(ada: Person) -> None:
    modules = loaded(ada, "chats", "--vault", "vault")
    assert "aiohttp" in modules
    absent(modules, "argon2", "_argon2_cffi_bindings", "strongroom.formats", "strongroom_relay", "numpy", *WRITING)
    absent(modules, "strongroom_protocol.keys.slots")


def test_chats_in_a_folder_loads_no_http(ada: Person) -> None:
    ada.init(f"file://{ada.folder}/store", "folder", vault="folder")
    modules = loaded(ada, "chats", "--vault", "folder")
    assert "strongroom_relay.service.relay" in modules
    absent(modules, "aiohttp", "argon2", "strongroom.formats", "strongroom_relay.http", *WRITING)
