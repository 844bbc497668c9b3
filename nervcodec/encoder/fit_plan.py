"""What is fitted to which frames: network, fit and segments, from a video and what is asked for.

A target for the whole file becomes bits a pixel of every segment's streams, so that segments can be
fitted independently. Nothing here needs torch.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import NamedTuple

from nervcodec.encoder.coded_frames import CodedFrames, coded_frames
from nervcodec.encoder.fit_settings import fit_config, tuned
from nervcodec.encoder.options import EncodeOptions
from nervcodec.encoder.presets import PRESETS, preset_named
from nervcodec.encoder.segmentation import segment_lengths, segment_shots
from nervcodec.encoder.sizing import ContentStatistics, Preset, is_high_motion
from nervcodec.encoder.survey import Survey, survey_source
from nervcodec.encoder.target import Lambda, Size, SizeTarget, Target
from nervcodec.errors import ConfigError
from nervcodec.format import costs, tensors
from nervcodec.format.container import load, write_file
from nervcodec.format.extras import NO_EXTRAS, Extras
from nervcodec.format.file import Header, Segment
from nervcodec.format.limits import Limits
from nervcodec.format.model_config import MlpStem, ModelConfig, Shots
from nervcodec.format.times import seconds_of
from nervcodec.format.video_format import Layout, VideoFormat
from nervcodec.training.config import FitConfig
from nervcodec.training.rate_model import expected_bpp, still_share, usual_bpp
from nervcodec.video.color import to_layout
from nervcodec.video.extras import read_extras
from nervcodec.video.first_pass import OnSurvey
from nervcodec.video.frames import Frames
from nervcodec.video.reader import read_groups
from nervcodec.video.selection import Part, Selection
from nervcodec.video.source import SourceOptions

_MAX_PARAMETER_BITS = 8.0  # beyond them a larger size buys nothing
_MOST_BPP = 48.0  # twice what raw video has
_PRIOR_MUON_RATE, _PRIOR_LEARNING_RATE = 0.02, 0.025  # docs/lab L103


@dataclass(frozen=True)
class FitPlan:
    """What is fitted to which frames.

    Attributes:
        source: the video.
        format: of the frames that are shown.
        model: the network of every segment.
        fit: how it is fitted.
        segments: the shots of each segment, in coded frames: of runs of equal frames, one is coded.
        notes: what a user should know about the input, a line each.
        source_options: how the source is read.
        numbers: of the coded frames in the source; None for all from the first on.
        extras: what the file holds besides its picture.
        span_s: seconds of the source's time at which the first frame begins and the last one ends.
        survey: what was learnt of the source by reading it.
    """

    source: Path
    format: VideoFormat
    model: ModelConfig
    fit: FitConfig
    segments: tuple[Shots, ...]
    notes: tuple[str, ...] = ()
    source_options: SourceOptions = SourceOptions()
    numbers: Sequence[int] | None = None
    extras: Extras = NO_EXTRAS
    span_s: tuple[Fraction, Fraction] = (Fraction(0), Fraction(0))
    survey: Survey | None = field(default=None, compare=False, repr=False)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Coded frames of each segment."""
        return tuple(map(sum, self.segments))

    @property
    def n_coded_frames(self) -> int:
        """Frames of all segments."""
        return sum(self.lengths)

    @property
    def n_coded_pixels(self) -> int:
        """Luma pixels of all coded frames, which the rate of a fit is counted by."""
        return self.n_coded_frames * self.format.width * self.format.height

    @property
    def has_variable_rate(self) -> bool:
        """Whether frames have times of their own; the frame rate is then the average."""
        return self.extras.times is not None and self.extras.times.is_variable

    @property
    def n_parameters(self) -> int:
        """Parameters of all segments' networks together."""
        return sum(tensors.n_parameters(self.model, shots) for shots in self.segments)

    @property
    def kmac_per_pixel(self) -> float:
        """Thousand multiply-adds a luma pixel of decoding."""
        return costs.kmac_per_pixel(self.model)

    @property
    def target_bytes(self) -> int | None:
        """Bytes of the file that the fit is steered to, if it is."""
        if not self.fit.target_bpp:
            return None
        return round(self.fit.target_bpp * self.n_coded_pixels / 8) + container_bytes(self)


