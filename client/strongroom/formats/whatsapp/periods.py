"""What stands around the digits of a date and time: marks, other digits, and the words for the halves of a day."""

from __future__ import annotations

import functools
import unicodedata

MARKS = "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u061c\ufeff"
"""Characters that only steer the direction of text, and the byte order mark."""

NO_MARKS = dict.fromkeys(map(ord, MARKS))

_SPACES = "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000\t"
_DIGIT_ZEROS = (0x660, 0x6F0, 0x966, 0x9E6, 0xA66, 0xAE6, 0xB66, 0xBE6, 0xC66, 0xCE6, 0xD66, 0xE50, 0xED0, 0xF20,
                0x1040, 0x17E0, 0xFF10)  # fmt: skip

PLAIN: dict[int, str | None] = {
    **NO_MARKS,
    **{ord(space): " " for space in _SPACES},
    **{zero + digit: str(digit) for zero in _DIGIT_ZEROS for digit in range(10)},
    ord("،"): ",",
    ord("，"): ",",
    ord("、"): ",",
    ord("："): ":",
    ord("٫"): ".",
    ord("．"): ".",
    ord("／"): "/",
}
"""For `str.translate`: a head of a line with plain spaces, ASCII digits and no marks."""

_AM = [
    "am",
    "vm",
    "fm",
    "dop",
    "de",
    "sa",
    "πμ",
    "ص",
    "صباحا",
    "صباحاً",
    "قبلازظهر",
    "قظ",
    "לפנהצ",
    "לפנה",
    "לפניהצהריים",
    "上午",
    "早上",
    "凌晨",
    "清晨",
    "午夜",
    "半夜",
    "清早",
    "午前",
    "오전",
    "새벽",
    "아침",
    "öö",
    "ap",
    "pd",
    "paradites",
    "eparadites",
    "прпл",
    "прпладне",
    "пробед",
    "претпладне",
    "преподне",
    "дп",
    "ก่อนเที่ยง",
    "पूर्वाह्न",
    "मपू",
    "পূর্বাহ্ণ",
    "முற்பகல்",
    "ಪೂರ್ವಾಹ್ನ",
    "ਪੂਦੁ",
    "පෙව",
    "pg",
    "to",
    "rn",
    "fh",
    "priešpiet",
    "priekšp",
    "priekšpusdienā",
    "prijepodne",
    "ጥዋት",
    "ព្រឹក",
    "ກ່ອນທ່ຽງ",
    "damanhã",
    "manhã",
    "asubuhi",
]
_PM = [
    "pm",
    "nm",
    "em",
    "odp",
    "du",
    "ch",
    "μμ",
    "م",
    "مساء",
    "مساءً",
    "بعدازظهر",
    "بظ",
    "אחהצ",
    "אחריהצהריים",
    "下午",
    "晚上",
    "傍晚",
    "午後",
    "夜",
    "오후",
    "저녁",
    "밤",
    "ös",
    "ip",
    "md",
    "pasdites",
    "epasdites",
    "слоб",
    "слобед",
    "попл",
    "поподне",
    "попладне",
    "пп",
    "pop",
    "หลังเที่ยง",
    "अपराह्न",
    "मउ",
    "অপরাহ্ণ",
    "பிற்பகல்",
    "ಅಪರಾಹ್ನ",
    "ਬਾਦੁ",
    "පව",
    "ptg",
    "tk",
    "in",
    "eh",
    "popiet",
    "pēcp",
    "pēcpusdienā",
    "popodne",
    "ከሰዓት",
    "រសៀល",
    "ຫຼັງທ່ຽງ",
    "datarde",
    "tarde",
    "danoite",
    "jioni",
]
_NOON = ("中午", "正午", "낮", "noon")
_NIGHT = ("晚上", "夜", "밤", "深夜")

AM, PM, NOON, NIGHT = "am", "pm", "noon", "night"

_JOINERS = frozenset(
    ("", "um", "kl", "в", "à", "às", "at", "o", "ob", "u", "kell", "ore", "г", "г в", "las", "a las", "klo", "om", "ag")
)


def _bare(word: str) -> str:
    """A word as the tables have it: small, without dots, quotes and spaces."""
    return "".join(char for char in unicodedata.normalize("NFC", word).lower() if char not in " .·'’\"״׳“”-_\u200c")


_HALVES = {
    **{_bare(word): PM for word in _PM},
    **{_bare(word): AM for word in _AM},
    **dict.fromkeys(map(_bare, _NOON), NOON),
    **dict.fromkeys(map(_bare, _NIGHT), NIGHT),
}


@functools.lru_cache(maxsize=512)
def half_of_day(word: str) -> str | None:
    """The half of the day that a word names; "" for none, None for a word that is no such word."""
    bare = _bare(word.strip(" ,"))
    return "" if not bare else _HALVES.get(bare)


def is_joiner(word: str) -> bool:
    """Whether these letters stand between a date and a time ("um", "kl.", "г., в")."""
    return " ".join(word.replace(",", " ").replace(".", " ").split()).lower() in _JOINERS


def hour_of(hour: int, half: str) -> int | None:
    """The hour from 0 to 23; None when there is no such hour. Clocks that say 13 PM or 24:05 mean what they can mean."""
    if hour > 24:
        return None
    if not half:
        return hour % 24
    if half == AM:
        return 0 if hour == 12 else hour % 24
    if half == NOON:
        return hour + 12 if hour < 4 else hour
    if half == NIGHT and (hour == 12 or hour < 4):
        return hour % 12
    return hour + 12 if hour < 12 else hour % 24
