"""The message model beyond the columns: what `Row.detail` may hold, per operation (spec chapter 06).

Times are milliseconds since 1970, lengths of media milliseconds, sizes bytes, text offsets Unicode code points,
coordinates and amounts decimal text (the encoding has no floats). Persons and messages are named by their ids
within the conversation.
"""

from __future__ import annotations

from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.rows.model import Detail, ForgetKind, Op, Row
from strongroom_protocol.rows.schema import Many, Scalar, Struct, check

TEXT, UINT, INT, BOOL, BYTES = Scalar.TEXT, Scalar.UINT, Scalar.INT, Scalar.BOOL, Scalar.BYTES

AT = 1  # of every operation on a message: when it happened
SENDER_NAME = 2
ATTACHMENTS = 4
REPLY = 5

SPAN = Struct("span", (1, "start", UINT), (2, "length", UINT), (3, "type", TEXT), (4, "target", TEXT))

STICKER = Struct("sticker", (1, "pack", TEXT), (2, "emoji", TEXT), (3, "id", TEXT))

ATTACHMENT = Struct(
    "attachment",
    (1, "sha256", BYTES),  # of the plaintext
    (2, "size", UINT),
    (3, "mime", TEXT),
    (4, "name", TEXT),
    (5, "path", TEXT),  # in the export it came from
    (6, "role", TEXT),  # photo, video, gif, voice, round, audio, document, sticker, avatar, preview
    (7, "state", TEXT),  # omitted, too_large, unavailable, expired, deleted, removed, not_downloaded; none: present
    (8, "reason", TEXT),  # what the source says about it
    (9, "width", UINT),
    (10, "height", UINT),
    (11, "duration", UINT),
    (12, "caption", TEXT),
    (13, "title", TEXT),
    (14, "performer", TEXT),
    (15, "blurhash", TEXT),
    (16, "waveform", BYTES),
    (17, "sniffed", TEXT),  # media type found by looking
    (18, "url", TEXT),
    (19, "url_expires", UINT),
    (20, "sticker", STICKER),
    (22, "media", BYTES),  # the sealed file's descriptor, `seal.media.Media.encode` (chapter 05)
)
ATTACHMENT.add(21, "thumbnail", ATTACHMENT)

REPLY_TO = Struct(
    "reply",
    (1, "id", TEXT),
    (2, "time", UINT),
    (3, "author", TEXT),
    (4, "text", TEXT),  # as quoted
    (5, "thumbnail", ATTACHMENT),
    (6, "conversation", TEXT),
    (7, "found", BOOL),
    (8, "author_name", TEXT),
)

FORWARD = Struct(
    "forward",
    (1, "author", TEXT),
    (2, "author_name", TEXT),
    (3, "conversation", TEXT),
    (4, "id", TEXT),
    (5, "time", UINT),
    (6, "hops", UINT),
)

NESTED = Struct(
    "nested",
    (1, "time", UINT),
    (2, "id", TEXT),
    (3, "sender", TEXT),
    (4, "sender_name", TEXT),
    (5, "kind", UINT),
    (6, "text", TEXT),
    (7, "attachments", Many(ATTACHMENT)),
)
NESTED.add(8, "messages", Many(NESTED))

TALLY = Struct("tally", (1, "emoji", TEXT), (2, "count", UINT), (3, "custom", TEXT))
MARKUP = Struct("markup", (1, "syntax", TEXT), (2, "source", TEXT))  # html, mrkdwn, xml, …
TIMES = Struct(
    "times",
    (1, "server", UINT),
    (2, "received", UINT),
    (3, "edited", UINT),
    (4, "original", TEXT),  # as the source writes it
    (5, "zone", INT),  # minutes east of UTC
    (6, "nanoseconds", UINT),  # below the millisecond
)
EXPIRY = Struct("expiry", (1, "start", UINT), (2, "after", UINT), (3, "view_once", BOOL))
PIN = Struct("pin-mark", (1, "by", TEXT), (2, "at", UINT), (3, "until", UINT))
DELIVERY = Struct("delivery", (1, "person", TEXT), (2, "status", TEXT), (3, "at", UINT))
OPTION = Struct(
    "poll-option",
    (1, "text", TEXT),
    (2, "votes", UINT),
    (3, "voters", Many(TEXT)),
    (4, "chosen", BOOL),
)
POLL = Struct(
    "poll",
    (1, "question", TEXT),
    (2, "options", Many(OPTION)),
    (3, "multiple", BOOL),
    (4, "closed", BOOL),
    (5, "anonymous", BOOL),
    (6, "total", UINT),
)
CALL = Struct(
    "call",
    (1, "type", TEXT),  # voice, video, group
    (2, "duration", UINT),
    (3, "outcome", TEXT),
    (4, "participants", Many(TEXT)),
)
CONTACT = Struct("contact", (1, "name", TEXT), (2, "phone", TEXT), (3, "vcard", TEXT), (4, "person", TEXT))
LOCATION = Struct(
    "location",
    (1, "latitude", TEXT),
    (2, "longitude", TEXT),
    (3, "name", TEXT),
    (4, "address", TEXT),
    (5, "live", UINT),  # milliseconds shared
)
CARD = Struct(
    "card",
    (1, "url", TEXT),
    (2, "title", TEXT),
    (3, "description", TEXT),
    (4, "site", TEXT),
    (5, "author", TEXT),
    (6, "image", ATTACHMENT),
    (7, "app", TEXT),  # mini program
)
PAYMENT = Struct(
    "payment",
    (1, "type", TEXT),  # payment, transfer, red_packet, gift, invoice
    (2, "amount", TEXT),
    (3, "currency", TEXT),
    (4, "note", TEXT),
    (5, "state", TEXT),
    (6, "to", TEXT),
)
GAME = Struct("game", (1, "title", TEXT), (2, "description", TEXT), (3, "score", INT))
EVENT = Struct(
    "event",
    (1, "action", TEXT),
    (2, "actor", TEXT),
    (3, "targets", Many(TEXT)),
    (4, "params", Scalar.TEXTS),
)
STORY = Struct("story", (1, "author", TEXT), (2, "at", UINT), (3, "emoji", TEXT))
BOT = Struct("bot", (1, "command", TEXT), (2, "via", TEXT), (3, "buttons", Many(TEXT)), (4, "user", TEXT))