def plan_fit(
    source: str | os.PathLike[str],
    options: EncodeOptions = EncodeOptions(),
    *,
    on_progress: OnSurvey | None = None,
    kept: Survey | None = None,
) -> FitPlan:
    """Look at the source and decide network, fit and segments.

    Args:
        on_progress: called with (frames surveyed, frames expected or None).
        kept: an earlier survey, which is taken if it is one of this source and these options.
    Raises:
        ConfigError: an option that does not go with this video.
        VideoError: the source cannot be read, or is none that this version supports.
    """
    preset = preset_named(options.preset)
    wishes = options.source_options()
    _check_steerable(preset, options)
    survey, selection = survey_source(source, options, kept=kept, on_progress=on_progress)
    probed = survey.probed
    begin = selection.span_s[0] - seconds_of(probed.format, probed.times, 0)
    end = begin + selection.span_s[1] - selection.span_s[0]
    is_whole = options.part() == Part()
    extras, extra_notes = read_extras(
        Path(source), wishes, audio=options.audio, first=begin, stop=None if is_whole else end
    )
    video = _Video(
        Path(source),
        selection.format,
        coded_frames(selection, survey.content),
        selection,
        (*probed.notes, *selection.notes, *extra_notes),
        wishes,
        extras,
        survey,
    )
    plan = _plan_for(video, preset, options)
    if not isinstance(options.target, SizeTarget):
        return plan

    def sized(n_bytes: float) -> tuple[FitPlan, float, float]:
        """Return the plan for so many bytes, with the least and the most that it can have."""
        other = _plan_for(video, preset, replace(options, target=Size(n_bytes)))
        return (other, *_size_range(other))

    return _towards(plan, options.target, sized)


class _Video(NamedTuple):
    """A source after it was read through: what probe(), select() and changes() say."""

    source: Path
    shown: VideoFormat
    frames: CodedFrames
    selection: Selection
    notes: tuple[str, ...]
    wishes: SourceOptions
    extras: Extras
    survey: Survey


def _plan_for(video: _Video, preset: Preset, options: EncodeOptions) -> FitPlan:
    """Return network, fit and segments for a video and a target, which is not steered to yet."""
    shown, frames = video.shown, video.frames
    share = Fraction(len(frames.numbers), shown.n_frames)
    # The same seconds and bytes, of the coded frames.
    form = replace(shown, n_frames=len(frames.numbers), frame_rate=shown.frame_rate * share)
    target = options.target.for_coded(float(share)) if options.target else None
    cuts = frames.cuts if options.segments == "auto" else ()
    lengths = segment_lengths(form.n_frames, options.segment_frames, cuts)
    n_pixels = max(lengths) * form.width * form.height
    temporal_information = frames.temporal_information
    fit = fit_config(
        preset, replace(options, target=target), form, max(lengths), temporal_information
    )
    rate = _expected_bpp(target, fit, form, n_pixels, temporal_information)
    if options.tune is not None:
        fit = tuned(fit, options.tune)
    content = ContentStatistics(rate / usual_bpp(n_pixels), temporal_information)
    segments = segment_shots(lengths, frames.cuts)
    colorspace = _colorspace(preset, options, form, frames.is_gray)
    # What pruning leaves would be the prior's, and one colour is what a prior does not know best.
    prior = "none" if fit.prune or frames.is_flat else options.prior
    if options.network_of is None:
        model = preset.model(form, colorspace, max(segments, key=sum), content, prior)
    else:
        model = _network_of(options.network_of, form, colorspace)
    if model.prior:
        fit = replace(fit, muon_rate=_PRIOR_MUON_RATE, learning_rate=_PRIOR_LEARNING_RATE)
    if isinstance(model.stem, MlpStem):
        segments = segment_shots(lengths, ())
    if options.bits is not None:
        model = replace(model, bits=options.bits)
    plan = FitPlan(
        video.source,
        shown,
        model,
        fit,
        tuple(segments),
        (*video.notes, *_limit_notes(shown, model, segments)),
        video.wishes,
        frames.numbers,
        replace(video.extras, repeats=frames.repeats, times=video.selection.times),
        video.selection.span_s,
        video.survey,
    )
    # What the format cannot hold is better known before the fit than after it.
    container_bytes(plan)
    return plan


def _network_of(path: str, form: VideoFormat, colorspace: Layout) -> ModelConfig:
    """Return the network of a .nvpp file.

    Raises:
        ConfigError: it is one of other frames.
        VideoError, BitstreamError: there is no such file, or it is damaged.
    """
    model = load(path).header.model
    theirs = model.width, model.height, model.bit_depth, model.colorspace
    ours = form.width, form.height, form.bit_depth, colorspace
    for name, value, legal in zip(("width", "height", "bit depth", "planes"), theirs, ours):
        if value != legal:
            raise ConfigError(f"{name} of the network of {path} is {value}; legal: {legal}")
    return model


def _colorspace(preset: Preset, options: EncodeOptions, form: VideoFormat, is_gray: bool) -> Layout:
    """Return the layout of the head's planes; a gray video has no chroma to pay for."""
    if options.colorspace == "rgb":
        return "rgb"
    if options.colorspace == "yuv":
        return "yuv420" if form.layout == "rgb" else form.layout
    return preset.colorspace or ("gray" if is_gray else form.layout)


