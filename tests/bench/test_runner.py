"""nervcodec.bench.runner: points measured once, exactly and under equal conditions; kept when
something goes wrong.
"""

from __future__ import annotations

import csv
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import MakeClip

from nervcodec.bench import fingerprint, process
from nervcodec.bench.adapters import Adapter, built_in, from_toml
from nervcodec.bench.ffmpeg_codecs import encode
from nervcodec.bench.runner import Bench, check_folder, open_clip, write_csv
from nervcodec.errors import CommandFailed, ConfigError
from nervcodec.format.container import load
from nervcodec.format.video_format import VideoFormat
from nervcodec.video.frames import Frames
from nervcodec.video.writer import open_writer

# A lossless codec whose setting is zlib's level; it writes each setting that it encodes with into a
# log.
TOY = """
name = "toy"
setting_name = "level"
settings = [0, 9]
encode = '''{python} -c "
import os, sys, time, zlib
source, target, level = sys.argv[1:]
open('{log}', 'a').write(level + ' ')
# more
data = open(source, 'rb').read()
open(target, 'wb').write(zlib.compress(data, int(level)))
" {{input}} {{output}} {{setting}}'''
decode = '''{python} -c "
import sys, zlib
data = zlib.decompress(open(sys.argv[1], 'rb').read())
open(sys.argv[2], 'wb').write(data)
" {{output}} {{decoded}}'''
"""


