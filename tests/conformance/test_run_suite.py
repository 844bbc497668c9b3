"""What runs a decoder over the conformance suite tells right frames and refusals from others."""

from __future__ import annotations

import hashlib
import json
import shlex
import sys
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import reference_decoder
import run_suite
from make_suite import SUITE
from run_suite import Result, Settings, Untold, Verdict, Wrong, frames_of, judged, printed_md5s

from nervcodec.decoder.reconstruct import decode_segment
from nervcodec.format.container import load
from nervcodec.format.video_format import VideoFormat
from nervcodec.video.y4m import write_frames
from nervcodec.video.y4m_header import header_line

ENTRIES: dict[str, dict[str, Any]] = {
    entry["file"]: entry
    for entry in json.loads((SUITE / "manifest.json").read_text("utf-8"))["files"]
}
DECODER = Path(reference_decoder.__file__)
FOREIGN = f"{shlex.quote(sys.executable)} {shlex.quote(str(DECODER))} {{input}} {{output}}"
GOOD, BAD, DIFFERS = "good/grid-still.nvpp", "bad/bits-1.nvpp", "bad/md5-of-zeros.nvpp"


def settings(command: str, **changes: Any) -> Settings:
    return Settings(tuple(shlex.split(command)), ".raw", **changes)


def one(file: str, command: str, **changes: Any) -> Result:
    """What comes of a decoder on one file."""
    (result,) = run_suite.run(settings(command, **changes), SUITE, [file])
    assert result.file == file
    return result


def script(tmp_path: Path, text: str) -> str:
    """A decoder that is a shell script; $1 is its input, $2 its output."""
    path = tmp_path / "decoder.sh"
    path.write_text(text + "\n", "utf-8")
    return f"sh {shlex.quote(str(path))} {{input}} {{output}}"