def _check_steerable(preset: Preset, options: EncodeOptions) -> None:
    """Refuse a target of a preset that has no rate term."""
    has_target = options.target is not None and not isinstance(options.target, Lambda)
    if has_target and not preset.fit.rate_weight:
        rated = ", ".join(name for name, each in PRESETS.items() if each.fit.rate_weight)
        raise ConfigError(
            f"preset is {options.preset!r}, which has no rate to steer; legal with a target:"
            f" {rated}"
        )


def _expected_bpp(
    target: Target | None,
    fit: FitConfig,
    form: VideoFormat,
    n_pixels: int,
    temporal_information: float,
) -> float:
    """Return the bits a pixel that the network is sized for."""
    bpp = target.file_bpp(form) if target else None
    if bpp is not None:
        return bpp if is_high_motion(temporal_information) else bpp / still_share(n_pixels)
    return expected_bpp(fit.rate_weight, n_pixels) if fit.rate_weight else usual_bpp(n_pixels)


def _limit_notes(
    form: VideoFormat, model: ModelConfig, segments: Sequence[Shots]
) -> tuple[str, ...]:
    return tuple(
        f"decoders will refuse the file unless told otherwise: {text}"
        for text in Limits().exceeded(form, model, segments)
    )


def _towards(
    plan: FitPlan,
    target: SizeTarget,
    sized: Callable[[float], tuple[FitPlan, float, float]],
) -> FitPlan:
    """Return the plan with its target.

    Args:
        sized: gives the plan for a size, with the sizes that its network can have.
    Raises:
        ConfigError: no network reaches the target; with the range that some do.
    """
    form = plan.format
    n_bytes = target.file_bpp(form) * form.n_pixels / 8
    least, most = _size_range(plan)
    if not least <= n_bytes <= most:
        low, high = _legal_sizes(sized, form)
        raise ConfigError(
            f"{target.shown()}; legal:"
            f" {target.figure(target.value_of(form, low), up=True)} to"
            f" {target.figure(target.value_of(form, high))} for this video and preset"
        )
    target_bpp = 8 * (n_bytes - container_bytes(plan)) / plan.n_coded_pixels
    return replace(plan, fit=replace(plan.fit, target_bpp=target_bpp))


def _size_range(plan: FitPlan) -> tuple[float, float]:
    """Return the least and the most bytes that a file of the plan's network can have."""
    ranges = [segment_bits_range(plan.model, shots) for shots in plan.segments]
    least, most = (container_bytes(plan) + sum(side) / 8 for side in zip(*ranges))
    return least, most


def segment_bits_range(model: ModelConfig, shots: Shots) -> tuple[float, float]:
    """Return the least and the most bits that a segment's streams can have."""
    most = _MAX_PARAMETER_BITS * tensors.n_parameters(model, shots)
    return 8.0 * len(tensors.groups(model, shots)), most


def _legal_sizes(
    sized: Callable[[float], tuple[FitPlan, float, float]], form: VideoFormat
) -> tuple[int, int]:
    """Return the smallest and the largest file, in bytes, whose own network can have its size.

    The network grows with the size that is asked for, and so do its bounds: what is out of them
    moves to them until it is not.
    """
    low, high = 1, int(_MOST_BPP * form.n_pixels / 8)
    while (least := math.ceil(sized(low)[1])) > low:
        low = least
    while (most := math.floor(sized(high)[2])) < high:
        high = most
    return low, high


def container_bytes(plan: FitPlan) -> int:
    """Return the bytes that a file of the plan has besides its streams, whatever their lengths, and
    its sound.

    Raises:
        ConfigError: a video or a network that the format cannot hold.
    """
    streams = (b"\0",) * len(tensors.module_names(plan.model))
    empty = [Segment(shots, streams) for shots in plan.segments]
    silent = replace(plan.extras, sound=None)
    data = write_file(Header(plan.format, plan.model), empty, silent)
    return len(data) - len(streams) * len(empty)


def memory_bytes(plan: FitPlan) -> int:
    """Return about the peak memory of encoding: that of the longest segment's fit or of its
    decoding.
    """
    from nervcodec.encoder.cost import fit_memory_bytes

    return max(
        max(
            fit_memory_bytes(plan.model, plan.fit, shots),
            costs.decode_memory_bytes(plan.model, shots),
        )
        for shots in plan.segments
    )


def job_bytes(plan: FitPlan) -> int:
    """Return about the memory of a job of another process: its own, and the frames of its segment,
    which stay where they were read until it is done.
    """
    frames = max(plan.lengths) * plan.model.n_plane_samples
    return memory_bytes(plan) + frames * (1 if plan.model.bit_depth == 8 else 2)


def source_frames(plan: FitPlan, lengths: Iterable[int]) -> Iterator[Frames]:
    """Return the segments in the colorspace of the model, each read when it is asked for."""
    groups = read_groups(plan.source, plan.format, lengths, plan.source_options, plan.numbers)
    convert = partial(to_layout, layout=plan.model.colorspace, color=plan.format.color)
    # A loop would keep a segment, as it was read, until it has read the next one.
    return map(convert, groups)
