"""Options that cannot be: one line with the value and what would be legal, and nothing is lost."""

from __future__ import annotations

import re

import pytest
from refusals import LONG, OLD, refused
from shell import Shell, write_clip

LEGAL_SIZE = "legal: [1-9][0-9,.]* to [1-9][0-9,.]* for this video and preset"


BAD_OPTIONS: list[tuple[str, str]] = [
    ("--epochs 0", "epochs is 0; legal: 1 to 1000000"),
    ("--epochs -1", "epochs is -1; legal: 1 to 1000000"),
    ("--epochs 1000000000000", "epochs is 1000000000000; legal: 1 to 1000000"),
    ("--epochs nan", "Invalid value for '--epochs': 'nan' is not a valid integer."),
    ("--epochs 1e3", "Invalid value for '--epochs': '1e3' is not a valid integer."),
    ("--epochs", "Option '--epochs' requires an argument."),
    *(
        (f"--crf {value}", rf"crf is {value}; legal: 0 \(best\) to 63 \(smallest\)")
        for value in ("-1", "64", "nan", "inf", "-inf")
    ),
    ("--crf best", "Invalid value for '--crf': 'best' is not a valid float."),
    *(
        (f"--{name} {value}", f"{name} is {value}; legal: above 0")
        for name in ("size", "bitrate", "bpp")
        for value in ("0", "-5", "nan", "inf")
    ),
    ("--size 10", f"size is 10 bytes; {LEGAL_SIZE}"),
    ("--size 1e15", f"size is 1,000,000,000,000,000 bytes; {LEGAL_SIZE}"),
    ("--bitrate 1e12", f"bitrate is 1,000,000,000,000 bits/s; {LEGAL_SIZE}"),
    ("--bpp 1e-9", f"bpp is 1e-09; {LEGAL_SIZE}"),
    (
        "--size 1Q",
        "Invalid value for '--size': '1Q' is not an amount; legal: a number, with k, M or G for .*",
    ),
    (
        "--size k",
        "Invalid value for '--size': 'k' is not an amount; legal: a number, with k, M or G for .*",
    ),
    *(
        (f"--target-psnr {value}", f"target PSNR is {value}; legal: above 0, up to 100")
        for value in ("0", "-1", "nan", "inf", "101", "100000")
    ),
    *(
        (f"--{name} {value}", f"{name} is {shown}.*; {LEGAL_SIZE}")
        for name in ("size", "bitrate", "bpp")
        for value, shown in (("1e-200", "1e-200"), ("5e-324", "4.94066e-324"))
    ),
    *(
        (f"--rate-weight {value}", f"rate weight is {value}; legal: 0 to 1000")
        for value in ("-1.0", "nan", "inf")
    ),
    ("--crf 30 --size 1k", "crf and size are given; legal: one of them"),
    (
        "--bpp 1 --target-psnr 30 --rate-weight 1",
        "bpp and target psnr and rate weight are given; legal: one of them",
    ),
    (
        "--preset paper-xs --crf 30",
        "preset is 'paper-xs', which has no rate to steer; legal with a target: .*",
    ),
    *(
        (f"--seed {value}", f"seed is {value}; legal: 0 to 9223372036854775807")
        for value in ("-1", str(2**63))
    ),
    *(
        (f"--threads {value}", f"threads is {value}; legal: 1 to 1024")
        for value in ("0", "-1", "1025")
    ),
    *((f"--bits {value}", f"bits is {value}; legal: 2 to 12") for value in ("1", "13", "-8")),
    *(
        (f"--prune {value}", f"prune ratio is {value}; legal: 0 to 0.99")
        for value in ("1.0", "-0.1", "nan")
    ),
    *(
        (f"--segment-frames {value}", f"segment frames is {value}; legal: 1 or more")
        for value in ("0", "-1")
    ),
    ("--frames 0", "frames are 0:0; legal: A:B with 0 <= A < B"),
    ("--frames 2:2", "frames are 2:2; legal: A:B with 0 <= A < B"),
    ("--frames -1", "Invalid value for '--frames': ':-1' is not a range; legal: A:B, .*"),
    ("--frames 1:2 --seek 0", "frames and a time are given; legal: one of them"),
    ("--seek 9", "seek is 9 s; legal: up to 0.067 s, where the last frame of the input begins"),
    ("--duration 0", "duration is 0 s; legal: above 0"),
    *(
        (f"{name} {value}", f"Invalid value for '{name}': '{value}' is not a time; legal: .*")
        for name in ("--seek", "--duration")
        for value in ("-1", "1:2:3:4", "1e3", "nan", "1.", "9" * 10)
    ),
    ("--cfr 2147483648", "cfr is 2147483648; legal: a positive ratio of 32-bit integers"),
    ("--cfr 2000000000", "cfr is 2000000000, which makes [0-9]* frames; legal: 16777216 in all"),
    ("--cfr 0", "Invalid value for '--cfr': '0' is not a rate; legal: .*"),
    *(
        (
            f"--frames {value}",
            f"frames are 0:{value}; legal: A:B with 0 <= A < B <= 3, the frames of the input",
        )
        for value in ("4", "1000000000000000")
    ),
    *(
        (
            f"--frame-rate {value}",
            f"frame rate is {value}; legal: a positive ratio of 32-bit integers",
        )
        for value in ("2147483648", "1/2147483648", "314159265358979/100000000000000")
    ),
    *(
        (
            f"--frame-rate {value}",
            f"Invalid value for '--frame-rate': '{value}' is not a rate; legal: .*",
        )
        for value in ("0", "-25", "1/0", "nan", "inf", "fast", "1e5000", "1e999999999")
    ),
    (
        "--time-budget 0s",
        "time budget is 0 s; legal: at least [1-9][0-9]* s, for an epoch of each stage here",
    ),
    *(
        (
            f"--time-budget {value}",
            f"Invalid value for '--time-budget': '{value}' is not a time; legal: seconds, or .*",
        )
        for value in ("soon", "-1s", "nan", "1d", "1e3")
    ),
    (
        "--time-budget=",
        "Invalid value for '--time-budget': '' is not a time; legal: seconds, or such as 90s, .*",
    ),
    (
        f"--time-budget {'9' * 400}s",
        f"Invalid value for '--time-budget': '{'9' * 400}s' is not a time; legal: up to .*",
    ),
    ("--time-budget 9s --epochs 2", "epochs and a time budget are given; legal: one of them"),
    *(
        (
            f"--checkpoint-every {value}",
            f"Invalid value for '--checkpoint-every': '?{value}'? is not .*",
        )
        for value in ("-1.0", "nan", "inf")
    ),
    (
        "--preset best",
        "Invalid value for '--preset': 'best' is not one of 'instant', 'ultrafast', .*",
    ),
    ("--tune grain", "Invalid value for '--tune': 'grain' is not one of 'psnr', 'ssim'."),
    (
        "--colorspace cmyk",
        "Invalid value for '--colorspace': 'cmyk' is not one of 'auto', 'rgb', 'yuv'.",
    ),
    (
        "--precision float16",
        "Invalid value for '--precision': 'float16' is not one of 'auto', 'float32', 'bfloat16'.",
    ),
    ("--device tpu", "device is 'tpu'; legal: auto, cpu, cuda, cuda:N"),
    ("--device cuda:-1", "device is 'cuda:-1'; legal: auto, cpu, cuda, cuda:N"),
    ("--batch 2", "No such option.*--batch.*"),
    ("another.y4m", r"Got unexpected extra argument \(another.y4m\)"),
]