class Toy:
    """A folder with clips and the toy codec."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out, self._log = folder, folder / "out", folder / "log"
        self.out.mkdir()
        self.toml = folder / "toy.toml"
        self.toml.write_text(TOY.format(python=shlex.quote(sys.executable), log=self._log))

    @property
    def adapter(self) -> Adapter:
        return from_toml(self.toml, 9)

    def patch(self, *lines: str) -> None:
        """Puts lines into the encoder."""
        self.toml.write_text(self.toml.read_text().replace("# more", "\n".join(lines)))

    @property
    def encoded(self) -> list[str]:
        """Settings that the codec has encoded with so far."""
        return self._log.read_text().split() if self._log.exists() else []

    def clip(self, frames: Frames, name: str = "clip.y4m") -> Path:
        with open_writer(self.folder / name, form_of(frames), overwrite=True) as writer:
            writer.write(frames)
        return self.folder / name

    def run(
        self,
        *paths: Path,
        adapters: Sequence[Adapter] | None = None,
        n_frames: int | None = None,
        threads: int = 1,
    ) -> dict[str, Any]:
        return self.bench(*paths, adapters=adapters, n_frames=n_frames, threads=threads).run(
            lambda *_: None
        )

    def bench(
        self,
        *paths: Path,
        adapters: Sequence[Adapter] | None = None,
        n_frames: int | None = None,
        threads: int = 1,
    ) -> Bench:
        clips = [open_clip(path, n_frames) for path in paths]
        return Bench(
            clips,
            [self.adapter] if adapters is None else adapters,
            self.out,
            threads,
            "nervcodec bench",
            3,
        )


def form_of(frames: Frames) -> VideoFormat:
    return VideoFormat(
        frames.width, frames.height, Fraction(30000, 1001), frames.n_frames, frames.layout
    )


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return Toy(tmp_path)


@pytest.fixture
def source(toy: Toy, clip: Frames) -> Path:
    """Four frames of 16 x 12."""
    return toy.clip(clip)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


# Results


def test_a_point_for_each_clip_and_setting(toy: Toy, source: Path, make_clip: MakeClip) -> None:
    """results.json has every clip, codec and setting in order, with its schema and where it comes
    from.
    """
    other = toy.clip(make_clip("yuv420", 2, 20, 10), "other.y4m")
    results = toy.run(source, other)
    assert [(point["clip"], point["label"], point["setting"]) for point in results["points"]] == [
        ("clip", "toy", "level 0"),
        ("clip", "toy", "level 9"),
        ("other", "toy", "level 0"),
        ("other", "toy", "level 9"),
    ]
    assert (results["schema"], results["command"], results["threads"], results["seed"]) == (
        "nervcodec.bench/1",
        "nervcodec bench",
        1,
        3,
    )
    assert {"nervcodec", "python", "ffmpeg", "torch", "pytorch-msssim"} <= results[
        "versions"
    ].keys()
    assert results["machine"]["cores"] == os.cpu_count()
    assert results["clips"][1] == {
        "name": "other",
        "sha256": open_clip(other).sha256,
        "width": 20,
        "height": 10,
        "frames": 2,
        "frame_rate": "30000/1001",
        "note": None,
        "ceiling_bpp": None,
    }
    assert json.loads((toy.out / "results.json").read_text()) == results


def test_a_points_figures(toy: Toy, source: Path) -> None:
    """A lossless codec has 100 dB, the bytes of its file, and their rate over the frames that were
    coded.
    """
    first, second = toy.run(source)["points"]
    assert first["psnr"] == {"y": 100, "u": 100, "v": 100, "yuv611": 100, "rgb": 100}
    for point in (first, second):
        assert point["bytes"] == (toy.out / "cache" / point["file"]).stat().st_size
        assert point["bpp"] == pytest.approx(8 * point["bytes"] / (4 * 16 * 12))
        assert point["kbit_per_s"] == pytest.approx(8 * point["bytes"] / (4 * 1.001 / 30) / 1000)
        assert (
            point["encode_s"]
            == point["encode_process_s"]
            > 0
            < point["decode_s"]
            == point["decode_process_s"]
        )
        assert (point["counted"], point["parameters"], len(point["per_frame"]["psnr_y"])) == (
            "whole file",
            None,
            4,
        )
    assert first["bytes"] > second["bytes"]


def test_elementary_bytes_are_the_encoders(toy: Toy, source: Path, tmp_path: Path) -> None:
    """x264's bytes are those of its stream at this preset and crf, coded again by hand."""
    (adapter,) = built_in("x264", ["fast/psnr"], 1)
    (point,) = toy.run(source, adapters=[adapter])["points"]
    options = {"preset": "fast", "tune": "psnr", "crf": "30"}
    n_bytes, _ = encode("x264", source, tmp_path / "again.h264", options)
    assert (point["label"], point["setting"], point["counted"]) == (
        "x264 fast psnr",
        "crf 30",
        "elementary stream",
    )
    assert point["bytes"] == n_bytes == (toy.out / "cache" / point["file"]).stat().st_size
    assert (
        point["encode_s"] < point["encode_process_s"]
        and point["decode_s"] < point["decode_process_s"]
    )


def test_what_a_foreign_codec_prints_is_no_figure(toy: Toy, source: Path) -> None:
    """JSON that a codec from a file prints has its own meaning: bytes and seconds are measured all
    the same.
    """
    toy.patch("import json", "print(json.dumps(dict(bytes=1, encode_s=-1)))")
    point = toy.run(source)["points"][0]
    assert point["bytes"] > 1 and point["encode_s"] > 0


def test_only_the_frames_asked_for(toy: Toy, source: Path) -> None:
    """--frames codes and measures the first so many, or all where there are fewer."""
    assert [
        len(toy.run(source, n_frames=n)["points"][0]["per_frame"]["psnr_y"]) for n in (2, 9)
    ] == [2, 4]
    assert [open_clip(source, n).form.n_frames for n in (2, 9)] == [2, 4]


