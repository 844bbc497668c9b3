"""Run a decoder over the conformance suite and say where it disagrees.

`python tests/support/run_suite.py --decoder 'nervcodec decode {input} {output}'`

The command runs without a shell, once a file. It writes {output}: .y4m, or raw planes, those of all
shown frames in the colorspace of the network, one after the other, of RGB in the order G, B, R,
samples of more than 8 bits as two bytes, little-endian (nvpp-format.md section 6.2). A command
without {output} prints the MD5 of each frame, as `ffmpeg -f framemd5` does, or that of all frames.

.y4m holds no RGB: networks in RGB are then untold. Of .y4m of a gray network luma alone counts. The
standard library is all that this needs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

SUITE = Path(__file__).parents[1] / "conformance" / "suite"
SCHEMA = "nervcodec.conformance-run/1"
Entry = dict[str, Any]
Verdict = Literal["ok", "mismatch", "untold"]
_Y4M = b"YUV4MPEG2"
_KINDS = {"420": (2, 2), "422": (2, 1), "444": (1, 1)}  # luma columns, rows for a sample of chroma
_COLORSPACE_KINDS = {"yuv420": "420", "yuv422": "422", "yuv444": "444"}
_MD5 = re.compile(r"\b[0-9a-f]{32}\b")


class Wrong(Exception):
    """Output that cannot be that of the file, or a decoder that did not do as it should."""


class Untold(Exception):
    """Output that the suite cannot judge."""


@dataclass(frozen=True)
class Settings:
    """How the decoder is run.

    Attributes:
        command: its words, with {input} and perhaps {output}.
        suffix: of the name of its output.
        timeout_s: for each file.
        checks_errors: whether a refusal must have the exit code of its error.
    """

    command: tuple[str, ...]
    suffix: str = ".y4m"
    timeout_s: float = 60.0
    checks_errors: bool = False

    @property
    def has_output(self) -> bool:
        """Whether the command writes a file."""
        return any("{output}" in word for word in self.command)


@dataclass(frozen=True)
class Result:
    """What came of a file: expected and found are an MD5, or 'refused' with an error."""

    file: str
    expected: str
    found: str
    verdict: Verdict
    detail: str = ""


# --- what a decoder gave ---


def frames_of(output: bytes, entry: Entry) -> Iterator[bytes]:
    """The planes of each frame of an output, as section 6.2 hashes them.

    Raises:
        Untold: .y4m of a network in RGB.
        Wrong: another size, depth or number of bytes.
    """
    if output.startswith(_Y4M):
        yield from _y4m_frames(output, entry)
        return
    n_bytes = sum(_plane_bytes(entry))
    if len(output) % n_bytes:
        raise Wrong(f"{len(output)} bytes, which are not frames of {n_bytes}")
    yield from (output[at : at + n_bytes] for at in range(0, len(output), n_bytes))


def _plane_bytes(entry: Entry) -> list[int]:
    """Return the bytes of each plane of a frame in the colorspace of the network."""
    width, height, colorspace = entry["width"], entry["height"], entry["colorspace"]
    size = 1 if entry["bit_depth"] == 8 else 2
    if colorspace == "gray":
        return [width * height * size]
    across, down = _KINDS[_COLORSPACE_KINDS.get(colorspace, "444")]
    return [width * height * size, *[-(-width // across) * -(-height // down) * size] * 2]


def _y4m_frames(output: bytes, entry: Entry) -> Iterator[bytes]:
    """Yield the planes of each frame, of a gray network luma alone."""
    line, _, rest = output.partition(b"\n")
    tags = {word[0]: word[1:] for word in line.decode("latin-1").split()[1:]}
    kind = tags.get("C", "420")
    deeper = re.search(r"(?:p|mono)(10|12)$", kind)
    found = int(tags["W"]), int(tags["H"]), int(deeper[1]) if deeper else 8
    wanted = entry["width"], entry["height"], entry["bit_depth"]
    if found != wanted:
        raise Wrong("{}x{} of {} bits in place of {}x{} of {}".format(*found, *wanted))
    if entry["colorspace"] == "rgb":
        raise Untold(".y4m holds no RGB")
    is_mono = kind.startswith("mono")
    planes = (
        {**entry, "colorspace": "gray"} if is_mono else {**entry, "colorspace": f"yuv{kind[:3]}"}
    )
    wanted_kind = _COLORSPACE_KINDS.get(entry["colorspace"])
    if wanted_kind and not kind.startswith(wanted_kind):
        raise Wrong(f".y4m of C{kind} in place of {wanted_kind}")
    sizes = _plane_bytes(planes)
    kept = sizes[0] if entry["colorspace"] == "gray" else sum(sizes)
    while rest:
        line, _, rest = rest.partition(b"\n")
        if not line.startswith(b"FRAME") or len(rest) < sum(sizes):
            raise Wrong("a frame of .y4m is damaged")
        yield rest[:kept]
        rest = rest[sum(sizes) :]


def printed_md5s(text: str) -> list[str]:
    """The MD5s that a decoder printed, one a line; lines that begin with # are none."""
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return [found[-1] for line in lines if (found := _MD5.findall(line))]


