"""What a search finds is what docs/search.md says, whatever is in messages and query."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.brute import Said, parts_of, plain, search
from strongroom import InvalidArgument, NotFound
from strongroom.search import store
from strongroom.search.content import LABELS, Found
from strongroom.search.finding import Finder
from strongroom.search.folding import plain as product_plain
from strongroom.search.query import QUERY_CHARACTERS, Query
from strongroom.search.records import Hit
from strongroom.search.snippets import SNIPPET
from strongroom.search.writing import Writer

PIECES = (
    "the", "The", "them", "theme", "of", "é", "e\u0301", "É", "ß", "SS", "don't", "3.5", "a", "b_c", "x" * 70, "x" * 64,
    "xx", "你", "好", "好你", "你好吗", "吃饭", "饭", "カ", "ｶﾞ", "ガ", "ﾞ", "한국", "어", "ั", "สวัสดี", "👍", "👍🏽",
    "👨‍👩‍👧", "❤️", "❤", "🇩🇪", "ﬁ", "\uff21\uff22\uff23", "abc", "שלום", "\u202eabc", "مرحبا", "सु", "İ", "ﷺ", "½",
    "\u0301", "\u200d", "\x00", "OR", "NEAR", "*", "^", "{", ":",
)  # fmt: skip
GLUE = ("", " ", "  ", "\n", ",", "\uff0c", "-", "、", ".", "\u3000", "_")


def texts(pieces: int = 8) -> st.SearchStrategy[str]:
    """Texts in which queries made of the same pieces hit."""
    made = st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from(GLUE)), max_size=pieces)
    return made.map(lambda found: "".join(a + b for a, b in found)) | st.text(max_size=12)


DAY = 86_400_000
MESSAGES = st.lists(
    st.builds(
        lambda chat, time, sender, text, has: Said(f"chat {chat}", "", time, sender, text, frozenset(has)),
        st.integers(0, 2), st.sampled_from((0, 1, DAY, 40 * DAY, 40 * DAY + 1, 400 * DAY)),
        st.sampled_from(("anna", "Ben B", "")),
        texts(), st.sets(st.sampled_from(("photo", "link")), max_size=2),
    ),
    max_size=20,
).map(lambda said: [Said(s.chat, f"m{n}", s.time, s.sender, s.text, s.has) for n, s in enumerate(said)])  # fmt: skip
PART = st.one_of(
    texts(2), texts(3).map(lambda text: '"' + text.replace('"', "") + '"'), texts(2).map(lambda text: f"-{text}"),
    texts(2).map(lambda text: '-"' + text + '"'),
    st.sampled_from((
        "from:anna", "from:ben", 'from:"Ben B"', "from:b", "has:photo", "has:link", "after:1970-01-02",
        "before:1970-02-10", "before:1970-01-01", 'in:"chat 0"', 'in:"chat 1"', "from:", "nothing:here", '"', "'",
        "a OR b", "NEAR(a b)", "col:x", "a*", "(", "-",
    )),
)  # fmt: skip
QUERIES = st.lists(PART, min_size=1, max_size=2).map(" ".join)
FILTERS = st.lists(
    st.sampled_from((
        "from:anna", "from:ben", "from:b", "has:photo", "has:link", "after:1970-01-02", "after:1970-02-10",
        "before:1970-01-02", "before:1970-02-10", 'in:"chat 0"', 'in:"chat 1"', "the", "-the",
    )), min_size=1, max_size=3,
).map(" ".join)  # fmt: skip
ALPHABETS = st.sampled_from(("你好 ", "ab -", "a你 "))


@contextmanager
def index_of(said: Sequence[Said]) -> Iterator[Writer]:
    """An index that holds these messages, filed in that order."""
    with tempfile.TemporaryDirectory() as folder:
        writer = Writer(store.connect(Path(folder), create=True))
        writer.database.execute("PRAGMA synchronous = OFF")
        for item in said:
            with writer.change():
                bits = sum(1 << LABELS.index(label) for label in item.has)
                place = said.index(item)
                filed = Found(item.time, place, item.id, item.sender, "", bits, item.text)
                writer.add([(writer.chat(item.chat), filed)])
        yield writer
        writer.database.close()


def pages(writer: Writer, query: str, limit: int) -> list[Hit]:
    """All hits, a page at a time."""
    found: list[Hit] = []
    before = None
    while True:
        page, before = Finder(writer.database, Query.read(query)).page(limit, before)
        assert len(page) <= limit
        found += page
        if before is None:
            return found


@settings(max_examples=400, deadline=None)
@given(MESSAGES, QUERIES | FILTERS, st.integers(1, 5))
def test_a_search_finds_what_the_page_says(said: list[Said], query: str, limit: int) -> None:
    said = [*said, *(Said(f"chat {n}", f"last {n}", 0, "", "") for n in range(3))]
    if not parts_of(query) or not any(plain(value) or name for _, name, value, _ in parts_of(query)):
        with pytest.raises(InvalidArgument, match="nothing to search for"):
            Query.read(query)
        return
    with index_of(said) as writer:
        hits = pages(writer, query, limit)
    assert [(hit.chat, hit.id) for hit in hits] == search(said, query)


@settings(max_examples=300, deadline=None)
@given(st.data(), ALPHABETS, st.booleans(), st.booleans())
def test_what_lists_cannot_tell_is_looked_at_in_the_text(
    data: st.DataObject, alphabet: str, quoted: bool, negated: bool
) -> None:
    lines = data.draw(st.lists(st.text(alphabet, min_size=3, max_size=9), min_size=4, max_size=16))
    part = data.draw(st.text(alphabet.replace(" ", ""), min_size=2, max_size=4))
    if quoted:
        part = data.draw(st.text(alphabet, min_size=3, max_size=5))
    said = [Said("c", f"m{n}", n, "", text) for n, text in enumerate(lines)]
    query = "-" * negated + (f'"{part}"' if quoted else part)
    if not plain(part):
        return
    with index_of(said) as writer:
        hits = pages(writer, query, 5)
    assert [(hit.chat, hit.id) for hit in hits] == search(said, query)


@settings(max_examples=300, deadline=None)
@given(texts())
def test_the_plain_form_is_the_page_s(text: str) -> None:
    assert product_plain(text) == plain(text)


@settings(max_examples=300, deadline=None)
@given(texts(6), texts(2))
def test_snippets_mark_what_matched(text: str, query: str) -> None:
    said = [Said("c", "1", 0, "", text)]
    if not plain(query):
        return
    with index_of(said) as writer:
        for hit in pages(writer, f'"{query}"'.replace('""', '"'), 5):
            assert len(hit.snippet) <= SNIPPET + 2
            for start, end in hit.marks:
                assert 0 <= start < end <= len(hit.snippet)
            assert list(hit.marks) == sorted(hit.marks)


@pytest.mark.parametrize(
    ("text", "query", "marked"),
    [
        ("Wir essen Crème brûlée, ja", "creme", ["Crème"]),
        ("Wir essen Crème brûlée, ja", '"brulee ja"', ["brûlée, ja"]),
        ("明天晚上我们一起吃饭吧", "吃饭", ["吃饭"]),
        ("明天晚上我们一起吃饭吧", "饭", ["饭"]),
        ("meeting the meet", "meet", ["meeting", "meet"]),
        ("meeting the meet", '"meet"', ["meet"]),
        ("here 👨‍👩‍👧 we are", "👧", ["👧"]),
        ("ｶﾞｽ代", "ガス", ["ｶﾞｽ"]),
        ("Straße", "strasse", ["Straße"]),
        ("שלום עולם", "עולם", ["עולם"]),
        ("x" * 500 + " needle " + "y" * 500, "needle", ["needle"]),
    ],
)
def test_marks_of_some_texts(text: str, query: str, marked: list[str]) -> None:
    with index_of([Said("c", "1", 0, "", text)]) as writer:
        (hit,) = pages(writer, query, 5)
    assert [hit.snippet[start:end] for start, end in hit.marks] == marked


@pytest.mark.parametrize("query", ["", "   ", '""', "...", "-", "x" * (QUERY_CHARACTERS + 1), "a " * 33, "has:nonsense",
                                   "after:yesterday", "before:2021-13", "before:99999-01-01"])  # fmt: skip
def test_what_asks_for_nothing_says_so(query: str) -> None:
    with pytest.raises(InvalidArgument) as raised:
        Query.read(query)
    assert "'" not in str(raised.value) or "nonsense" in str(raised.value)


@pytest.mark.parametrize(
    "query", ["\ud800", "word \udcff", "from:\udc80 word", 'in:"\ud800"', "\U0010ffff", "a" * 999, "((((" * 200]
)
def test_no_text_of_a_query_reaches_the_database_as_anything_but_text(query: str) -> None:
    refused = contextlib.suppress(InvalidArgument, NotFound)  # either is an answer; anything else is not
    with index_of([Said("c", "1", 0, "anna", "word")]) as writer, refused:
        assert all(hit.id == "1" for hit in pages(writer, query, 5))


def test_dates_are_utc_unless_they_say_otherwise() -> None:
    assert Query.read("after:1970-01-02").first == DAY
    assert Query.read("after:1970-01-02T01:00+01:00").first == DAY
    assert Query.read("after:1971").first == Query.read("after:1971-01").first == 365 * DAY
    assert Query.read("before:1970-02").until == 31 * DAY


@settings(max_examples=60, deadline=None)
@given(MESSAGES, st.data())
def test_what_is_taken_out_leaves_an_index_as_if_it_had_never_been_there(said: list[Said], data: st.DataObject) -> None:
    gone = data.draw(st.sets(st.sampled_from([item.id for item in said]))) if said else set()
    with index_of(said) as writer:
        docs = [doc for doc, ident in writer.database.execute("SELECT doc, id FROM message") if ident in gone]
        with writer.change():
            writer.remove(docs)
        assert all(length for (length,) in writer.database.execute("SELECT length(docs) FROM post"))
        left = words(writer)
    with index_of([item for item in said if item.id not in gone]) as fresh:
        assert left == words(fresh)


def words(writer: Writer) -> list[tuple[str, int]]:
    """The terms of texts and how many messages hold each."""
    query = "SELECT term, sum(length(docs)) / 2 FROM post WHERE term NOT LIKE ' %' GROUP BY term ORDER BY term"
    return list(writer.database.execute(query))
