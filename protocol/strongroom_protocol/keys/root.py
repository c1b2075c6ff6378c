"""The root: R and the key pairs derived from it (spec chapter 04)."""

from __future__ import annotations

from strongroom_protocol.errors import WrongSecret
from strongroom_protocol.keys.hpke import KemKey
from strongroom_protocol.keys.secrets import KemSeed, RootSecret, SigningSeed
from strongroom_protocol.keys.signing import SignKey
from strongroom_protocol.keys.table import Key, derive
from strongroom_protocol.manifest.keyring import Keyring


class Root:
    """Root signing key and root KEM key."""

    __slots__ = ("kem", "secret", "sign")

    def __init__(self, secret: RootSecret) -> None:
        self.secret = secret
        self.sign = SignKey(SigningSeed(derive(Key.ROOT_SIGN, secret.reveal())))
        self.kem = KemKey(KemSeed(derive(Key.ROOT_KEM, secret.reveal())))

    def require_owner_of(self, keyring: Keyring) -> None:
        """The newest keyring's root keys are R's, or the secret belongs to an earlier state of the account."""
        if (keyring.root_key, keyring.root_kem_key) != (self.sign.public, self.kem.public):  # spec: ROOT-1
            raise WrongSecret("this secret opens an older state of the account than the relay's newest keyring")