@pytest.mark.parametrize("name", ["clip.y4m", "pictures"])
def test_odd_sizes_and_rgb(toy: Toy, make_clip: MakeClip, name: str) -> None:
    """Clips of odd sizes, one frame, and folders of PNG are handed over and measured as they
    are.
    """
    path = toy.clip(make_clip("rgb" if name == "pictures" else "yuv420", 1, 45, 47), name)
    lossless, lossy = toy.run(
        path, adapters=[replace(toy.adapter, settings=("9",)), *built_in("x264", ["fast"], 1)]
    )["points"]
    assert lossless["psnr"]["y"] == 100 and (lossless["psnr"]["rgb"] < 100) == (name == "pictures")
    assert 20 < lossy["psnr"]["y"] < 99


def test_pictures_for_the_report(toy: Toy, source: Path) -> None:
    """Cut-outs of the worst and the median frame are there for every curve, and nothing else is
    left behind.
    """
    results = toy.run(source)
    assert [crop["which"] for crop in results["crops"]] == ["worst", "median"]
    for crop in results["crops"]:
        assert [image["label"] for image in crop["images"]] == ["source", "toy"]
        assert all((toy.out / image["file"]).is_file() for image in crop["images"])
    assert sorted(path.name for path in toy.out.iterdir()) == ["cache", "crops", "results.json"]


def test_csv_has_a_row_a_point(toy: Toy, source: Path) -> None:
    """results.csv has the points' figures but for the series by frame."""
    results = toy.run(source)
    write_csv(results, toy.out / "results.csv")
    with open(toy.out / "results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["setting"], int(row["bytes"])) for row in rows] == [
        (point["setting"], point["bytes"]) for point in results["points"]
    ]
    assert rows[0]["psnr_rgb"] == "100.0" and rows[0]["vmaf"] == "" and "per_frame" not in rows[0]


def test_progress(toy: Toy, source: Path) -> None:
    """What comes next is told before each point that is measured, and the report at the end."""
    seen: list[tuple[int, int, str]] = []
    for _ in range(2):
        toy.bench(source).run(lambda *told: seen.append(told))
    assert seen == [
        (0, 2, "clip, toy, level 0"),
        (1, 2, "clip, toy, level 9"),
        (2, 2, "report"),
        (2, 2, "report"),
    ]


# The cache


def test_a_point_is_measured_once(toy: Toy, source: Path) -> None:
    """The same again encodes nothing and gives the same points."""
    first = toy.run(source)["points"]
    assert toy.run(source)["points"] == first
    assert toy.encoded == ["0", "9"]


def test_a_renamed_clip_and_codec_keep_their_points(toy: Toy, source: Path) -> None:
    """Points go by content: under a new name they are taken from the cache, with the new name."""
    toy.run(source)
    point, _ = toy.run(
        source.rename(source.with_name("new.y4m")), adapters=[replace(toy.adapter, codec="neo")]
    )["points"]
    assert (point["clip"], point["codec"], point["label"]) == ("new", "neo", "neo")
    assert toy.encoded == ["0", "9"]


