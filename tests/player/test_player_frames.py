"""The player, written from the specification alone, decodes every golden file to its frames."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from player_tool import ask, needs_node

from nervcodec.format.container import load

DATA = Path(__file__).parents[1] / "data"
NAMES: list[str] = sorted(json.loads((DATA / "symbols.json").read_text("utf-8")))
ENGINES = ("js", "wasm")

pytestmark = needs_node
each_engine = pytest.mark.parametrize("engine", ENGINES)


def decoded_planes(name: str, engine: str) -> list[np.ndarray]:
    """Each plane [T, rows, columns] as the player decodes it."""
    path = DATA / f"{name}.nvpp"
    frames = ask("decode", path=str(path), engine=engine)
    with np.load(DATA / f"{name}.npz", allow_pickle=False) as golden:
        return [
            np.stack(
                [
                    np.frombuffer(base64.b64decode(frame[number]), plane.dtype.newbyteorder("<"))
                    for frame in frames
                ]
            ).reshape(-1, *plane.shape[1:])
            for number, plane in enumerate(golden.values())
        ]


@each_engine
@pytest.mark.parametrize("name", NAMES)
def test_every_sample_is_the_golden_one(name: str, engine: str) -> None:
    """Both engines make the frames that were decoded when the file was made."""
    planes = decoded_planes(name, engine)
    with np.load(DATA / f"{name}.npz", allow_pickle=False) as golden:
        assert len(planes) == len(golden)
        for plane, wanted in zip(planes, golden.values(), strict=True):
            np.testing.assert_array_equal(plane, wanted)


@each_engine
def test_digests_are_those_of_the_specification(engine: str) -> None:
    """The MD5 of a segment is that of its planes, of RGB in the order G, B, R."""
    with np.load(DATA / "mlp_rgb.npz", allow_pickle=False) as golden:
        red, green, blue = golden.values()
        first = load(DATA / "mlp_rgb.nvpp").segments[0].n_frames
        wanted = hashlib.md5(np.stack([green, blue, red], 1)[:first].tobytes()).hexdigest()
    assert ask("digest", path=str(DATA / "mlp_rgb.nvpp"), engine=engine)[0] == wanted


@pytest.mark.parametrize("sizes", [(), (0,), (55,), (56,), (63, 1), (64,), (1, 63, 65, 200)])
def test_md5_of_parts(sizes: tuple[int, ...]) -> None:
    """MD5 is that of RFC 1321 however the bytes are cut."""
    parts = [bytes(range(size)) for size in sizes]
    found = ask("md5", parts=[base64.b64encode(part).decode() for part in parts])
    assert found == hashlib.md5(b"".join(parts)).hexdigest()


def test_the_specification_has_an_example_of_a_table() -> None:
    """Section 4.3 lists the frequencies of a geometric record."""
    record = {"first": 66, "tails": [4, 8], "masses": []}
    assert ask("frequencies", record=record, most=3) == [
        962217,
        1282956,
        1710608,
        9827871,
        1710608,
        855304,
        427652,
    ]
