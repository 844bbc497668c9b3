"""Whatever is wrong with a .y4m file: one line, the right code, and nothing is lost."""

from __future__ import annotations

import pytest
from refusals import CHROMA, refused, y4m
from shell import Shell

from nervcodec.video.probe import probe

DAMAGED = "the YUV4MPEG2 header line is damaged"


BAD_SIZE = "it must be a size of 1 to 999999999 pixels"


BAD_RATE = "it must be a ratio such as F25:1"


NO_RATE = "it states no frame rate; 'encode --frame-rate R' gives it one"


BAD_Y4M: dict[str, tuple[bytes, str]] = {
    "no frames": (y4m(n_frames=0), "it has no frames"),
    "no tags": (b"YUV4MPEG2 \n", f"the header tag W is missing; {BAD_SIZE}"),
    "no newline": (b"YUV4MPEG2 W8 H6 F25:1", DAMAGED),
    "magic without its space": (y4m().replace(b"2 W8", b"2W8", 1), DAMAGED),
    "header of 5000 bytes": (y4m("W8 H6 F25:1 X" + "y" * 5000), DAMAGED),
    "F0:0": (y4m("W8 H6 F0:0"), NO_RATE),
    "F0:1": (y4m("W8 H6 F0:1"), NO_RATE),
    "F1:0": (y4m("W8 H6 F1:0"), NO_RATE),
    "no F": (y4m("W8 H6"), NO_RATE),
    "F-25:1": (y4m("W8 H6 F-25:1"), f"the header tag F is F-25:1; {BAD_RATE}"),
    "F25": (y4m("W8 H6 F25"), f"the header tag F is F25; {BAD_RATE}"),
    "F25:1:1": (y4m("W8 H6 F25:1:1"), f"the header tag F is F25:1:1; {BAD_RATE}"),
    "Fnan:1": (y4m("W8 H6 Fnan:1"), f"the header tag F is Fnan:1; {BAD_RATE}"),
    "F of 11 digits": (
        y4m("W8 H6 F99999999999:1"),
        f"the header tag F is F99999999999:1; {BAD_RATE}",
    ),
    "F of 34 bits": (
        y4m("W8 H6 F9999999999:1"),
        "the frame rate is 9999999999; it must be a positive ratio of 32-bit integers",
    ),
    "one frame in 300 years": (
        y4m("W8 H6 F1:9999999999"),
        "the frame rate is 1/9999999999; it must be a positive ratio of 32-bit integers",
    ),
    "A-1:1": (
        y4m("W8 H6 F25:1 A-1:1"),
        "the header tag A is A-1:1; it must be a ratio such as A25:1",
    ),
    "no W": (y4m("H6 F25:1"), f"the header tag W is missing; {BAD_SIZE}"),
    "no H": (y4m("W8 F25:1"), f"the header tag H is missing; {BAD_SIZE}"),
    "W0": (y4m("W0 H6 F25:1"), f"the header tag W is W0; {BAD_SIZE}"),
    "H0": (y4m("W8 H0 F25:1"), f"the header tag H is H0; {BAD_SIZE}"),
    "W-1": (y4m("W-1 H6 F25:1"), f"the header tag W is W-1; {BAD_SIZE}"),
    "W8.0": (y4m("W8.0 H6 F25:1"), f"the header tag W is W8.0; {BAD_SIZE}"),
    "W of 11 digits": (
        y4m("W99999999999 H6 F25:1"),
        f"the header tag W is W99999999999; {BAD_SIZE}",
    ),
    "exabytes a frame": (
        y4m("W999999999 H999999999 F25:1"),
        "frame 1 is cut short; the file is incomplete",
    ),
    "400 megabytes a frame": (
        y4m("W16384 H16384 F25:1"),
        "frame 1 is cut short; the file is incomplete",
    ),
    "16386 columns": (
        y4m("W16386 H1 F25:1", 1, 2 * 16386),
        "frames are 16386x1; up to 16384 a side are read",
    ),
    "C444p16": (
        y4m("W8 H6 F25:1 C444p16"),
        f"the chroma format C444p16 is not read, the nearest that is: C444p12; {CHROMA}",
    ),
    "C420p9": (
        y4m("W8 H6 F25:1 C420p9"),
        f"the chroma format C420p9 is not read, the nearest that is: C420p12; {CHROMA}",
    ),
    "Cmono16": (
        y4m("W8 H6 F25:1 Cmono16"),
        f"the chroma format Cmono16 is not read, the nearest that is: Cmono12; {CHROMA}",
    ),
    "Cxyz": (
        y4m("W8 H6 F25:1 Cxyz"),
        f"the chroma format Cxyz is not read, the nearest that is: C420; {CHROMA}",
    ),
    "C with an escape sequence": (
        y4m("W8 H6 F25:1 C\x1b[31m"),
        rf"the chroma format C\\x1b\[31m is not read, the nearest that is: C420; {CHROMA}",
    ),
    "It": (
        y4m("W8 H6 F25:1 It"),
        r"interlaced frames \(It, top field first\); --force-progressive codes them as they are",
    ),
    "Im": (
        y4m("W8 H6 F25:1 Im"),
        r"interlaced frames \(Im, mixed\); --force-progressive codes them as they are",
    ),
    "marker FRAM": (y4m(marker=b"FRAM\n"), "frame 1 does not begin with a FRAME line"),
    "marker frame": (y4m(marker=b"frame\n"), "frame 1 does not begin with a FRAME line"),
    "marker FRAMEX": (y4m(marker=b"FRAMEX\n"), "frame 1 does not begin with a FRAME line"),
    "marker with a carriage return": (
        y4m(marker=b"FRAME\r\n"),
        "frame 1 does not begin with a FRAME line",
    ),
    "marker of 5000 bytes": (
        y4m(marker=b"FRAME " + b"x" * 5000 + b"\n"),
        "frame 1 does not begin with a FRAME line",
    ),
    "a byte too many": (y4m() + b"\n", "frame 4 does not begin with a FRAME line"),
    "a marker too many": (y4m() + b"FRAME\n", "frame 4 is cut short; the file is incomplete"),
    "two files in a row": (2 * y4m(), "frame 4 does not begin with a FRAME line"),
    "another size in a row": (
        y4m() + y4m("W4 H4 F25:1", 3, 24),
        "frame 4 does not begin with a FRAME line",
    ),
    "smaller than it says": (y4m("W9 H6 F25:1"), "frame 2 does not begin with a FRAME line"),
}


