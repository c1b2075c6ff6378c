"""The words of Slack's messages: subtypes and fields, as far as they are known (docs/formats.md).

A subtype that is not here makes a message UNSUPPORTED, a field that is not here is counted in the report; both are in
`raw`.
"""

from __future__ import annotations

# `group_…` is in private channels what `channel_…` is in public ones.
CHANNEL_EVENTS = {
    "join": "join",
    "leave": "leave",
    "topic": "topic",
    "purpose": "purpose",
    "name": "rename",
    "archive": "archive",
    "unarchive": "unarchive",
    "convert_to_private": "convert_to_private",
    "convert_to_public": "convert_to_public",
    "posting_permissions": "posting_permissions",
    "canvas_updated": "canvas_updated",
}
OTHER_EVENTS = frozenset(
    (
        "app_conversation_join",
        "app_conversation_leave",
        "bot_add",
        "bot_disable",
        "bot_enable",
        "bot_remove",
        "ekm_access_denied",
        "emoji_changed",
        "huddle_room_created",
        "joiner_notification",
        "joiner_notification_for_inviter",
        "message_changed",
        "message_deleted",
        "mpdm_move",
        "pinned_item",
        "reminder_add",
        "reminder_delete",
        "sh_room_created",
        "sh_room_shared",
        "tabbed_canvas_updated",
        "unpinned_item",
    )
)
# Subtypes of what somebody said.
SAID = frozenset(
    (
        "assistant_app_thread",
        "bot_message",
        "document_comment_root",
        "document_mention",
        "file_comment",
        "file_mention",
        "file_share",
        "me_message",
        "reminder",
        "reply_broadcast",
        "reply_to_message",
        "share_shortcut",
        "slackbot_response",
        "thread_broadcast",
    )
)
CALLS = frozenset(("huddle_thread",))
TOMBSTONE = "tombstone"
EVENT_PARAMS = ("topic", "purpose", "old_name", "name", "bot_id", "bot_link", "item_type", "reason", "deleted_ts")
# Fields that become part of the rows.
_READ = frozenset(
    (
        "attachments",
        "blocks",
        "bot_id",
        "bot_link",
        "bot_profile",
        "client_msg_id",
        "comment",
        "deleted_ts",
        "edited",
        "file",
        "files",
        "inviter",
        "is_starred",
        "item_type",
        "name",
        "old_name",
        "parent_user_id",
        "pinned_info",
        "pinned_to",
        "purpose",
        "reactions",
        "reason",
        "room",
        "subtype",
        "text",
        "thread_ts",
        "topic",
        "ts",
        "type",
        "user",
        "username",
    )
)
# Fields that say nothing about the message itself, or say it twice.
_DERIVED = frozenset(
    (
        "app_id",
        "channel",
        "channel_type",
        "display_as_bot",
        "edited_ts",
        "event_ts",
        "hidden",
        "icons",
        "is_ephemeral",
        "is_intro",
        "is_locked",
        "is_thread_broadcast",
        "item",
        "last_read",
        "latest_reply",
        "members",
        "metadata",
        "mrkdwn",
        "no_display",
        "no_notifications",
        "permalink",
        "permissions",
        "replies",
        "reply_count",
        "reply_users",
        "reply_users_count",
        "root",
        "source_team",
        "subscribed",
        "team",
        "unread_count",
        "upload",
        "upload_reply_to",
        "user_profile",
        "user_team",
        "x_files",
    )
)
KNOWN = _READ | _DERIVED