def judged(md5s: Sequence[str], whole: str, entry: Entry) -> tuple[str, str]:
    """The MD5 of all frames that was found, and how it differs: nothing where it does not."""
    if whole == entry["md5"]:
        return whole, ""
    expected = entry["frame_md5"]
    if len(md5s) != len(expected):
        return whole, f"{len(md5s)} frames in place of {len(expected)}"
    wrong = [number for number, pair in enumerate(zip(md5s, expected)) if pair[0] != pair[1]]
    return whole, f"{len(wrong)} frames of {len(md5s)} differ, first frame {wrong[0]}"


def _found(output: bytes | None, printed: str, entry: Entry) -> tuple[str, str]:
    """Return the MD5 of all frames that a decoder gave, and what is wrong with it."""
    if output is None:
        md5s = printed_md5s(printed)
        if len(md5s) == 1 and len(entry["frame_md5"]) > 1:
            return md5s[0], "" if md5s[0] == entry["md5"] else "another MD5"
        if not md5s:
            raise Wrong("no MD5 on standard output")
        # MD5s that are all right stand for the whole.
        right = md5s == entry["frame_md5"] or md5s == [entry["md5"]]
        return judged(md5s, entry["md5"] if right else "frames of other MD5s", entry)
    frames = list(frames_of(output, entry))
    whole = hashlib.md5(b"".join(frames), usedforsecurity=False).hexdigest()
    return judged([hashlib.md5(f, usedforsecurity=False).hexdigest() for f in frames], whole, entry)


# --- running ---


def result_of(entry: Entry, suite: Path, settings: Settings) -> Result:
    """Run the decoder on one file."""
    refusal = f"refused: {entry['error']}" if entry["expect"] == "refuse" else ""
    expected = refusal or entry["md5"]
    with TemporaryDirectory(prefix="nvpp-") as folder:
        output = Path(folder, f"decoded{settings.suffix}")
        names = {"{input}": str(suite / entry["file"]), "{output}": str(output)}
        command = [_replaced(word, names) for word in settings.command]
        try:
            done = subprocess.run(command, capture_output=True, timeout=settings.timeout_s)
        except subprocess.TimeoutExpired:
            wait = f"no end after {settings.timeout_s:g} s"
            return Result(entry["file"], expected, "timeout", "mismatch", wait)
        said = (done.stderr.decode("utf-8", "replace").strip().splitlines() or [""])[-1]
        try:
            if done.returncode:
                return _refused(entry, expected, settings, done.returncode, said, folder)
            if refusal and entry.get("or") != "decode":
                raise Wrong("a bad file is decoded")
            data = output.read_bytes() if settings.has_output else None
            found, detail = _found(data, done.stdout.decode("utf-8", "replace"), entry)
        except Untold as error:
            return Result(entry["file"], expected, "", "untold", str(error))
        except (Wrong, OSError) as error:
            return Result(entry["file"], expected, "decoded", "mismatch", str(error))
    return Result(entry["file"], expected, found, "mismatch" if detail else "ok", detail)


