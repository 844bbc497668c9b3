"""The player beside its decoder: times, colours, the service of its worker, the kernels."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hostile import PROPERTIES, REPEATS, SOUND, TIMES, file_of, header, segment
from player_tool import PLAYER, ask, needs_node

from nervcodec.format.container import read_file
from nervcodec.format.times import FrameTimes, seconds_of, write_times

DATA = Path(__file__).parents[1] / "data"
SHOWN = 6
REPEATED = bytes([1, 1, 1, 3, 1, 2])  # three coded frames, shown once, three times and twice
# In 1/1000 s: from 40 on, a step of 10, four of 15, and 20 for the last frame.
TIMED = bytes([1, 0xE8, 0x07, 40, 20, 40, 21, 2])
TITLED = b"\1\0\0\0\1" + b"\0\0\xff\xff" + bytes(32) + b"\0\3\0\xe2\x82\xac"
HEARD = b"\1" + bytes(4) + b"\1\0\0\0" + b"\0\1\0\0\0\1\0\0\0" + bytes(8) + b"\3\0\0\0\0aacNUT"

NAMES_OF_MATRICES = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}


@needs_node
def test_shown_frames_and_their_times(tmp_path: Path) -> None:
    """Repeats give the coded frame of a shown one, times when it begins and the last one ends."""
    path = tmp_path / "a.nvpp"
    head = header(n_frames=SHOWN)
    path.write_bytes(file_of((REPEATS, REPEATED), (TIMES, TIMED), segment(n_frames=3), head=head))
    found = ask("sections", path=str(path))
    assert found["coded"] == [0, 1, 1, 1, 2, 2]
    assert found["times"] == pytest.approx([0.04, 0.05, 0.065, 0.08, 0.095, 0.11, 0.13])


@needs_node
def test_a_last_frame_of_unknown_duration(tmp_path: Path) -> None:
    """It is shown as long as the last step, as the reader in Python has it."""
    path = tmp_path / "a.nvpp"
    times = FrameTimes(Fraction(1, 1000), 40, ((10, 1), (15, 4)))
    head = header(n_frames=SHOWN)
    path.write_bytes(file_of((TIMES, write_times(times)), segment(n_frames=SHOWN), head=head))
    file = read_file(path.read_bytes())
    wanted = [seconds_of(file.header.format, times, n) for n in range(SHOWN + 1)]
    assert ask("sections", path=str(path))["times"] == pytest.approx(list(map(float, wanted)))
    assert wanted[-1] - wanted[-2] == Fraction(15, 1000)


@needs_node
def test_times_without_their_section(tmp_path: Path) -> None:
    """Frames then follow one another at the frame rate, from 0 on."""
    path = tmp_path / "a.nvpp"
    path.write_bytes(file_of(segment(n_frames=3), head=header(n_frames=3)))
    assert ask("sections", path=str(path))["times"] == pytest.approx([0, 0.04, 0.08, 0.12])


@needs_node
def test_sound_and_properties(tmp_path: Path) -> None:
    """Both are read; numbers of the display matrix are signed."""
    path = tmp_path / "a.nvpp"
    path.write_bytes(file_of((SOUND, HEARD), segment(), (PROPERTIES, TITLED)))
    found = ask("sections", path=str(path))
    assert base64.b64decode(found["sound"]["nut"]) == b"NUT"
    assert [stream["codec"] for stream in found["sound"]["streams"]] == ["aac"]
    assert found["properties"]["matrix"] == [-65536, *[0] * 8]
    assert found["properties"]["texts"] == [{"key": "title", "text": "\u20ac"}]


def rgba_of(
    planes: list[np.ndarray], matrix: int, full: bool, depth: int, colorspace: int
) -> np.ndarray:
    """What the player shows of planes, [rows, columns, 4]."""
    height, width = planes[0].shape
    answer = ask(
        "rgba",
        header={"matrix": matrix, "range": 2 if full else 1, "layout": 0},
        model={"width": width, "height": height, "depth": depth, "colorspace": colorspace},
        planes=[plane.ravel().tolist() for plane in planes],
    )
    return np.frombuffer(base64.b64decode(answer), np.uint8).reshape(height, width, 4)


@needs_node
@pytest.mark.parametrize("matrix", NAMES_OF_MATRICES)
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(
    ("depth", "colorspace", "rows", "columns"), [(8, 1, 2, 2), (10, 2, 1, 2), (12, 3, 1, 1)]
)
def test_colours(
    matrix: int, full: bool, depth: int, colorspace: int, rows: int, columns: int
) -> None:
    """RGB is that of H.273's matrix and range within a level, chroma that of the nearest sample."""
    random = np.random.default_rng(3)
    luma = random.integers(0, 2**depth, (5, 7))
    shape = (-(-5 // rows), -(-7 // columns))
    cb, cr = (random.integers(0, 2**depth, shape) for _ in range(2))
    found = rgba_of([luma, cb, cr], matrix, full, depth, colorspace)
    unit = 2 ** (depth - 8)
    kr, kb = NAMES_OF_MATRICES[matrix]
    peak = 2**depth - 1
    y = luma / peak if full else (luma / unit - 16) / 219
    u, v = (
        np.repeat(
            np.repeat((c / unit - 128) * (unit / peak if full else 1 / 224), rows, 0), columns, 1
        )[:5, :7]
        for c in (cb, cr)
    )
    red, blue = y + 2 * (1 - kr) * v, y + 2 * (1 - kb) * u
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    wanted = np.clip(255 * np.stack([red, green, blue], -1), 0, 255)
    assert np.abs(found[..., :3] - wanted).max() <= 1
    assert (found[..., 3] == 255).all()


@needs_node
def test_rgb_and_gray_are_shown_as_they_are() -> None:
    """RGB of 8 bits does not change, and gray gives three equal channels."""
    planes = [np.arange(12).reshape(3, 4) * k for k in (1, 7, 20)]
    assert (rgba_of(planes, 2, False, 8, 0)[..., :3] == np.stack(planes, -1)).all()
    gray = rgba_of(planes[2:], 1, True, 8, 4)
    assert (gray[..., :3] == planes[2][..., None]).all()


def serve(*messages: dict[str, Any]) -> list[dict[str, Any]]:
    answers: list[dict[str, Any]] = ask("serve", messages=list(messages))
    return answers


def opening(name: str = "moving_yuv.nvpp") -> dict[str, Any]:
    return {"type": "open", "id": 1, "path": str(DATA / name), "engine": "wasm", "wait": True}


@needs_node
def test_the_service_opens_and_decodes() -> None:
    """Each message has one answer with its id, frames in the order that was asked for."""
    wanted = [{"type": "decode", "id": 5 + i, "segment": 1, "frame": 2 - i} for i in range(3)]
    opened, *frames = serve(opening(), *wanted)
    assert (opened["type"], opened["engine"], opened["nFrames"]) == ("opened", "wasm", 7)
    assert [frame["id"] for frame in frames] == [5, 6, 7]
    with np.load(DATA / "moving_yuv.npz", allow_pickle=False) as golden:
        first = opened["segments"][0]["nFrames"]
        for i, frame in enumerate(frames):
            assert frame["planes"] is not None
            for plane, samples in zip(golden.values(), frame["planes"], strict=True):
                assert base64.b64decode(samples) == plane[first + 2 - i].tobytes()


@needs_node
def test_the_service_cancels_what_waits() -> None:
    """A cancel drops the decodes that have not begun and says so."""
    decodes = [{"type": "decode", "id": 5 + i, "segment": 0, "frame": i} for i in range(3)]
    answers = serve(opening(), *decodes, {"type": "cancel"})
    assert [(a["type"], a.get("id")) for a in answers[1:]] == [
        ("cancelled", 5 + i) for i in range(3)
    ]
    one = serve(opening(), *decodes, {"type": "cancel", "id": 6})
    assert sorted((a["type"], a["id"]) for a in one[1:]) == [
        ("cancelled", 6),
        ("frame", 5),
        ("frame", 7),
    ]


@needs_node
def test_the_service_tells_errors(tmp_path: Path) -> None:
    """A damaged file, and a frame that is not there, are errors with their kind."""
    path = tmp_path / "a.nvpp"
    path.write_bytes(b"\x89NVPP")
    damaged, unopened = serve(
        {**opening(), "path": str(path)}, {"type": "decode", "id": 2, "segment": 0, "frame": 0}
    )
    assert (damaged["type"], damaged["id"], damaged["kind"]) == ("error", 1, "Truncated")
    assert (unopened["type"], unopened["message"]) == ("error", "no file is open")
    answer = serve(opening(), {"type": "decode", "id": 3, "segment": 0, "frame": 99, "rgba": True})[
        1
    ]
    assert (answer["kind"], answer["message"][:12]) == ("RangeError", "frame is 99;")


@pytest.mark.skipif(shutil.which("wat2wasm") is None, reason="wabt is not installed")
def test_the_kernels_are_what_their_source_compiles_to(tmp_path: Path) -> None:
    """kernels.wasm is kernels.wat, byte for byte."""
    built = tmp_path / "kernels.wasm"
    subprocess.run(["wat2wasm", str(PLAYER / "kernels.wat"), "-o", str(built)], check=True)
    assert built.read_bytes() == (PLAYER / "kernels.wasm").read_bytes()


def test_modules_run_no_text_as_code() -> None:
    """No module of the player evaluates text, is long, or imports from outside of its folder."""
    for path in sorted(PLAYER.glob("*.js")):
        text = path.read_text("utf-8")
        assert not re.search(r"\beval\b|\bnew Function\b|[^=!]==[^=]|!=[^=]", text), path.name
        assert not re.search(r"(?m)^\s*(?:for \()?var\b", text), path.name  # WGSL has it in texts
        assert text.count("\n") <= 400, path.name
        imports = re.findall(r"from '([^']+)'|import\('([^']+)'\)", text)
        assert all(a.startswith("./") or b.startswith(("./", "node:")) for a, b in imports), (
            path.name
        )


@pytest.mark.parametrize(
    ("fast", "engines"),
    [
        ({"a": [0, 1, 2, 3], "b": [0, 1, 2, 3]}, "saaa"),
        ({"a": [7, 1, 2, 3]}, "ssss"),
        ({"a": [None, 1, 2, 3]}, "ssss"),
        ({"a": [0, 1, None, 3]}, "sass"),
        ({"a": None, "b": [0, 1, 2, 3]}, "sbbb"),
        ({"a": [7, 1, 2, 3], "b": [0, 1, 2, 3]}, "sbbb"),
    ],
)
def test_a_fast_engine_is_checked(fast: dict[str, list[int | None] | None], engines: str) -> None:
    """One that is not there, whose first frame is another one, or that fails, is not used."""
    found = ask("checked", fast=fast)
    assert [(name[0], sample) for name, sample in found] == list(
        zip(engines, range(4), strict=True)
    )


def test_an_engine_on_a_gpu_needs_one() -> None:
    """Where there is none it is refused with what is legal, and `auto` takes another."""
    path = str(DATA / "gray.nvpp")
    names = ("webgpu", "webgl", "auto")
    answers = serve(*({"type": "open", "id": 1, "path": path, "engine": name} for name in names))
    assert [answer.get("message") or answer["engine"] for answer in answers] == [
        "this browser has no WebGPU here; legal: auto, webgl, wasm, js",
        "this browser has no WebGL 2 here; legal: auto, wasm, js",
        "wasm",
    ]
