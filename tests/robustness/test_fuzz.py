"""The fuzzers' targets bear what the fuzzers begin with, and what a few thousand blind changes make
of it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from fuzz_targets import (
    decode_sections,
    parse,
    parser_seeds,
    section_seeds,
    with_checksums,
    write_seeds,
)
from hostile import CASES, GOOD, HEADER_END, INDEX_END, flipped

from nervcodec.errors import InvalidField
from nervcodec.format.container import read_file


def changed(seeds: Iterable[bytes], n: int) -> Iterator[bytes]:
    """So many seeds with bytes replaced, doubled, left out or taken from another one."""
    rng, all_seeds = random.Random(7), [seed for seed in seeds if 2 < len(seed) < 1024]
    for _ in range(n):
        data = bytearray(rng.choice(all_seeds))
        for _ in range(rng.randrange(1, 5)):
            at = rng.randrange(2, len(data) + 1)
            other = rng.choice(all_seeds)
            start = rng.randrange(len(other))
            piece = rng.choice(
                (
                    bytes([rng.randrange(256)]),
                    b"",
                    bytes(data[max(at - 9, 0) : at]),
                    other[start : start + 9],
                )
            )
            data[at : at + rng.randrange(len(piece) + 2)] = piece
        yield bytes(data)


@pytest.mark.parametrize(
    ("target", "seeds"),
    [(parse, parser_seeds), (decode_sections, section_seeds)],
    ids=["parser", "sections"],
)
def test_targets_bear_what_they_begin_with(
    target: Callable[[bytes], None], seeds: Callable[[], Iterator[bytes]]
) -> None:
    """Seeds and a thousand changed ones are read or refused by a BitstreamError: nothing else
    comes out.
    """
    for data in (*seeds(), *changed(seeds(), 1000)):
        target(data)


def test_checksums_are_made_to_fit() -> None:
    """A wrong field is refused as such once its checksum fits; files whose checksums fit stay as
    they are.
    """
    assert with_checksums(GOOD) == GOOD
    assert all(
        with_checksums(case.data) == case.data for case in CASES if case.stage != "container"
    )
    for at in (len(GOOD) - 1, HEADER_END - 4, INDEX_END - 4):  # the checksums
        assert with_checksums(flipped(GOOD, at)) == GOOD
    with pytest.raises(
        InvalidField, match="the network gives 2x1, less than the 3x1 it must cover"
    ):
        read_file(with_checksums(flipped(GOOD, 12)))


def test_seeds_are_written(tmp_path: Path) -> None:
    """Each fuzzer has a folder to begin with, of over a hundred files."""
    write_seeds(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["parser", "sections"]
    assert all(len(list(folder.iterdir())) > 100 for folder in tmp_path.iterdir())
