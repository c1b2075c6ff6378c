"""Recovery codes for apps: a new one, and how a person writes it down (spec chapter 04)."""

from __future__ import annotations

import secrets

from strongroom_protocol.keys.recovery_code import parse as recovery_code
from strongroom_protocol.keys.recovery_code import render as recovery_code_text
from strongroom_protocol.keys.secrets import RecoveryCode

__all__ = ["new_recovery_code", "recovery_code", "recovery_code_text"]


def new_recovery_code() -> RecoveryCode:
    """160 fresh random bits. Show them once (`recovery_code_text`), have them typed again, never store them."""
    return RecoveryCode(secrets.token_bytes(RecoveryCode.size))