@pytest.mark.parametrize("name", BAD_Y4M)
def test_bad_y4m(replaceable: Shell, name: str) -> None:
    """A y4m file that is not what its header says is refused with the tag or the frame that is
    wrong.
    """
    data, message = BAD_Y4M[name]
    (replaceable.folder / "in.y4m").write_bytes(data)
    refused(
        replaceable,
        ["encode", "in.y4m", "out.nvpp", "-y", "--epochs", "1"],
        3,
        f"in.y4m: {message}",
    )


def test_y4m_cut_anywhere(replaceable: Shell) -> None:
    """Cut at whichever byte, header, FRAME line or samples, a y4m is refused; at a frame's end
    nobody can tell.
    """
    data = y4m()
    head = data.index(b"\n") + 1
    for n_bytes in range(1, len(data)):
        (replaceable.folder / "in.y4m").write_bytes(data[:n_bytes])
        frame, rest = divmod(n_bytes - head, 78)
        if n_bytes < head:
            message = DAMAGED
        elif n_bytes == head:
            message = "it has no frames"
        elif rest:
            message = f"frame {frame + 1} is cut short; the file is incomplete"
        else:
            assert probe(replaceable.folder / "in.y4m")[0].n_frames == frame
            continue
        refused(
            replaceable,
            ["encode", "in.y4m", "out.nvpp", "-y", "--epochs", "1"],
            3,
            f"in.y4m: {message}",
        )
