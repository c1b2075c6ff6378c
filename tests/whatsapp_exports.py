"""WhatsApp exports for tests, written from the facts of the format: what is expected is what was said.

A `Phone` says how an export writes heads; `chat` writes the lines of one. Nothing here uses the importer's own tables.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from strongroom.formats import ImportOptions, ImportReport, importer_named
from strongroom.formats.base import Imported
from strongroom_protocol.rows.layout import decode_plain, encode_plain
from strongroom_protocol.rows.model import Op, Row
from strongroom_protocol.rows.table import unstamped

LRM, RLM, NARROW, THIN, NBSP = "\u200e", "\u200f", "\u202f", "\u2009", "\u00a0"
ARABIC = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")
PERSIAN = str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹")


@dataclass(frozen=True, slots=True)
class Phone:
    """How one phone writes heads. Placeholders: d, dd, m, mm, yy, yyyy, h (12), hh (12), H, HH, MM, SS, half."""

    name: str
    form: str
    halves: tuple[str, str] = ("AM", "PM")
    digits: dict[int, int] | None = None

    @property
    def seconds(self) -> bool:
        return "{SS}" in self.form

    def head(self, at: datetime) -> str:
        hour = at.hour % 12 or 12
        written = self.form.format(
            d=at.day, dd=f"{at.day:02}", m=at.month, mm=f"{at.month:02}", yy=f"{at.year % 100:02}", yyyy=at.year,
            h=hour, hh=f"{hour:02}", H=at.hour, HH=f"{at.hour:02}", MM=f"{at.minute:02}", SS=f"{at.second:02}",
            half=self.halves[at.hour >= 12],
        )  # fmt: skip
        return written.translate(self.digits) if self.digits else written


PHONES = [
    Phone("android-gb", "{dd}/{mm}/{yyyy}, {HH}:{MM} - "),
    Phone("android-us", "{m}/{d}/{yy}, {h}:{MM} {half} - "),
    Phone("android-us-narrow", f"{{m}}/{{d}}/{{yy}}, {{h}}:{{MM}}{NARROW}{{half}} - "),
    Phone("android-de", "{dd}.{mm}.{yy}, {HH}:{MM} - "),
    Phone("android-es", f"{{d}}/{{m}}/{{yy}}, {{h}}:{{MM}}{NBSP}{{half}} - ", ("a. m.", "p. m.")),
    Phone("android-mx", f"{{d}}/{{m}}/{{yy}} {{h}}:{{MM}}{NARROW}{{half}} - ", (f"a.{NBSP}m.", f"p.{NBSP}m.")),
    Phone("android-nl", "{dd}-{mm}-{yyyy} {HH}:{MM} - "),
    Phone("android-zh", "{yyyy}/{m}/{d} {half}{h}:{MM} - ", ("上午", "下午")),
    Phone("android-ko", "{yyyy}. {m}. {d}. {half} {h}:{MM} - ", ("오전", "오후")),
    Phone("android-fi", "{d}.{m}.{yyyy} klo {H}.{MM} - "),
    Phone("android-ar", f"{{d}}{RLM}/{{m}}{RLM}/{{yyyy}}، {{h}}:{{MM}} {{half}} - ", ("ص", "م"), ARABIC),
    Phone("android-he", "{d}.{m}.{yyyy}, {H}:{MM} - "),
    Phone("android-hu", "{yyyy}. {mm}. {dd}. {H}:{MM} - "),
    Phone("android-bg", "{d}.{mm}.{yy} г., {HH}:{MM} - "),  # noqa: RUF001
    Phone("ios-2016", "{dd}.{mm}.{yy}, {HH}:{MM}:{SS}: "),
    Phone("ios-2017-us", "{m}/{d}/{yy}, {h}:{MM}:{SS} {half}: "),
    Phone("ios-gb", "[{dd}/{mm}/{yyyy}, {HH}:{MM}:{SS}] "),
    Phone("ios-us", f"[{{m}}/{{d}}/{{yy}}, {{h}}:{{MM}}:{{SS}}{NARROW}{{half}}] "),
    Phone("ios-us-thin", f"[{{m}}/{{d}}/{{yy}}, {{h}}:{{MM}}:{{SS}}{THIN}{{half}}] "),
    Phone("ios-de", "[{dd}.{mm}.{yy}, {HH}:{MM}:{SS}] "),
    Phone("ios-tr", "[{d}.{mm}.{yyyy} {HH}:{MM}:{SS}] "),
    Phone("ios-sv", "[{yyyy}-{mm}-{dd}, {HH}:{MM}:{SS}] "),
    Phone("ios-zh", "[{yyyy}/{m}/{d} {half}{h}:{MM}:{SS}] ", ("上午", "下午")),
    Phone("ios-ja", "[{yyyy}/{mm}/{dd} {H}:{MM}:{SS}] "),
    Phone("ios-hi", "[{dd}/{mm}/{yy}, {h}:{MM}:{SS} {half}] ", ("पूर्वाह्न", "अपराह्न")),
]


GB = PHONES[0]
AT = "15/01/2024, 10:30 - "
MARKED = f"{LRM}[15/01/2024, 10:30:45] "


@dataclass(frozen=True, slots=True)
class Said:
    """A message, or with no sender a notice."""

    at: datetime
    sender: str | None
    text: str


def chat(phone: Phone, messages: Sequence[Said], *, newline: str = "\n", bom: bool = False, mark: str = "") -> bytes:
    """The text of an export. `mark` stands before every head."""
    lines = [
        f"{mark}{phone.head(said.at)}{f'{said.sender}: ' if said.sender else ''}{said.text}\n" for said in messages
    ]
    return ("\ufeff" * bom + "".join(lines).replace("\n", newline)).encode()


def when(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


def milliseconds(said: Said, phone: Phone) -> int:
    exact = said.at if phone.seconds else said.at.replace(second=0)
    return int(exact.timestamp()) * 1000


def file(folder: Path, content: bytes | str, name: str = "WhatsApp Chat with Ann.txt") -> Path:
    """A text export in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def zipped(folder: Path, files: dict[str, bytes | str], name: str = "WhatsApp Chat - Ann.zip") -> Path:
    """A zip export."""
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in files.items():
            archive.writestr(member, content)
    return folder / name


def read(path: Path, **options: str) -> tuple[list[Imported], ImportReport]:
    """All rows, each of which a reader accepts, and the report."""
    report = ImportReport()
    chosen = ImportOptions(chat=options.pop("chat", None), title=options.pop("title", None), extra=options)
    found = list(importer_named("whatsapp").read(path, chosen, report))
    for start in range(0, len(found), 4096):
        for name in {chat for chat, _ in found}:
            rows = [row for chat, row in found[start : start + 4096] if chat == name]
            if rows:
                decode_plain(encode_plain(unstamped(name, rows)))
    return found, report


def puts(rows: list[Imported]) -> list[Row]:
    return [row for _, row in rows if row.op == Op.PUT]


def source(rows: list[Imported]) -> Row:
    (found,) = [row for _, row in rows if row.op == Op.SOURCE]
    return found


def settled(rows: list[Imported]) -> dict[str, str]:
    """How the chat was read, by its SOURCE row."""
    options: dict[str, str] = (source(rows).detail or {})[8]
    return options


def one(folder: Path, text: str, **options: str) -> Row:
    """The row of a single message."""
    rows, _ = read(file(folder, text), **options)
    (row,) = puts(rows)
    return row


def days(rows: list[Row]) -> list[str]:
    """The days of rows, in UTC."""
    return [datetime.fromtimestamp(row.time // 1000, UTC).strftime("%Y-%m-%d") for row in rows]
