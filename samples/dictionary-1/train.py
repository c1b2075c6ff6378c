#!/usr/bin/env python3
"""Train the static dictionary of frames (spec chapter 07) and measure it on data it has not seen.

  train.py CORPORA OUT [--size BYTES]

CORPORA holds the folders irc-ubuntu, zh-crosswoz and zh-kdconv (see README.md). Every second file and dialogue is
held out. The result depends on the version of libzstd, so the dictionary that counts is the one that is shipped.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from backports.zstd import ZstdDict, finalize_dict, train_dict

from strongroom_protocol.rows.compression import LEVEL, deflate_with
from strongroom_protocol.rows.frame import HEADER, Frame
from strongroom_protocol.rows.layout import encode_plain
from strongroom_protocol.rows.model import Kind, Row

Talk = list[tuple[str, str]]  # (who, text)
FRAME_ROWS = (1, 1, 2, 3, 5, 6, 8, 13, 20, 40)
LINE = re.compile(r"\[\d\d:\d\d\] <([^>]*)> (.*)")


def irc(root: Path) -> Iterator[Talk]:
    for path in sorted(root.glob("data/*/*.raw.txt")):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        yield [(found[1], found[2]) for line in lines if (found := LINE.match(line))]


def crosswoz(root: Path) -> Iterator[Talk]:
    for path in sorted(root.glob("*.json.zip")):
        with zipfile.ZipFile(path) as archive:
            dialogues = json.loads(archive.read(archive.namelist()[0]))
        for _, dialogue in sorted(dialogues.items()):
            yield [(turn["role"], turn["content"]) for turn in dialogue["messages"]]


def kdconv(root: Path) -> Iterator[Talk]:
    for path in sorted(root.glob("*/*.json")):
        for dialogue in json.loads(path.read_text(encoding="utf-8")):
            yield [(str(place % 2), turn["message"]) for place, turn in enumerate(dialogue["messages"])]


NAMES: tuple[Callable[[random.Random], str], ...] = (
    lambda rng: f"{rng.getrandbits(64):016x}",
    lambda rng: str(rng.randrange(10**6, 10**10)),
    lambda rng: f"user{rng.randrange(10**9)}",
    lambda rng: f"wxid_{rng.getrandbits(70):014x}",
    lambda rng: f"+49{rng.randrange(10**10):010d}",
    lambda rng: f"@{rng.getrandbits(32):08x}:example.org",
)


def frames(talk: Talk, rng: random.Random, sizes: tuple[int, ...]) -> Iterator[Frame]:
    """The talk cut into frames as batches hold them, with ids, times and names as platforms make them."""
    name = rng.choice(NAMES)
    people = {who: name(rng) for who, _ in talk}
    conversation = rng.choice(("", "c_", "chat", "group-")) + name(rng)
    time, number = rng.randrange(1_500_000_000_000, 1_800_000_000_000), rng.randrange(10**7)
    step = rng.choice((1, 1000))
    numbered, start = rng.random() < 0.7, 0
    while start < len(talk):
        rows = []
        for who, text in talk[start : start + rng.choice(sizes)]:
            time += 1 + int(rng.expovariate(1 / 40_000))
            number += 1 + int(rng.expovariate(1) * rng.choice((0, 5)))
            detail = None
            if rng.random() < 0.05:
                detail = {5: {1: str(number - rng.randrange(1, 30))}}
            kind = Kind.TEXT
            if rng.random() < 0.05:
                kind, mime = Kind.MEDIA, rng.choice(("image/jpeg", "video/mp4", "audio/ogg", "image/webp"))
                media = {1: rng.randbytes(32), 2: rng.randrange(10**6), 3: mime, 4: f"{number}.jpg", 6: 1}
                detail = {4: [media]}
            body = None if kind is Kind.MEDIA else text
            row_id = str(number) if numbered else None
            rows.append(Row(0, time // step * step, 0, row_id, people[who], kind, body, detail=detail))
        start += len(rows)
        frame = Frame.from_rows(conversation, rows)
        frame.stamp((time + 500) << 16, rng.randbytes(16), rng.randrange(1, 3000), rng.randrange(100))
        yield frame.sorted()


def held_out(talks: list[Talk]) -> tuple[list[Talk], list[Talk]]:
    return talks[::2], talks[1::2]


def batch_bytes(batch: list[Frame], dictionary: ZstdDict | None) -> int:
    total, digest = 0, dictionary and dictionary.as_digested_dict
    for frame in batch:
        plain = encode_plain(frame, bare=True)
        total += HEADER + min(len(deflate_with(plain, digest)), len(plain))
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", type=int, default=65_536)
    options = parser.parse_args()
    rng = random.Random(1)  # noqa: S311 -- seeded: the samples shall be the same each time
    root = options.corpora
    sources = {
        "irc": held_out(list(irc(root / "irc-ubuntu"))),
        "crosswoz": held_out(list(crosswoz(root / "zh-crosswoz"))),
        "kdconv": held_out(list(kdconv(root / "zh-kdconv"))),
    }
    samples = [
        encode_plain(frame, bare=rng.random() < 0.7)
        for train, _ in sources.values()
        for talk in train
        for frame in frames(talk, rng, FRAME_ROWS)
    ]
    rng.shuffle(samples)
    content = train_dict(samples, options.size)
    dictionary = finalize_dict(content, samples, options.size, LEVEL)
    options.out.write_bytes(dictionary.dict_content)
    print(f"{len(samples)} samples, {sum(map(len, samples))} bytes")
    print(f"dictionary {len(dictionary.dict_content)} bytes,", hashlib.sha256(dictionary.dict_content).hexdigest())
    print("| rows a frame |" + "".join(f" {name} |" for name in sources))
    for rows in (1, 6, 13, 100, 1000, 4096):
        cells = []
        for _, test in sources.values():
            talk = [line for part in test for line in part]
            batch = [frame for frame in frames(talk, rng, (rows,)) if len(frame) == rows][:400]
            count = sum(map(len, batch))
            plain, packed = batch_bytes(batch, None) / count, batch_bytes(batch, dictionary) / count
            cells.append(f" {plain:.1f} → {packed:.1f} |")
        print(f"| {rows} |" + "".join(cells))


if __name__ == "__main__":
    main()
