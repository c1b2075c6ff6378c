"""`export` in each format, as a person and as a script use it (docs/cli.md)."""

from __future__ import annotations

from cli.command import Person


def test_pages_to_read(ada: Person) -> None:
    run = ada.run("export", "pages", "--format", "html", "--vault", "vault")
    assert "exported 2 chats, 4 messages and 0 files to pages" in run.out
    assert "open pages/index.html in a browser" in run.err + run.out
    index = (ada.folder / "pages" / "index.html").read_text()
    assert "Family" in index
    assert "work" in index
    again = ada.json("export", "pages", "--format", "html", "--vault", "vault")
    assert again == {"folder": "pages", "format": "html", "damaged": {}, "message": 4, "conversations": 2, "files": 0}


def test_text_of_one_chat_in_a_zone(ada: Person) -> None:
    ada.run("export", "texts", "Family", "--format", "txt", "--zone", "Asia/Tokyo", "--vault", "vault")
    (path,) = (ada.folder / "texts" / "chats").iterdir()
    text = path.read_text()
    assert "--- 2023-11-15 Wednesday ---\n07:13:20  ann: Eight?\n          edited" in text
    assert "          before: Dinner at seven?\n" in text
    assert "Times     Asia/Tokyo, or as the source had them\n" in text
    assert "👍 ann" in text
    assert "The report is ready" not in text


def test_what_is_refused(ada: Person) -> None:
    assert (
        "no time zone" in ada.run("export", "t", "--format", "txt", "--zone", "Moon", "--vault", "vault", expect=2).err
    )
    assert "no chat" in ada.run("export", "t", "Nobody", "--format", "html", "--vault", "vault", expect=10).err
    assert "json" in ada.run("export", "t", "--format", "odt", "--vault", "vault", expect=2).err
    assert not (ada.folder / "t").exists()
