"""What may be asked of an encode: one frozen request for the command line and for Python."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, get_args

from nervcodec.encoder.presets import preset_named
from nervcodec.encoder.sizing import PriorChoice
from nervcodec.encoder.target import Target
from nervcodec.errors import ConfigError
from nervcodec.jobs.concurrency import JobsChoice, check_jobs
from nervcodec.nn.arithmetic import Precision
from nervcodec.training.config import MAX_EPOCHS
from nervcodec.util.validation import (
    check_choice,
    check_device_name,
    check_least,
    check_range,
    check_threads,
)
from nervcodec.video.geometry import Crop, Size
from nervcodec.video.rates import LEGAL_RATES, is_rate
from nervcodec.video.selection import Part
from nervcodec.video.source import BLACK, Color, SourceOptions

ColorspaceChoice = Literal["auto", "rgb", "yuv"]
SegmentChoice = Literal["auto", "equal"]
Tune = Literal["psnr", "ssim"]
_MOST_SECONDS = 1e9


@dataclass(frozen=True)
class EncodeOptions:
    """Every option of `nervcodec encode`, checked when it is made.

    Attributes:
        preset: name of the recipe (network, epochs, optimizer).
        target: rate or quality; None takes the preset's lambda, that of crf 30.
        tune: what the loss measures, 'psnr' or 'ssim'; None takes the preset's.
        epochs: passes over the frames; None takes the preset's.
        time_budget_s: seconds in which as many epochs are made as fit; not together with epochs.
        prune: share of the weights that become 0, 0 to 0.99; None takes the preset's.
        prior: 'auto' codes weights as differences to those that come with the codec, where they are
            for such a preset and such planes; 'none' never does.
        network_of: a .nvpp file whose network is taken, so that concat can join both; None makes
            one for the video.
        bits: symbols lie within +-(2^(bits-1) - 1); None takes the preset's.
        frames: (A, B), the frames A to B - 1 of the source counted from 0; B None goes to the end.
        seek_s: seconds of the source's time at which the encode begins, in place of frames.
        duration_s: seconds of the source that are coded, in place of frames.
        cfr: frames a second of a constant rate that the source is brought to, by dropping and
            repeating frames; None keeps each frame and its time.
        frame_rate: frames a second in place of what the source and its frame times say; None takes
            those, or 25 for pictures.
        video_stream: number of the video stream of a container, from 0; None takes its default.
        background: R, G and B, 0 to 255, that lie under transparent pixels.
        force_progressive: code interlaced frames as they are, else they are refused.
        autorotate: turn frames as the source says that players do, else they are coded as they lie.
        strict: refuse a source that is damaged or shorter than it promises.
        audio: keep sound and text subtitles.
        salvage_input: leave out frames that cannot be decoded, and take a source that is cut short.
        crop: the part of the frames that is coded; None takes all of it.
        scale: width and height that frames are scaled to; None leaves them.
        colorspace: planes that the network gives; 'auto' takes the input's, without chroma where
            all of it is gray's, and 'rgb' for the paper's presets; 'yuv' takes 4:2:0 for RGB input.
        independent_segments: fit no segment from the weights of the first one, for which all others
            wait; None lets them wait where that pays, in networks without a prior (docs/lab L111).
        jobs: segments that are fitted at once, each by a process of its own if they are several;
            'auto' takes as many as cores, GPUs and memory suffice for.
        ray: fit on a Ray cluster: its address, or 'auto' for the one that this machine belongs to
            or, where there is none, one of this machine alone; None does not.
        segment_frames: the most frames of an independently decodable segment; None takes 150.
        segments: where those of a longer video begin: 'auto' takes scene cuts for as many as it
            can, of no fewer than a third of these frames; 'equal' makes them equally long.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'; 'auto' takes a CUDA device where there is one.
        precision: arithmetic of the fit; 'auto' takes 'bfloat16' where the hardware has it.
        n_threads: CPU threads of each job, part of what makes an encode repeatable; None shares the
            cores among the jobs, or leaves torch's number to a single one.
        seed: of every random choice.
        max_memory_bytes: a fit that would take more is refused; None takes what is left.
        checkpoint_every_s: seconds of work that an interruption may cost.
        restart: whether to forget what an interrupted encode to this output has reached.
        overwrite: whether to replace an existing output.
    Raises:
        ConfigError: a value that cannot be, with what would be legal.
    """

    preset: str = "medium"
    target: Target | None = None
    tune: Tune | None = None
    epochs: int | None = None
    time_budget_s: float | None = None
    prune: float | None = None
    prior: PriorChoice = "auto"
    network_of: str | None = None
    bits: int | None = None
    frames: tuple[int, int | None] = (0, None)
    seek_s: Fraction | None = None
    duration_s: Fraction | None = None
    cfr: Fraction | None = None
    frame_rate: Fraction | None = None
    video_stream: int | None = None
    background: Color = BLACK
    force_progressive: bool = False
    autorotate: bool = False
    strict: bool = False
    salvage_input: bool = False
    crop: Crop | None = None
    scale: Size | None = None
    audio: bool = True
    colorspace: ColorspaceChoice = "auto"
    segment_frames: int | None = None
    independent_segments: bool | None = None
    jobs: JobsChoice = "auto"
    ray: str | None = None
    segments: SegmentChoice = "auto"
    device: str = "auto"
    precision: Precision = "auto"
    n_threads: int | None = None
    seed: int = 0
    max_memory_bytes: float | None = None
    checkpoint_every_s: float = 60.0
    restart: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        preset_named(self.preset)
        self._check_fit()
        self._check_video()
        check_device_name(self.device)
        check_threads(self.n_threads)
        check_jobs(self.jobs)
        check_choice("precision", self.precision, get_args(Precision))
        check_range("checkpoint every", self.checkpoint_every_s, 0, _MOST_SECONDS)
        if self.max_memory_bytes is not None and not self.max_memory_bytes > 0:
            raise ConfigError(f"memory is {self.max_memory_bytes} bytes; legal: above 0")

    def _check_fit(self) -> None:
        if self.epochs is not None and self.time_budget_s is not None:
            raise ConfigError("epochs and a time budget are given; legal: one of them")
        if self.epochs is not None:
            check_range("epochs", self.epochs, 1, MAX_EPOCHS)
        if self.time_budget_s is not None:
            check_range("time budget", self.time_budget_s, 0, _MOST_SECONDS)
        if self.tune is not None:
            check_choice("tune", self.tune, get_args(Tune))
        check_choice("prior", self.prior, get_args(PriorChoice))
        if self.prune is not None:
            check_range("prune ratio", self.prune, 0, 0.99)
        if self.bits is not None:
            check_range("bits", self.bits, 2, 12)
        check_range("seed", self.seed, 0, 2**63 - 1)

    def _check_video(self) -> None:
        check_choice("colorspace", self.colorspace, get_args(ColorspaceChoice))
        check_least("segment frames", self.segment_frames, 1)
        check_choice("segments", self.segments, get_args(SegmentChoice))
        if self.cfr is not None and not is_rate(self.cfr):
            raise ConfigError(f"cfr is {self.cfr}; legal: {LEGAL_RATES}")
        self.source_options()
        self.part()

    def part(self) -> Part:
        """Return which part of the source is coded.

        Raises:
            ConfigError: an empty one, or frames together with a time.
        """
        return Part(self.frames, self.seek_s, self.duration_s)

    def source_options(self) -> SourceOptions:
        """Return how the source is read.

        Raises:
            ConfigError: options that do not go together, or values that cannot be.
        """
        return SourceOptions(
            frame_rate=self.frame_rate,
            video_stream=self.video_stream,
            background=self.background,
            force_progressive=self.force_progressive,
            autorotate=self.autorotate,
            strict=self.strict,
            salvage=self.salvage_input,
            crop=self.crop,
            scale=self.scale,
        )
