"""All areas, in the order of the specification's chapters."""

from __future__ import annotations

from vectors.engine_areas import BATCH, BODY, DIRECTORY, INDEX, ROOT
from vectors.freshness_area import ANCHOR, PROOF, WITNESSED
from vectors.key_areas import EPOCHS, KDF, KEYS, NAMES, RECOVERY_CODE, SLOTS
from vectors.kit_area import KIT
from vectors.link_area import LINK
from vectors.pin_area import PIN
from vectors.request_area import REQUEST_SIGNATURE
from vectors.row_areas import FORGET, FRAME, MESSAGE_IDS
from vectors.seal_areas import CHUNKS, MEDIA, OBJECTS
from vectors.signed_areas import HEAD, KEYRING, RECEIPT
from vectors.wire_areas import CBOR, COSE, MERKLE, PADDING

AREAS = (
    CBOR, COSE, PADDING, MERKLE, NAMES, RECOVERY_CODE, KDF, KEYS, SLOTS, EPOCHS, OBJECTS, CHUNKS, MEDIA,
    KEYRING, HEAD, RECEIPT, PIN, BATCH, BODY, ROOT, INDEX, DIRECTORY, FRAME, MESSAGE_IDS, FORGET, REQUEST_SIGNATURE,
    LINK, ANCHOR, PROOF, WITNESSED, KIT,
)  # fmt: skip
