"""Every limit of the protocol in one frozen dataclass, each with its unit and its reason.

A number that bounds work or memory stands here and nowhere else; every parser takes a `Limits`.
"""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on everything that comes from outside. Units are in the names or comments."""

    # Encoding (chapter 02)
    cbor_depth: int = 16  # nesting; our deepest structure has 8
    cbor_bytes: int = 16 * MIB  # one CBOR item; a full index page set of a 10 M message run is under 2 MiB

    # Key derivation (chapter 04): the floor is the one preset, the ceiling what a phone can still do
    kdf_memory_kib_min: int = 262_144
    kdf_memory_kib_max: int = 1_048_576
    kdf_passes_min: int = 3
    kdf_passes_max: int = 8
    kdf_lanes: int = 4
    passphrase_bytes: int = 1024  # after normalisation; longer is a pasted file, not a passphrase
    account_name_bytes: int = 128

    # Objects (chapter 05)
    object_bytes: int = 64 * MIB  # one sealed object
    object_floor: int = 256  # smallest padded plaintext of an object
    chunk_floor: int = 64  # smallest padded plaintext of a chunk that is read alone
    chunk_bytes: int = 16 * MIB  # plaintext of one chunk: a frame at its limit
    object_chunks: int = 65_536
    media_chunk_bytes: int = 256 * KIB  # AEAD and hashing are fastest between 64 KiB and 1 MiB a call
    media_part_chunks: int = 32  # a part of a file is 8 MiB: several are sealed and uploaded at once in little memory
    media_parts: int = 8_192  # of one file: 64 GiB
    frame_ratio_bytes: int = 16 * MIB  # declared plaintext of one frame; nothing inflates beyond what it declares

    # Keyring and head (chapters 04, 09)
    keyring_bytes: int = 512 * KIB  # 64 devices with their wraps are 160 KiB
    devices: int = 64
    discards: int = 256  # ranges of writer sequences that undo has taken out of the history
    block_ms: int = 3600 * 1000  # a blocked device waits that long for the keyring that removes it
    head_bytes: int = 2 * KIB
    body_bytes: int = 64 * KIB
    head_step: int = 1_000_000  # versions a head may be ahead of the one last seen: refuses fast-forward
    delta_names: int = 65_536
    receipt_bytes: int = KIB
    evidence_bytes: int = 4 * KIB  # of a fork proof, or of one device's evidence: two receipts and a core
    witness_accounts: int = 100_000  # that one witness remembers: some 300 MB; what is remembered is never given up

    # Engine (chapter 08)
    tail_batches: int = 32
    runs: int = 64
    batch_bytes: int = 4 * MIB
    frame_rows: int = 4_096
    head_frame_rows: int = 128
    segment_bytes: int = MIB

    # Messages (chapter 06)
    text_bytes: int = MIB  # one message's text
    raw_bytes: int = 4 * MIB  # one verbatim source record
    id_bytes: int = 512
    clock_ahead_ms: int = 24 * 3600 * 1000  # a logical clock further ahead is clamped

    # Relay (chapter 12)
    request_bytes: int = 8 * MIB  # any body but an object upload
    read_items: int = 4_096
    read_response_bytes: int = 16 * MIB
    inline_bytes: int = 4 * MIB  # objects carried inside a commit
    keys_over_cap_bytes: int = 16 * MIB  # that changes of keys may go over an account's cap: a full one can be saved
    slowest_bytes_s: int = 32 * KIB  # deadlines grow with a body's length, so that slow home uplinks succeed
    signature_age_ms: int = 300_000
    challenge_age_ms: int = 120_000
    guest_ms: int = 7 * 24 * 3600 * 1000  # an unlock admits its key for reading that long
    upload_expiry_ms: int = 7 * 24 * 3600 * 1000  # uploads that no head names
    window_ms: int = 30 * 24 * 3600 * 1000  # dropped objects are kept that long

    streams_total: int = 500  # live streams at one relay: half of its connections
    streams_account: int = 80  # of one account: its 64 devices, and guests

    # Linking (chapter 15)
    link_ms: int = 600_000  # a code is good for ten minutes: to fetch the other device, not to be phished
    link_tries: int = 3  # answers to one code; each is one guess at it
    link_message_bytes: int = 4 * KIB  # the longest is an answer of 1.3 KiB
    link_mailboxes: int = 8  # open at a time for one account
    link_mailboxes_total: int = 1_000  # at one relay: 60 MiB at most, and a guessed number hits one in a thousand


LIMITS = Limits()