@pytest.mark.parametrize(
    ("options", "message"), BAD_OPTIONS, ids=[options for options, _ in BAD_OPTIONS]
)
def test_bad_options_of_encode(tiny_clip: Shell, options: str, message: str) -> None:
    """A value that cannot be is refused with what it is and what would be legal."""
    refused(tiny_clip, ["encode", "in.y4m", "out.nvpp", *options.split()], 2, message)


LOSSLESS = "a codec, a quality or a pixel format goes with .mp4, .mov, .mkv, .webm"


BAD_DECODES: list[tuple[list[str], int, str]] = [
    *(
        (
            ["decode", "in.nvpp", "a.y4m", "--frames", asked],
            2,
            rf"frames are {asked}; legal: A:B with 0 <= A < B{most}",
        )
        for asked, most in (("5:3", ""), ("1:1", ""), ("0:99", " <= 3"), ("0:0", ""))
    ),
    *(
        (
            ["decode", "in.nvpp", "a.y4m", "--frames", asked],
            2,
            (
                f"Invalid value for '--frames': '{asked}' is not a range; legal: A:B, the frames A"
                " to B-1 counted from 0"
            ),
        )
        for asked in ("a:b", "1", "-1:2", "1:2:3", "1.5:2", "", f"{'9' * 5000}:")
    ),
    *(
        (
            ["decode", "in.nvpp", "a.mp4", "--quality", asked],
            2,
            rf"quality is {asked}; legal for libx264: 0 \(best\) to 51",
        )
        for asked in ("99", "-1")
    ),
    (
        ["decode", "in.nvpp", "a.webm", "--quality", "64"],
        2,
        r"quality is 64; legal for libvpx-vp9: 0 \(best\) to 63",
    ),
    (
        ["decode", "in.nvpp", "a.mp4", "--quality", "nan"],
        2,
        "Invalid value for '--quality': 'nan' is not a valid .*",
    ),
    (
        ["decode", "in.nvpp", "a.mkv", "--codec", "ffv1", "--quality", "3"],
        2,
        "the encoder 'ffv1' has no quality scale; leave the quality out",
    ),
    (
        ["decode", "in.nvpp", "a.y4m", "--quality", "3"],
        2,
        f"a.y4m is written without loss; {LOSSLESS}",
    ),
    (
        ["decode", "in.nvpp", "a.y4m", "--codec", "libx264"],
        2,
        f"a.y4m is written without loss; {LOSSLESS}",
    ),
    (
        ["decode", "in.nvpp", "a.mkv", "--codec", "h999"],
        2,
        "there is no encoder 'h999'; legal: libx264, libx265, .*",
    ),
    (
        ["decode", "in.nvpp", "a.mkv", "--codec", "flac"],
        2,
        "the encoder 'flac' codes none of our pixel formats; legal: libx264, libx265, .*",
    ),
    (
        ["decode", "in.nvpp", "a.webm", "--codec", "libx264"],
        2,
        "libx264 cannot code 8x6 into a.webm: .*",
    ),
    (
        ["decode", "in.nvpp", "a.avi"],
        2,
        r"no video format goes by '\.avi'; legal: \.y4m, \.mp4, \.mov, .*",
    ),
    (
        ["decode", "in.nvpp", "in.nvpp", "-y"],
        2,
        r"no video format goes by '\.nvpp'; legal: \.y4m, \.mp4, .*",
    ),
    (["decode", "in.nvpp", ""], 6, "the output has no name; name a file"),
    (
        ["decode", "in.nvpp", "nowhere/a.y4m"],
        6,
        "cannot write nowhere/a.y4m: there is no folder nowhere; create it first",
    ),
    (["decode", "in.nvpp", "old.y4m"], 7, "old.y4m exists already; -y overwrites it"),
    (
        ["decode", "in.nvpp", "full"],
        7,
        r"full holds other files \(mine\); name a new or an empty folder",
    ),
    (
        ["decode", "in.nvpp", "full", "-y"],
        7,
        r"full holds other files \(mine\); name a new or an empty folder",
    ),
    (
        ["decode", "in.nvpp", "/dev/null"],
        7,
        "/dev/null exists already and is not a folder; name a new or an empty .*",
    ),
    (["decode", "in.nvpp", "a.y4m", "--threads", "0"], 2, "threads is 0; legal: 1 to 1024"),
    (
        ["decode", "in.nvpp", "a.y4m", "--device", "tpu"],
        2,
        "device is 'tpu'; legal: auto, cpu, cuda, cuda:N",
    ),
    (
        ["decode", "in.nvpp", "a.y4m", "--max-memory", "0"],
        2,
        "Invalid value for '--max-memory': 0.0 is not in .*",
    ),
    *(
        (
            ["decode", "in.nvpp", "a.y4m", "--max-memory", asked],
            2,
            f"Invalid value for '--max-memory': '?{re.escape(asked)}'? is not .*",
        )
        for asked in ("nan", "inf", "1e+300")
    ),
    (["decode", "in.nvpp", LONG], 6, f"cannot write {LONG}: File name too long"),
    (
        ["decode", "in.nvpp", "a.y4m", "--max-memory", "0.1"],
        5,
        (
            "decoding takes about [1-9][0-9]* MiB of memory, more than the limit of 102 MiB;"
            " --max-memory raises it"
        ),
    ),
    *(
        ([command, "old.y4m", *output], 4, ".*not a .nvpp file.*")
        for command, output in (("decode", ["a.y4m"]), ("info", []))
    ),
    *(
        ([command, "none.nvpp", *output], 3, "none.nvpp: No such file or directory")
        for command, output in (("decode", ["a.y4m"]), ("info", []))
    ),
    *(
        ([command, "full", *output], 3, "full: Is a directory")
        for command, output in (("decode", ["a.y4m"]), ("info", []))
    ),
    *(
        ([command, "empty.nvpp", *output], 4, ".*not a .nvpp file.*")
        for command, output in (("decode", ["a.y4m"]), ("info", []))
    ),
    (
        ["encode", "in.nvpp", "a.nvpp"],
        3,
        "cannot read in.nvpp: it is a .nvpp file; 'decode' makes a video of it",
    ),
    (
        ["compare", "old.y4m", "in.nvpp"],
        3,
        "cannot read in.nvpp: it is a .nvpp file; 'decode' makes a video of it",
    ),
    (["decode", "in.nvpp"], 2, "Missing argument 'OUTPUT'."),
]


@pytest.mark.parametrize(
    ("arguments", "code", "message"), BAD_DECODES, ids=[" ".join(case[0]) for case in BAD_DECODES]
)
def test_bad_decodes(
    shell: Shell, coded_bytes: bytes, arguments: list[str], code: int, message: str
) -> None:
    """What decode and info cannot do is one line, and neither the output nor anything in its folder
    changes.
    """
    (shell.folder / "in.nvpp").write_bytes(coded_bytes)
    (shell.folder / "empty.nvpp").touch()
    (shell.folder / "full").mkdir()
    (shell.folder / "full" / "mine").write_bytes(OLD)
    write_clip(shell.folder / "old.y4m", 8, 6, 3)
    refused(shell, arguments, code, message)
