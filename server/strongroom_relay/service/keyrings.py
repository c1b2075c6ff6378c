"""Parsed keyrings of accounts that were active lately: every commit needs the one in force, and parsing takes time."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict

from strongroom_protocol.manifest.keyring import Keyring, parse_keyring

BYTES = 32 * 1024 * 1024
"""Encoded bytes of what is kept: 6,000 accounts with one device, 200 with 64."""


class Keyrings:
    """Keeps what was used last, by account and SHA-256 of the bytes: another keyring can never be found under them.

    Used by the writer and by readers at a time. Keyrings are never changed in place.
    """

    def __init__(self, size: int = BYTES) -> None:
        self._room = size
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[bytes, bytes], Keyring] = OrderedDict()

    def parsed(self, message: bytes, account: bytes) -> Keyring:
        """The keyring of these bytes. Raises UntrustedDataError."""
        key = (account, hashlib.sha256(message).digest())
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
                return found
        keyring = parse_keyring(message, account=account)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = keyring
                self._room -= len(message)
            while self._room < 0:
                _, old = self._kept.popitem(last=False)
                self._room += len(old.message)
        return keyring
