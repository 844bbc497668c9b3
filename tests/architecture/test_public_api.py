"""nervcodec: everything that is exported is there, loaded when it is first used, and typed for a
user's checker.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from fresh import run

import nervcodec

ROOT = Path(__file__).parents[2]
# A user's script with every exported name; lines that end with "wrong" have a type error.
SCRIPT = """
from fractions import Fraction
from pathlib import Path

import nervcodec
from nervcodec import errors

targets: list[nervcodec.Target] = [
    nervcodec.Crf(31),
    nervcodec.Size(64_000),
    nervcodec.Bitrate(100e3),
    nervcodec.BitsPerPixel(0.1),
    nervcodec.Psnr(31.5),
    nervcodec.Lambda(0.01),
]
options = nervcodec.EncodeOptions(preset="fast", target=targets[0], frame_rate=Fraction(25))
nervcodec.EncodeOptions(crop=nervcodec.Crop(640, 360, 0, 60), scale=(320, 180))
nervcodec.EncodeOptions(preset=3)  # wrong
nervcodec.EncodeOptions(target=31)  # wrong
nervcodec.EncodeOptions(colorspace="cmyk")  # wrong
options.preset = "slow"  # wrong


def whole(source: Path) -> None:
    plan: nervcodec.EncodePlan = nervcodec.plan(source, "out.nvpp", options)
    lengths: tuple[int, ...] = plan.lengths
    seconds: float = plan.estimate_seconds()
    report: nervcodec.EncodeReport = nervcodec.encode(plan, on_note=print)
    quality: nervcodec.Quality = report.quality
    missed: str = report.missed  # wrong
    info: nervcodec.FileInfo = nervcodec.info("out.nvpp")
    n_bytes: str = info.n_bytes  # wrong
    wanted = nervcodec.DecodeOptions(frames=(0, 50), limits=nervcodec.Limits(side=20_000))
    decoded: nervcodec.DecodeReport = nervcodec.decode("out.nvpp", "out.mp4", wanted)
    nervcodec.decode("out.nvpp", "out.mp4", options)  # wrong
    joined: nervcodec.JoinReport = nervcodec.concat(["a.nvpp", Path("b.nvpp")], "c.nvpp")
    nervcodec.split("c.nvpp", "a.nvpp", (0, 50), overwrite=True)
    nervcodec.split("c.nvpp", "a.nvpp", "0:50")  # wrong
    verification: nervcodec.Verification = nervcodec.verify("out.nvpp")
    first: nervcodec.SegmentVerdict = verification.segments[0]
    comparison: nervcodec.Comparison = nervcodec.compare(source, "out.mp4")
    y_db: float = comparison.quality.y_db
    for each in (plan, report, info, decoded, joined, verification, comparison):
        keys: dict[str, object] = each.as_json()
    nervcodec.plan_encode(source)  # wrong
    print(nervcodec.__version__, lengths, seconds, quality, missed, n_bytes, first, y_db, keys)


try:
    whole(Path("in.y4m"))
except errors.ResourceError as error:
    code: int = error.exit_code
except nervcodec.errors.NervCodecError as error:
    print(error.code)  # wrong
"""


def test_a_users_checker_sees_the_types(tmp_path: Path) -> None:
    """mypy --strict finds every wrong use in a user's script, and nothing else."""
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    found = {int(number) for number in re.findall(r"script\.py:(\d+): error", done.stdout)}
    wrong = {i for i, line in enumerate(SCRIPT.splitlines(), 1) if line.endswith("# wrong")}
    assert found == wrong, done.stdout + done.stderr


def test_the_script_uses_every_exported_name() -> None:
    """No exported name goes without the check."""
    nodes = ast.walk(ast.parse(SCRIPT))
    used = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    assert set(nervcodec.__all__) <= used | {"errors"}


def test_every_exported_name_is_there() -> None:
    """Each is loaded when it is asked for, and listed by dir()."""
    for name in nervcodec.__all__:
        assert getattr(nervcodec, name) is not None
    assert set(nervcodec.__all__) <= set(dir(nervcodec))
    assert sorted(nervcodec.__all__) == nervcodec.__all__


def test_other_names_are_not() -> None:
    """A name that is not exported is an AttributeError that says so."""
    with pytest.raises(AttributeError, match="module 'nervcodec' has no attribute 'plan_encode'"):
        getattr(nervcodec, "plan_encode")  # noqa: B009


def test_options_and_targets_need_no_torch() -> None:
    """What is asked for is checked before anything heavy is loaded."""
    code = (
        "import sys, nervcodec as n; n.EncodeOptions(target=n.Crf(31)); n.DecodeOptions();"
        " print('torch' in sys.modules)"
    )
    assert run(code).strip() == "False"