def test_the_foreign_reader_conforms(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The command line runs it, prints a line a file and a summary, and writes JSON."""
    out = tmp_path / "out.json"
    files = ["good/samples-rgb-12", "good/repeats", BAD, DIFFERS, "future/section-200"]
    arguments = ["--decoder", FOREIGN, "--suffix", ".raw", "--errors", "--json", str(out)]
    assert run_suite.main([*arguments, "--only", *files]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split() == ["file", "expected", "found"]
    assert printed[-1] == "5 files: 5 ok, 0 mismatch, 0 untold"
    said = json.loads(out.read_text("utf-8"))
    assert (said["schema"], said["n_ok"], said["n_mismatch"]) == (run_suite.SCHEMA, 5, 0)
    repeats = next(each for each in said["files"] if each["file"] == "good/repeats.nvpp")
    assert repeats["found"] == repeats["expected"] == ENTRIES["good/repeats.nvpp"]["md5"]


@pytest.mark.parametrize(
    ("file", "text", "verdict", "detail"),
    [
        (GOOD, "exit 4", "mismatch", "refused"),
        (GOOD, "echo bad >&2; exit 4", "mismatch", "bad"),
        (GOOD, "exit 0", "mismatch", "No such file"),
        (GOOD, 'printf x > "$2"', "mismatch", "1 bytes, which are not frames"),
        (GOOD, ': > "$2"', "mismatch", "0 frames in place of 5"),
        (GOOD, "sleep 5", "mismatch", "no end after 0.5 s"),
        (BAD, "exit 4", "ok", ""),
        (BAD, "exit 1", "mismatch", "exit 1 in place of 4"),
        (BAD, 'printf x > "$2"', "mismatch", "a bad file is decoded"),
        (BAD, 'printf x > "$2"; exit 4', "mismatch", "leaves decoded.raw"),
        (BAD, "kill -11 $$", "mismatch", "signal 11"),
        (DIFFERS, "exit 4", "ok", ""),
        (DIFFERS, ': > "$2"', "mismatch", "0 frames in place of 6"),
    ],
)
def test_wrong_decoders(
    tmp_path: Path, file: str, text: str, verdict: Verdict, detail: str
) -> None:
    """Each wrong thing that a decoder may do is told."""
    found = one(file, script(tmp_path, text), checks_errors=True, timeout_s=0.5)
    assert found.verdict == verdict
    assert detail in found.detail


def test_a_file_of_another_md5_may_be_decoded(tmp_path: Path) -> None:
    """A reader that ignores the digest gives the frames that the file has."""
    data = (SUITE / DIFFERS).read_bytes()
    with pytest.raises(ValueError, match="MD5"):
        reference_decoder.decoded(data)
    raw = tmp_path / "frames"
    raw.write_bytes(reference_decoder.decoded((SUITE / "future/section-128.nvpp").read_bytes()))
    assert one(DIFFERS, script(tmp_path, f'cp {raw} "$2"')).verdict == "ok"


def test_one_wrong_frame_is_named(tmp_path: Path) -> None:
    """The first frame that differs is told, and how many do."""
    raw = bytearray(reference_decoder.decoded((SUITE / GOOD).read_bytes()))
    raw[3 * len(raw) // 5] ^= 1
    path = tmp_path / "frames"
    path.write_bytes(raw)
    found = one(GOOD, script(tmp_path, f'cp {path} "$2"'))
    assert (found.verdict, found.detail) == ("mismatch", "1 frames of 5 differ, first frame 3")
    assert found.found == hashlib.md5(raw).hexdigest()


def y4m_of(name: str) -> bytes:
    """A file's frames as .y4m in the colorspace of its network, of 23 frames a second."""
    file = load(SUITE / name)
    model = file.header.model
    form = VideoFormat(
        model.width, model.height, Fraction(23), 1, model.colorspace, bit_depth=model.bit_depth
    )
    stream = BytesIO(header_line(form))
    stream.seek(0, 2)
    for segment in file.segments:
        for frames in decode_segment(segment, model):
            write_frames(stream, frames)
    return stream.getvalue()


@pytest.mark.parametrize(
    "name",
    [f"{colorspace}-{depth}" for colorspace in ("yuv420", "yuv422", "yuv444", "gray")
     for depth in (8, 10, 12)],
)  # fmt: skip
def test_y4m(name: str) -> None:
    """.y4m of each colorspace and depth has the frames of the manifest."""
    entry = ENTRIES[f"good/samples-{name}.nvpp"]
    frames = list(frames_of(y4m_of(entry["file"]), entry))
    assert [hashlib.md5(frame).hexdigest() for frame in frames] == entry["frame_md5"]


def test_y4m_of_a_gray_network_may_have_chroma() -> None:
    """Luma alone is that of the network."""
    entry = ENTRIES["good/layout-yuv420-gray.nvpp"]
    luma = bytes(range(120))
    output = b"YUV4MPEG2 W12 H10 F25:1 Ip C420jpeg\nFRAME\n" + luma + bytes(60) + b"FRAME\n" + luma
    with pytest.raises(Wrong, match="a frame of .y4m is damaged"):
        list(frames_of(output, entry))
    assert list(frames_of(output + bytes(60), entry)) == [luma, luma]


def test_y4m_that_cannot_be_compared() -> None:
    """Of RGB it is untold; of other sizes, depths and subsampling it is wrong."""
    head = b"YUV4MPEG2 W21 H17 F25:1 %s\n"
    with pytest.raises(Untold, match="holds no RGB"):
        list(frames_of(head % b"C420jpeg", ENTRIES["good/samples-rgb-8.nvpp"]))
    entry = ENTRIES["good/samples-yuv420-8.nvpp"]
    for tag, message in ((b"C422", "C422 in place of 420"), (b"C420p10", "21x17 of 10 bits")):
        with pytest.raises(Wrong, match=message):
            list(frames_of(head % tag, entry))


def test_printed_md5s() -> None:
    """Those of FFmpeg's framemd5 and md5 muxers are read, and judged."""
    entry = ENTRIES[GOOD]
    lines = [f"0, {i}, {i}, 1, 646, {md5}" for i, md5 in enumerate(entry["frame_md5"])]
    text = "\n".join(["#hash: MD5", "#sar 0: 1/1", *lines])
    assert printed_md5s(text) == entry["frame_md5"]
    assert printed_md5s(f"MD5={entry['md5']}\n") == [entry["md5"]]
    command = f"{shlex.quote(sys.executable)} -c \"print('{entry['md5']}')\" {{input}}"
    assert one(GOOD, command) == Result(GOOD, entry["md5"], entry["md5"], "ok")
    assert one("good/repeats.nvpp", command).detail == "another MD5"
    silent = f"{shlex.quote(sys.executable)} -c pass {{input}}"
    assert one(GOOD, silent).detail == "no MD5 on standard output"
    wrong = [*entry["frame_md5"][:-1], "0" * 32]
    assert judged(wrong, "", entry)[1] == "1 frames of 5 differ, first frame 4"


def test_limits_are_left_out() -> None:
    """--no-limits leaves out what a reader without limits may decode."""
    command = settings("false {input} {output}")
    n_all = len(run_suite.run(command, SUITE, ["bad/bomb"]))
    assert n_all >= 5
    assert not run_suite.run(command, SUITE, ["bad/bomb"], limits=False)


def test_a_command_without_input(capsys: pytest.CaptureFixture[str]) -> None:
    """It is refused with what is legal."""
    with pytest.raises(SystemExit):
        run_suite.main(["--decoder", "decoder"])
    assert "--decoder is 'decoder'; legal: a command with {input}" in capsys.readouterr().err
