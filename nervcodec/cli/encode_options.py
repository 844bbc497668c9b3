"""Options of nervcodec encode, in the sections of its help."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import click

from nervcodec.cli.params import (
    device_options,
    jobs_option,
    json_option,
    option,
    options,
    overwrite_option,
)
from nervcodec.cli.values import (
    Amount,
    ColorParam,
    CropParam,
    Duration,
    FramePart,
    Measure,
    Rational,
    SizeParam,
    Timestamp,
)
from nervcodec.encoder.options import ColorspaceChoice, SegmentChoice, Tune
from nervcodec.encoder.presets import PRESETS
from nervcodec.encoder.sizing import PriorChoice
from nervcodec.encoder.target import Bitrate, BitsPerPixel, Crf, Lambda, Psnr, Size, Target
from nervcodec.nn.arithmetic import Precision
from nervcodec.training.rate_model import DEFAULT_CRF, MAX_CRF

_TARGET = "Target (at most one)"
_TIME = "Time and quality"
_INPUT = "Input"
_OUTPUT = "Output"
_JOBS = "Several segments at once"
_ADVANCED = "Advanced"
TARGETS: dict[str, Callable[[float], Target]] = {
    "crf": Crf,
    "size": Size,
    "bitrate": Bitrate,
    "bpp": BitsPerPixel,
    "target_psnr": Psnr,
    "rate_weight": Lambda,
}

target_options = options(
    option(
        "--crf",
        type=float,
        metavar="X",
        section=_TARGET,
        help=f"rate factor, 0 (best) to {MAX_CRF:g} (smallest)  [default: {DEFAULT_CRF:g}]",
    ),
    option(
        "--size",
        type=Amount(),
        metavar="N",
        section=_TARGET,
        help="bytes of the file (64k, 1.5M), within 2 %",
    ),
    option(
        "--bitrate",
        type=Amount(),
        metavar="N",
        section=_TARGET,
        help="bits a second (100k), within 2 %",
    ),
    option("--bpp", type=float, metavar="X", section=_TARGET, help="bits a pixel, within 2 %"),
    option(
        "--target-psnr",
        type=float,
        metavar="DB",
        section=_TARGET,
        help="RGB PSNR, mean over frames, within 0.2 dB",
    ),
    option(
        "--rate-weight",
        type=float,
        metavar="X",
        section=_TARGET,
        help="lambda, the weight of a bit (crf 30: 0.01)",
    ),
)
time_options = options(
    option(
        "--preset",
        type=click.Choice(list(PRESETS)),
        metavar="NAME",
        default="medium",
        show_default=True,
        section=_TIME,
        help="instant, ultrafast .. veryslow, paper-xs/s/m/l",
    ),
    option(
        "--epochs",
        type=int,
        metavar="N",
        section=_TIME,
        help="passes over the frames",
    ),
    option(
        "--time-budget",
        "time_budget_s",
        type=Duration(),
        metavar="TIME",
        section=_TIME,
        help="as many epochs as fit (90s, 10m, 1h30m)",
    ),
    option(
        "--tune",
        type=click.Choice(get_args(Tune)),
        metavar="NAME",
        section=_TIME,
        help="psnr, or ssim (a quarter slower)",
    ),
    option(
        "--prior",
        type=click.Choice(get_args(PriorChoice)),
        default="auto",
        metavar="NAME",
        section=_TIME,
        help="auto, or none: weights without the prior",
    ),
    option(
        "--dry-run",
        is_flag=True,
        section=_TIME,
        help="print network, memory and time, and stop",
    ),
)
file_options = options(
    option(
        "--frames",
        type=FramePart(),
        metavar="N|A:B",
        default=":",
        section=_INPUT,
        help="only the first N frames, or A to B-1 counted from 0",
    ),
    option(
        "--seek",
        "seek_s",
        type=Timestamp(),
        metavar="TIME",
        section=_INPUT,
        help="begin at this time of INPUT (90, 1:30.5)",
    ),
    option(
        "--duration",
        "duration_s",
        type=Timestamp(),
        metavar="TIME",
        section=_INPUT,
        help="code so many seconds",
    ),
    option(
        "--cfr",
        type=Rational(),
        metavar="RATE",
        section=_INPUT,
        help="make the rate constant: drop and repeat frames",
    ),
    option(
        "--frame-rate",
        type=Rational(),
        metavar="RATE",
        section=_INPUT,
        help="frames a second, in place of INPUT's",
    ),
    option(
        "--video-stream",
        type=int,
        metavar="N",
        section=_INPUT,
        help="which video stream, from 0  [default: INPUT's]",
    ),
    option(
        "--background",
        type=ColorParam(),
        metavar="COLOUR",
        default="black",
        show_default=True,
        section=_INPUT,
        help="what lies under transparent pixels (#rrggbb)",
    ),
    option(
        "--crop",
        type=CropParam(),
        metavar="WxH+X+Y",
        section=_INPUT,
        help="code this part of the frames",
    ),
    option(
        "--scale",
        type=SizeParam(),
        metavar="WxH",
        section=_INPUT,
        help="scale frames to this size, after the crop",
    ),
    option(
        "--autorotate",
        is_flag=True,
        section=_INPUT,
        help="turn frames as players turn them",
    ),
    option(
        "--force-progressive",
        is_flag=True,
        section=_INPUT,
        help="code interlaced frames as they are",
    ),
    option(
        "--no-audio",
        "audio",
        is_flag=True,
        flag_value=False,
        default=True,
        section=_INPUT,
        help="leave out sound and subtitles",
    ),
    option(
        "--strict",
        is_flag=True,
        section=_INPUT,
        help="refuse a damaged or incomplete INPUT",
    ),
    option(
        "--salvage-input",
        is_flag=True,
        section=_INPUT,
        help="code what decodes of a damaged INPUT",
    ),
    option(
        "--colorspace",
        type=click.Choice(get_args(ColorspaceChoice)),
        metavar="NAME",
        default="auto",
        show_default=True,
        section=_INPUT,
        help="code as yuv, rgb or auto (as the input; paper-*: rgb)",
    ),
    overwrite_option(_OUTPUT),
    option(
        "--segment-frames",
        type=int,
        metavar="N",
        section=_OUTPUT,
        help="longest segment  [default: 150]",
    ),
    option(
        "--segments",
        type=click.Choice(get_args(SegmentChoice)),
        metavar="NAME",
        default="auto",
        show_default=True,
        section=_OUTPUT,
        help="auto (begin at scene cuts) or equal",
    ),
    option(
        "--checkpoint-every",
        "checkpoint_every_s",
        type=Measure(0),
        default=60.0,
        show_default=True,
        metavar="SECONDS",
        section=_OUTPUT,
        help="how much work an interruption may cost",
    ),
    option(
        "--restart",
        is_flag=True,
        section=_OUTPUT,
        help="forget an interrupted encode",
    ),
    json_option(_OUTPUT),
    option(
        "--json-lines",
        is_flag=True,
        section=_OUTPUT,
        help="print an object a line of what happens",
    ),
)
jobs_options = options(
    jobs_option(_JOBS, "fitted"),
    option(
        "--independent-segments",
        "independent_segments",
        flag_value=True,
        default=None,
        section=_JOBS,
        help="no segment waits for another  [default: with a prior]",
    ),
    option(
        "--shared-start",
        "independent_segments",
        flag_value=False,
        default=None,
        section=_JOBS,
        help="all start from the first one's weights, and wait for it",
    ),
    option(
        "--ray",
        metavar="auto|ADDRESS",
        section=_JOBS,
        help="fit on a Ray cluster (nervcodec[ray])",
    ),
)
advanced_options = options(
    option(
        "--network-of",
        metavar="FILE.nvpp",
        section=_ADVANCED,
        help="its network, so that concat can join both",
    ),
    option(
        "--bits",
        type=int,
        metavar="N",
        section=_ADVANCED,
        help="2^N - 1 levels at most (paper-*: 8, others: 10 or 12)",
    ),
    option(
        "--prune",
        type=float,
        metavar="R",
        section=_ADVANCED,
        help="share of weights set to zero (paper-*: 0.4)",
    ),
    option(
        "--precision",
        type=click.Choice(get_args(Precision)),
        metavar="NAME",
        default="auto",
        show_default=True,
        section=_ADVANCED,
        help="float32, bfloat16 or auto (bfloat16 in hardware)",
    ),
    option(
        "--seed",
        type=int,
        metavar="N",
        default=0,
        show_default=True,
        section=_ADVANCED,
        help="of every random choice",
    ),
    device_options(_ADVANCED),
    option(
        "--max-memory",
        "max_memory_gib",
        type=Measure(0, min_open=True),
        metavar="GIB",
        section=_ADVANCED,
        help="refuse a fit that takes more  [default: what is left]",
    ),
)
