"""A gate for new passphrases: how much work is left to somebody who holds the relay's disk.

No estimate of a human choice is exact. This one refuses what is certainly too little and promises nothing about the
rest: the words that people like best are still guessed first.
"""

from __future__ import annotations

from strongroom_protocol.errors import InvalidArgument
from strongroom_protocol.keys.secrets import Passphrase

CHARACTERS = 12
DIFFERENT = 6
DIGITS = 20
_FAVOURITES = ("password", "passphrase", "letmein", "iloveyou", "correct horse battery staple")
_RUNS = ("abcdefghijklmnopqrstuvwxyz", "01234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm")
HINT = (
    "use five or more random words, or a password manager's passphrase of 16 characters; "
    "--two-secret makes the recovery code part of every login instead"
)


def require_strong(passphrase: Passphrase, *, account: str) -> None:
    """Raises InvalidArgument for a passphrase that is certainly guessable. Says which rule, never what was typed."""
    text = passphrase.reveal().decode().lower()
    rest = text
    for known in (*_FAVOURITES, account.lower()):
        rest = rest.replace(known, "")
    rest = _without_runs(rest)
    if len(text) < CHARACTERS:
        raise InvalidArgument(f"the passphrase is too short: fewer than {CHARACTERS} characters", hint=HINT)
    if text.isdigit() and len(text) < DIGITS:
        raise InvalidArgument(f"the passphrase is too easy to guess: fewer than {DIGITS} digits alone", hint=HINT)
    if len(rest) < CHARACTERS or len(set(rest)) < DIFFERENT:
        raise InvalidArgument(
            "the passphrase is too easy to guess: what is left beside well-known words, runs of keys, repetitions "
            "and the account's name is too little", hint=HINT,
        )  # fmt: skip


def _without_runs(text: str) -> str:
    """Each stretch of three or more neighbours (`abcd`, `4321`, `aaaa`) counts as one character."""
    kept: list[str] = []
    length = 1
    for index, char in enumerate(text):
        before = text[index - 1] if index else ""
        length = length + 1 if before and _neighbours(before, char) else 1
        if length == 3:
            kept.pop()
        if length < 3:
            kept.append(char)
    return "".join(kept)


def _neighbours(first: str, second: str) -> bool:
    pair = first + second
    return first == second or any(pair in run or pair[::-1] in run for run in _RUNS)