@pytest.mark.parametrize(
    "change", ["clip", "setting", "version", "program", "frames", "threads", "decoder", "tools"]
)
def test_what_a_point_depends_on_measures_anew(
    toy: Toy, source: Path, clip: Frames, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another clip, setting, version, program, number of frames or threads, or other tools: another
    point.
    """
    adapter = replace(toy.adapter, settings=("9",))
    toy.run(source, adapters=[adapter])
    if change == "clip":
        clip = Frames.concatenate([clip])
        clip.planes[0][0, 0, 0] ^= 1
        toy.clip(clip)
    elif change == "tools":
        monkeypatch.setattr(fingerprint, "tools_here", lambda: ["vmaf"])
        fingerprint.measuring_digest.cache_clear()
    link = toy.folder / "python"
    link.symlink_to(sys.executable)
    changed = {
        "setting": replace(adapter, settings=("8",)),
        "version": replace(adapter, version="2"),
        "program": replace(adapter, encode=(str(link), *adapter.encode[1:])),
        "decoder": replace(adapter, decode=(*adapter.decode, "-x")),
    }.get(change, adapter)
    toy.run(
        source,
        adapters=[changed],
        n_frames=3 if change == "frames" else None,
        threads=2 if change == "threads" else 1,
    )
    fingerprint.measuring_digest.cache_clear()
    assert toy.encoded == ["9", "8" if change == "setting" else "9"]


def test_a_point_without_its_file_is_measured_anew(toy: Toy, source: Path) -> None:
    """Where the coded file has gone, nothing could be decoded for the report: the point is made
    again.
    """
    point = toy.run(source)["points"][0]
    (toy.out / "cache" / point["file"]).unlink()
    assert toy.run(source)["points"][0]["bytes"] == point["bytes"]
    assert toy.encoded == ["0", "9", "0"]


# What goes wrong


def test_a_failing_codec_keeps_earlier_points(toy: Toy, source: Path) -> None:
    """A codec that fails is named with its last line; once it works, the same again goes on behind
    earlier points.
    """
    failure = toy.folder / "fail"
    failure.touch()
    toy.patch(
        f"if level == '9' and os.path.exists('{failure}'):",
        "    print('a line', file=sys.stderr)",
        "    sys.exit('no such level')",
    )
    with pytest.raises(
        CommandFailed, match="^toy could not encode clip: exit 1: no such level$"
    ) as caught:
        toy.run(source)
    assert caught.value.exit_code == 3
    assert [path.name for path in toy.out.iterdir()] == ["cache"]
    failure.unlink()
    assert [point["psnr"]["y"] for point in toy.run(source)["points"]] == [100, 100]
    assert toy.encoded == ["0", "9", "9"]


@pytest.mark.parametrize(
    ("part", "command", "message"),
    [
        (
            "encode",
            ["no-such-program"],
            "toy could not encode clip: exit 1: cannot start no-such-program: No such file",
        ),
        ("encode", ["true"], "toy could not encode clip: it wrote nothing to its output"),
        (
            "encode",
            ["touch", "{output}"],
            "toy could not encode clip: it wrote nothing to its output",
        ),
        (
            "encode",
            python("import os; os.kill(os.getpid(), 9)"),
            "toy could not encode clip: killed by signal 9",
        ),
        ("encode", python("print('some figure'); raise SystemExit(7)"), "exit 7: some figure"),
        (
            "decode",
            ["true"],
            "toy decoded clip to something else: cannot read .*there is no such file",
        ),
        (
            "decode",
            ["cp", "{output}", "{decoded}"],
            "toy decoded clip to something else: cannot read ",
        ),
        (
            "decode",
            ["cp", "short.y4m", "{decoded}"],
            "toy decoded clip to something else: frames is 4; legal: 1 to 2",
        ),
        (
            "decode",
            ["cp", "small.y4m", "{decoded}"],
            "toy decoded clip to something else: sizes are 16x12 and 8x6",
        ),
    ],
)
def test_codecs_that_fail(
    toy: Toy,
    source: Path,
    make_clip: MakeClip,
    monkeypatch: pytest.MonkeyPatch,
    part: str,
    command: list[str],
    message: str,
) -> None:
    """Whatever a codec does wrong is one line that names it, and neither a point nor a file stays
    of it.
    """
    toy.clip(make_clip("yuv420", 2), "short.y4m")
    toy.clip(make_clip("yuv420", 4, 8, 6), "small.y4m")
    monkeypatch.chdir(toy.folder)
    broken = replace(toy.adapter, settings=("9",), **{part: tuple(command)})  # type: ignore[arg-type]
    with pytest.raises(CommandFailed, match=message) as caught:
        toy.run(source, adapters=[broken])
    assert "\n" not in str(caught.value)
    assert [path.name for path in toy.out.rglob("*")] == ["cache"]


def test_names_come_once(toy: Toy, source: Path) -> None:
    """Two clips or two curves of one name could not be told apart: they are refused before anything
    runs.
    """
    (toy.folder / "other").mkdir()
    same = Path(os.path.join(toy.folder, "other", "clip.mkv"))
    same.write_bytes(source.read_bytes())
    with pytest.raises(ConfigError, match="clips are clip, clip; legal: each name once"):
        toy.run(source, same)
    with pytest.raises(ConfigError, match="codecs are toy, toy; legal: each name once"):
        toy.run(source, adapters=[toy.adapter, toy.adapter])
    assert toy.encoded == []


def test_the_folder_for_results(tmp_path: Path) -> None:
    """It is made with its parents; a file in its place is refused."""
    check_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="out is .*file: File exists; legal: a folder"):
        check_folder(tmp_path / "file")


def two_words(path: Path) -> list[str]:
    """Waits for two words in a file."""
    for _ in range(1000):
        if path.exists() and len(words := path.read_text().split()) == 2:
            return words
        time.sleep(0.02)
    raise AssertionError(f"{path.name} never came")


def test_an_interrupted_bench_goes_on(toy: Toy, source: Path) -> None:
    """Ctrl-C ends the codec and what it started, leaves no temporary folder, and the next run
    starts behind it.
    """
    pids, hang = toy.folder / "pids", toy.folder / "hang"
    hang.touch()
    toy.patch(
        f"if level == '9' and os.path.exists('{hang}'):",
        "    os.fork()",
        f"    open('{pids}', 'a').write(str(os.getpid()) + ' ')",
        "    time.sleep(60)",
    )
    command = [
        sys.executable,
        "-m",
        "nervcodec",
        "bench",
        str(source),
        "--codecs",
        "toy",
        "--adapter",
        str(toy.toml),
        "--out",
        str(toy.out),
        "--threads",
        "1",
    ]

    def heeds_interrupts() -> None:  # a shell starts what runs in its background deaf to them
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, preexec_fn=heeds_interrupts
    ) as process:
        running = two_words(pids)
        process.send_signal(signal.SIGINT)
        message = process.communicate(timeout=30)[1].splitlines()[-1]
    assert process.returncode == 8
    assert (
        message
        == f"nervcodec: error: interrupted; all points so far are in {toy.out}, the same command"
        " goes on"
    )
    assert [path.name for path in toy.out.iterdir()] == ["cache"]
    assert not any(alive(int(pid)) for pid in running)
    hang.unlink()
    assert [point["psnr"]["y"] for point in toy.run(source)["points"]] == [100, 100]
    assert toy.encoded == ["0", "9", "9"]


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie that nobody has fetched yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# Conditions


def test_a_codecs_memory_is_its_own() -> None:
    """The peak is that of the process, small or large, not of this one, which holds torch."""
    small, large = (
        process.run_timed(python(f"data = b'x' * {n}"), 1, "").peak_bytes for n in (1, 200 << 20)
    )
    assert small < 60 << 20
    assert 199 << 20 < large - small < 210 << 20


def test_memory_of_what_a_codec_starts_counts() -> None:
    """A wrapper's peak is that of the program it runs."""
    inner = shlex.join(python(f"data = b'x' * {100 << 20}"))
    assert process.run_timed(["sh", "-c", f"{inner}; true"], 1, "").peak_bytes > 100 << 20


def test_all_codecs_have_as_many_cpus() -> None:
    """A process may use as many CPUs as there are threads, at most those that are there."""
    count = python("import os; print(len(os.sched_getaffinity(0)))")
    here = len(os.sched_getaffinity(0))
    out = [
        _said(
            process.run_timed(["sh", "-c", f"printf '{{\"n\": %s}}' $({shlex.join(count)})"], n, "")
        )
        for n in (1, here, here + 5)
    ]
    assert out == [1, here, here]


def _said(run: Any) -> int:
    n: int = run.said["n"]
    return n


def test_seconds_are_the_processs() -> None:
    """Seconds run from the start of the process to its end."""
    assert 0.3 <= process.run_timed(["sleep", "0.3"], 1, "").seconds < 2


def test_what_a_codec_says_last_in_json() -> None:
    """A JSON object on the last line is what it says; anything else is nothing."""
    printed = [
        "print('x'); print('{\"bytes\": 3}')",
        "print('{\"bytes\": 3}'); print(5)",
        "print('no')",
        "pass",
    ]
    assert [process.run_timed(python(code), 1, "").said for code in printed] == [
        {"bytes": 3},
        {},
        {},
        {},
    ]


def test_figures_depend_on_no_file_of_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands of a benchmark read no file of defaults, whatever the user has."""
    monkeypatch.setenv("NERVCODEC_CONFIG", "mine.toml")
    code = "import os, json; print(json.dumps({'file': os.environ['NERVCODEC_CONFIG']}))"
    assert process.run_timed(python(code), 1, "").said == {"file": ""}


# Clips


def test_folders_are_hashed_by_names_and_contents(toy: Toy, make_clip: MakeClip) -> None:
    """A folder's hash changes with a frame and with its name; folders inside are none of its
    frames.
    """
    folder = toy.clip(make_clip("rgb", 2), "pictures")
    first = open_clip(folder).sha256
    (folder / "notes").mkdir()
    assert open_clip(folder).sha256 == first
    (folder / "00000002.png").rename(folder / "00000003.png")
    second = open_clip(folder).sha256
    (folder / "00000003.png").write_bytes((folder / "00000001.png").read_bytes())
    assert len({first, second, open_clip(folder).sha256}) == 3


@pytest.mark.parametrize(
    ("name", "codec", "is_lossy"),
    [
        ("clip.mp4", "libx264", True),
        ("clip.mkv", "libx265", True),
        ("clip.mkv", "ffv1", False),
        ("clip.y4m", None, False),
    ],
)
def test_a_lossy_source_has_a_ceiling(
    tmp_path: Path, make_clip: MakeClip, name: str, codec: str | None, is_lossy: bool
) -> None:
    """The rate of a source that has been coded before is stated with a note; a lossless one has
    none.
    """
    frames = make_clip("yuv420", 4, 64, 48)
    with open_writer(tmp_path / name, form_of(frames), codec=codec) as writer:
        writer.write(frames)
    clip = open_clip(tmp_path / name)
    if is_lossy:
        assert clip.ceiling_bpp is not None
        assert 0 < clip.ceiling_bpp * 4 * 64 * 48 / 8 < (tmp_path / name).stat().st_size
        assert "points above it say nothing" in clip.as_json()["note"]
    else:
        assert (clip.ceiling_bpp, clip.as_json()["note"]) == (None, None)


def test_a_clips_name(
    toy: Toy, source: Path, monkeypatch: pytest.MonkeyPatch, make_clip: MakeClip
) -> None:
    """A clip goes by its file's name without suffix, also where it is '.'."""
    folder = toy.clip(make_clip("rgb", 1), "pictures")
    monkeypatch.chdir(folder)
    assert (open_clip(source).name, open_clip(Path(".")).name) == ("clip", "pictures")


# nervcodec itself


@pytest.mark.slow
def test_ours_is_measured_on_what_it_decodes(toy: Toy, make_clip: MakeClip) -> None:
    """Of an RGB clip ours is measured in RGB: the figures are those that its encoder stored in the
    file.
    """
    path = toy.clip(make_clip("rgb", 2, 32, 24), "pictures")
    (point,) = toy.run(path, adapters=built_in("nervcodec", [], 1, ["--epochs", "1"]))["points"]
    stored = load(toy.out / "cache" / point["file"])
    assert point["bytes"] == (toy.out / "cache" / point["file"]).stat().st_size
    assert stored.quality.psnr_rgb == pytest.approx(point["psnr"]["rgb"], abs=1e-4)
    assert point["parameters"] > 0 and point["encode_s"] < point["encode_process_s"]
    assert np.isfinite(point["kmac_per_pixel"])