def _replaced(word: str, names: dict[str, str]) -> str:
    for name, path in names.items():
        word = word.replace(name, path)
    return word


def _refused(
    entry: Entry, expected: str, settings: Settings, code: int, said: str, folder: str
) -> Result:
    """Return the result of a decoder that exits with a code that is not 0."""
    found, left = f"exit {code}", sorted(path.name for path in Path(folder).iterdir())
    detail = ""
    if code < 0:
        detail = f"ended by signal {-code}"
    elif entry["expect"] == "decode":
        detail = said or "refused"
    elif settings.has_output and left:
        detail = f"a refused file leaves {', '.join(left)}"
    elif settings.checks_errors and code != entry["exit_code"]:
        detail = f"exit {code} in place of {entry['exit_code']}: {said}"
    return Result(entry["file"], expected, found, "mismatch" if detail else "ok", detail)


def run(
    settings: Settings,
    suite: Path,
    patterns: Sequence[str] = (),
    limits: bool = True,
    jobs: int = 1,
) -> list[Result]:
    """Run the decoder on the files of a suite.

    Args:
        patterns: of the files that are taken, all without one.
        limits: whether files are taken that a reader refuses by its limits (section 6.4).
        jobs: decoders at a time.
    """
    manifest = json.loads((suite / "manifest.json").read_text("utf-8"))
    entries = [
        entry
        for entry in manifest["files"]
        if (limits or not entry.get("limit"))
        and (not patterns or any(fnmatchcase(entry["file"], f"*{each}*") for each in patterns))
    ]
    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(lambda entry: result_of(entry, suite, settings), entries))


# --- the command ---


def table(results: Sequence[Result]) -> str:
    """The results as lines of text, and how many there are of each verdict."""
    rows = [("file", "expected", "found", "", "")]
    rows += [(r.file, r.expected, r.found, r.verdict, r.detail) for r in results]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    lines = [
        "  ".join((*(cell.ljust(width) for cell, width in zip(row, widths)), row[4])).rstrip()
        for row in rows
    ]
    n = {verdict: counted(results, verdict) for verdict in ("ok", "mismatch", "untold")}
    return "\n".join([*lines, f"{len(results)} files: " + ", ".join(f"{n[v]} {v}" for v in n)])


def counted(results: Sequence[Result], verdict: str) -> int:
    """How many results have a verdict."""
    return sum(result.verdict == verdict for result in results)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code is 1 if there is a mismatch."""
    about, _, more = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=about, epilog=more, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--decoder", required=True, metavar="COMMAND", help="what is run")
    parser.add_argument("--suffix", default=".y4m", help="of the name of {output} (.y4m)")
    parser.add_argument("--only", nargs="+", default=(), metavar="PATTERN", help="of these files")
    parser.add_argument("--errors", action="store_true", help="check exit codes of refusals too")
    parser.add_argument("--no-limits", action="store_true", help="leave out what limits refuse")
    parser.add_argument("--timeout", type=float, default=60.0, metavar="S", help="a file (60)")
    parser.add_argument("--jobs", type=int, default=1, help="decoders at a time (1)")
    parser.add_argument("--suite", type=Path, default=SUITE, help="folder with manifest.json")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the results there")
    options = parser.parse_args(arguments)
    command = tuple(shlex.split(options.decoder))
    if not any("{input}" in word for word in command):
        parser.error(f"--decoder is {options.decoder!r}; legal: a command with {{input}}")
    settings = Settings(command, options.suffix, options.timeout, options.errors)
    results = run(settings, options.suite, options.only, not options.no_limits, options.jobs)
    print(table(results))
    if options.json:
        content = {
            "schema": SCHEMA,
            "decoder": options.decoder,
            **{f"n_{v}": counted(results, v) for v in ("ok", "mismatch", "untold")},
            "files": [asdict(result) for result in results],
        }
        options.json.write_text(json.dumps(content, indent=1), "utf-8")
    return int(counted(results, "mismatch") > 0)


if __name__ == "__main__":
    sys.exit(main())
