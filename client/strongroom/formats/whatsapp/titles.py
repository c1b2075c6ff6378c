"""What a chat is called, by the name of its export: "WhatsApp Chat with Ann.txt", "与Ann的WhatsApp聊天记录.zip"."""

from __future__ import annotations

import re
import unicodedata

from strongroom.formats.whatsapp.periods import NO_MARKS

CHAT_FILE = "_chat.txt"
"""What iOS calls every chat."""

_PLATFORM = r"(?:whatsapp|واتساب|واتس اب|ווטסאפ|व्हाट्सएप)"
_WITH = (
    "with", "mit", "con", "com", "avec", "met", "med", "s", "с", "з", "z", "z:", "ze", "ile", "dengan", "kanssa", "cu",
    "με", "với", "amb", "مع", "با", "עם", "於", "-", "–", "sa", "s:", "за", "su", "kun", "na", "की",
)  # fmt: skip
_BEFORE = re.compile(
    rf"(?:[^\W\d_][\w'’.]* (?:[^\W\d_][\w'’.]* ){{0,2}})?{_PLATFORM}(?:[- ][^\W\d_][\w'’.]*){{0,2}}?[ ]?"
    rf"(?:{'|'.join(map(re.escape, _WITH))})[: ] ?(?:użytkownikiem |пользователем |gebruiker )?(?P<title>.+)",
    re.IGNORECASE,
)
_AROUND = (
    re.compile(
        rf"[与與和跟](?P<title>.+?)的 ?{_PLATFORM} ?(?:聊天记录|聊天紀錄|聊天記錄|對話|对话|對話紀錄|聊天)?",
        re.IGNORECASE,
    ),
    re.compile(
        rf"{_PLATFORM} ?[与與和跟](?P<title>.+?)的?(?:聊天记录|聊天紀錄|聊天記錄|對話|对话|聊天)", re.IGNORECASE
    ),
    re.compile(rf"(?P<title>.+?) ?と ?の ?{_PLATFORM} ?(?:の)?(?:トーク|チャット)?(?:履歴)?", re.IGNORECASE),
    re.compile(rf"(?P<title>.+?) ?님과(?:의)? ?{_PLATFORM} ?(?:대화|채팅)?", re.IGNORECASE),
    re.compile(rf"(?P<title>.+?) ile {_PLATFORM} sohbeti", re.IGNORECASE),
    re.compile(rf"{_PLATFORM} (?:चैट|वार्तालाप) (?P<title>.+?) के साथ", re.IGNORECASE),
    re.compile(rf"(?P<title>.+?) के साथ {_PLATFORM} (?:चैट|वार्तालाप)", re.IGNORECASE),
)
_COPY = re.compile(r".+ ?\(\d{1,3}\)")
_SUFFIXES = (".txt", ".zip")


def stem(name: str) -> str:
    """The name of a file without the suffix of an export."""
    clean = unicodedata.normalize("NFC", name).translate(NO_MARKS).replace("\u00a0", " ").strip()
    for suffix in _SUFFIXES:
        if clean.lower().endswith(suffix):
            clean = clean[: -len(suffix)].rstrip()
    return clean


def title_in(name: str) -> str | None:
    """The title in a name that WhatsApp gives; None for any other name."""
    clean = stem(name)
    if len(clean) > 300:
        return None
    for pattern in (*_AROUND, _BEFORE):
        found = pattern.fullmatch(clean)
        if found is not None and (title := found["title"].strip()):
            return title
    return None


def is_copy(title: str) -> bool:
    """Whether a title ends like that of a second download: "Ann (1)"."""
    return _COPY.fullmatch(title) is not None


def is_whatsapp_name(name: str) -> bool:
    """Whether WhatsApp names its exports so."""
    return name == CHAT_FILE or "whatsapp" in name.lower() or title_in(name) is not None


def is_generic(name: str) -> bool:
    """Whether a name, without its suffix, says nothing of the chat."""
    return (
        re.fullmatch(r"[_\W\d]*(?:chats?|whatsapp[ _-]?chats?|whatsapp|export|messages)?[_\W\d]*", name, re.I)
        is not None
    )
