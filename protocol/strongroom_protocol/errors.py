"""Every error of the project, in one tree.

StrongroomError
├── CallError              your call: fix it and call again
│   ├── InvalidArgument        a value outside what is accepted
│   ├── WrongSecret            no slot opens with this passphrase or code
│   ├── NotFound               no such vault, account, conversation or message
│   ├── VaultLocked            another process has the vault open
│   ├── ReadOnly               this device may not write (yet)
│   └── ImportRefused          an export that cannot be read
├── UntrustedDataError     what came from outside is not what it must be: stop
│   └── UpgradeRequired        a newer format than this version knows
├── IncompleteError        the rest was done; what is missing is named
└── RelayError             the relay did not do it: retry, or not
    ├── RelayUnreachable       retry later
    ├── RelayConflict          somebody else was first: rebase and retry
    ├── RelayRefused           retrying the same request is no use
    ├── ClockSkew              retry with the relay's time
    └── StorageFull            quota reached or disk full

Messages say what happened and `hint` what to do; neither holds user data.
"""

from __future__ import annotations

from enum import StrEnum


class Failure(StrEnum):
    """The closed list of ways in which untrusted data fails (spec chapter 14). Never matched by text."""

    ENCODING = "encoding"
    SCHEMA = "schema"
    LIMIT = "limit"
    NEWER_FORMAT = "newer-format"
    SIGNATURE = "signature"
    SIGNER = "signer"
    NAME = "name"
    DIGEST = "digest"
    COMMITMENT = "commitment"
    SEAL = "seal"
    PADDING = "padding"
    CONTEXT = "context"
    COMPRESSION = "compression"
    FRAME = "frame"
    KDF = "kdf"
    CODE = "code"
    WRAP = "wrap"
    EPOCH = "epoch"
    SLOTS = "slots"
    ACCOUNT = "account"
    CHAIN = "chain"
    ROLLBACK = "rollback"
    FORK = "fork"
    KEYRING = "keyring"
    CUT = "cut"
    LOG = "log"
    RECEIPT = "receipt"
    DELTA = "delta"
    CLONE = "clone"
    MISSING = "missing"
    LINK = "link"


class StrongroomError(Exception):
    """Base of all errors. `hint` says what the person can do; it may be empty."""

    hint: str = ""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        if hint:
            self.hint = hint
            self.add_note(f"hint: {hint}")  # for those who see a traceback


class CallError(StrongroomError):
    """The call cannot succeed as it is."""


class InvalidArgument(CallError):
    """A value outside what is accepted."""


class WrongSecret(CallError):
    """No slot of the account opens with this passphrase or recovery code."""

    hint = "check the passphrase or recovery code and the account name; nothing was changed"


class NotFound(CallError):
    """There is no such vault, account, conversation or message."""


class VaultLocked(CallError):
    """Another process has this vault open."""

    hint = "end it or wait for it: a running `strongroom watch` or `link` too; or use another --vault"


class ReadOnly(CallError):
    """This device may read but not write."""


class ImportRefused(CallError):
    """An export cannot be read; nothing of it was imported."""


class UntrustedDataError(StrongroomError):
    """Bytes from outside failed a check. `failure` is the class, `subject` the object or structure concerned."""

    hint = "do not trust this relay's copy of it; other devices and anything already restored are unaffected"

    def __init__(self, failure: Failure, message: str, *, subject: str = "", hint: str = "") -> None:
        super().__init__(f"{subject}: {message}" if subject else message, hint=hint)
        self.failure = failure
        self.subject = subject


class UpgradeRequired(UntrustedDataError):
    """The structure has a newer format version than this program knows."""

    hint = "upgrade strongroom on this device"

    def __init__(self, message: str, *, subject: str = "") -> None:
        super().__init__(Failure.NEWER_FORMAT, message, subject=subject)


class IncompleteError(StrongroomError):
    """Everything that could be done was done; `damaged` names what could not be used."""

    def __init__(self, message: str, *, damaged: tuple[str, ...] = (), hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.damaged = damaged


class RelayError(StrongroomError):
    """The relay did not do what was asked."""


class RelayUnreachable(RelayError):
    """No answer from the relay, or none in time."""

    hint = "check the address and that the relay runs; the command can be repeated safely"


class RelayConflict(RelayError):
    """Another device advanced the head or keyring first."""

    hint = "the command can be repeated safely"


class RelayRefused(RelayError):
    """The relay refused the request for good. `code` is its problem code (spec chapter 12)."""

    def __init__(self, code: str, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


class ClockSkew(RelayError):
    """The clocks of device and relay differ by more than the allowance. `relay_time` in milliseconds."""

    def __init__(self, message: str, *, relay_time: int) -> None:
        super().__init__(message, hint="set this machine's clock")
        self.relay_time = relay_time


class StorageFull(RelayError):
    """The account's byte cap is reached, or a disk is full. Nothing was lost."""

    hint = "free space or raise the cap, then repeat the command; nothing was lost"