MESSAGE = Struct(
    "message-detail",
    (AT, "at", UINT),
    (SENDER_NAME, "sender_name", TEXT),  # as shown when it was sent
    (3, "spans", Many(SPAN)),
    (ATTACHMENTS, "attachments", Many(ATTACHMENT)),
    (REPLY, "reply", REPLY_TO),
    (6, "forward", FORWARD),
    (7, "messages", Many(NESTED)),
    (8, "tallies", Many(TALLY)),  # reactions whose persons the source does not name
    (9, "thread", TEXT),
    (10, "mentions", Many(TEXT)),
    (11, "markup", MARKUP),
    (12, "times", TIMES),
    (13, "language", TEXT),
    (14, "expiry", EXPIRY),
    (15, "pin", PIN),
    (16, "starred", BOOL),
    (17, "delivery", Many(DELIVERY)),
    (18, "signature", TEXT),  # author shown in a channel
    (19, "traits", Many(TEXT)),  # silent, scheduled, hidden, spam, sms, read, effect:…
    (20, "other_ids", Many(TEXT)),
    (21, "poll", POLL),
    (22, "call", CALL),
    (23, "contacts", Many(CONTACT)),
    (24, "location", LOCATION),
    (25, "cards", Many(CARD)),
    (26, "payment", PAYMENT),
    (27, "game", GAME),
    (28, "event", EVENT),
    (29, "story", STORY),
    (30, "bot", BOT),
    (31, "custom", TEXT),  # of a reaction: the custom emoji's id
)

CONVERSATION = Struct(
    "conversation-detail",
    (1, "topic", TEXT),
    (2, "avatar", ATTACHMENT),
    (3, "platform_id", TEXT),
    (4, "parent", TEXT),  # conversation id of the community or thread root
    (5, "category", TEXT),
    (6, "created", UINT),
    (7, "owner", TEXT),
    (8, "archived", BOOL),
    (9, "pinned", BOOL),
    (10, "muted_until", UINT),
    (11, "expires_after", UINT),
    (12, "read_until", UINT),
    (13, "platform", TEXT),
)

MEMBER = Struct(
    "member-detail",
    (1, "platform_ids", Many(TEXT)),
    (2, "username", TEXT),
    (3, "aliases", Many(TEXT)),
    (4, "remark", TEXT),  # the owner's own name for them
    (5, "phone", TEXT),
    (6, "email", TEXT),
    (7, "avatar", ATTACHMENT),
    (8, "is_self", BOOL),
    (9, "is_bot", BOOL),
    (10, "roles", Many(TEXT)),
    (11, "colour", TEXT),
    (12, "joined", UINT),
    (13, "left", UINT),
)

SOURCE = Struct(
    "source-detail",
    (1, "platform", TEXT),
    (2, "tool", TEXT),
    (3, "tool_version", TEXT),
    (4, "format", TEXT),
    (5, "exported_at", UINT),
    (6, "size", UINT),
    (7, "sha256", BYTES),
    (8, "options", Scalar.TEXTS),  # how it was read: date order, zone, locale, …
    (9, "importer", TEXT),  # name/version
    (10, "counts", Scalar.COUNTS),
    (11, "owner", TEXT),
)

_PUT = int(Op.PUT)  # compared for every row with a detail: an enum member is slower to look up
_OF = {Op.CONVERSATION: CONVERSATION, Op.MEMBER: MEMBER, Op.SOURCE: SOURCE}


def struct_of(op: int) -> Struct:
    """The table for the details of an operation."""
    return _OF.get(Op(op), MESSAGE)


def check_row(row: Row) -> None:
    """What a row needs besides well-formed columns. Raises UntrustedDataError(SCHEMA)."""
    check_values(row.op, row.id, row.kind, row.text, row.detail)


def check_values(op: int, id: str | None, kind: int, text: str | None, detail: Detail | None) -> None:
    """`check_row` for a row that lies in columns, given what it asks about. Raises UntrustedDataError(SCHEMA)."""
    if op != _PUT:  # the rules below are about other operations, and nearly all rows are messages
        if id is None and op in (Op.EDIT, Op.DELETE, Op.REACT):  # spec: OP-1
            raise UntrustedDataError(Failure.SCHEMA, "an operation on no message", subject="row")
        if op == Op.EDIT and AT not in (detail or ()):  # spec: OP-2
            raise UntrustedDataError(Failure.SCHEMA, "an edit without its time", subject="row")
        if op == Op.REACT and (kind > 1 or not text):  # spec: OP-3
            raise UntrustedDataError(Failure.SCHEMA, "a reaction of nothing", subject="row")
        if op == Op.FORGET and kind > ForgetKind.ALL:  # spec: OP-4
            raise UntrustedDataError(Failure.SCHEMA, "forgets what this version does not know", subject="row")
    if detail is not None:
        check(MESSAGE if op == _PUT else struct_of(op), detail)
