"""What is fitted to which frames: network, fit and segments, from a video and what is asked for.

A target for the whole file becomes bits a pixel of every segment's streams, so that segments can be
fitted independently. Nothing here needs torch.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from nervcodec.encoder.options import EncodeOptions
from nervcodec.encoder.presets import PRESETS, preset_named
from nervcodec.encoder.sizing import (
    ContentStatistics,
    Preset,
    is_high_motion,
    segment_lengths,
    segment_shots,
)
from nervcodec.encoder.target import TUNES, Lambda, Target
from nervcodec.errors import ConfigError
from nervcodec.format import costs, tensors
from nervcodec.format.container import Header, Segment, StoredQuality, write_file
from nervcodec.format.extras import NO_EXTRAS, Extras
from nervcodec.format.limits import Limits
from nervcodec.format.model_config import MlpStem, ModelConfig, Shots
from nervcodec.format.video_format import VideoFormat
from nervcodec.training.config import MAX_EPOCHS, FitConfig
from nervcodec.training.rate_model import expected_bpp, still_share, usual_bpp
from nervcodec.video.color import to_layout
from nervcodec.video.extras import read_extras
from nervcodec.video.frames import Frames
from nervcodec.video.probe import probe
from nervcodec.video.reader import read_groups
from nervcodec.video.scenes import changes
from nervcodec.video.source import SourceOptions

_MAX_PARAMETER_BITS = 8.0  # beyond them a larger size buys nothing
_TIME_RESERVE = 0.9  # of a time budget, since speed varies


@dataclass(frozen=True)
class FitPlan:
    """What is fitted to which frames.

    Attributes:
        source: the video.
        format: of the frames that are coded.
        model: the network of every segment.
        fit: how it is fitted.
        segments: the shots of each segment, in frames.
        notes: what a user should know about the input, a line each.
        source_options: how the source is read.
        extras: what the file holds besides its picture.
    """

    source: Path
    format: VideoFormat
    model: ModelConfig
    fit: FitConfig
    segments: tuple[Shots, ...]
    notes: tuple[str, ...] = ()
    source_options: SourceOptions = SourceOptions()
    extras: Extras = NO_EXTRAS

    @property
    def lengths(self) -> tuple[int, ...]:
        """Frames of each segment."""
        return tuple(map(sum, self.segments))

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
        return round(self.fit.target_bpp * self.format.n_pixels / 8) + container_bytes(self)


AnyPlan = TypeVar("AnyPlan", bound=FitPlan)


def plan_fit(source: str | os.PathLike[str], options: EncodeOptions = EncodeOptions()) -> FitPlan:
    """Look at the source and decide network, fit and segments.

    Raises:
        ConfigError: an option that does not go with this video.
        VideoError: the source cannot be read, or is none that this version supports.
    """
    preset = preset_named(options.preset)
    wishes = options.source_options()
    form, notes = probe(os.fspath(source), wishes, n_frames=options.n_frames)
    form = _first_frames(form, options.n_frames)
    _check_steerable(preset, options)
    lengths = segment_lengths(form.n_frames, options.segment_frames)
    n_pixels = max(lengths) * form.width * form.height
    temporal_information, cuts = changes(Path(source), form, wishes)
    fit = _fit_config(preset, options, form, max(lengths), temporal_information)
    rate = _expected_bpp(options.target, fit, form, n_pixels, temporal_information)
    if options.tune is not None:
        fit = tuned(fit, options.tune)
    content = ContentStatistics(rate / usual_bpp(n_pixels), temporal_information)
    segments = segment_shots(lengths, cuts)
    colorspace = _colorspace(preset, options, form)
    model = preset.model(form, colorspace, max(segments, key=sum), content)
    if isinstance(model.stem, MlpStem):
        segments = segment_shots(lengths, ())
    if options.bits is not None:
        model = replace(model, bits=options.bits)
    stop = None if options.n_frames is None else form.n_frames / form.frame_rate
    extras, extra_notes = read_extras(Path(source), wishes, audio=options.audio, stop=stop)
    notes += extra_notes + _limit_notes(form, model, segments)
    plan = FitPlan(Path(source), form, model, fit, tuple(segments), notes, wishes, extras)
    # What the format cannot hold is better known before the fit than after it.
    n_container = container_bytes(plan)
    bpp = options.target.file_bpp(form) if options.target else None
    return plan if bpp is None else _towards(plan, bpp * form.n_pixels / 8, n_container)


def _first_frames(form: VideoFormat, n_frames: int | None) -> VideoFormat:
    """Return the format of the first n_frames frames, of all where it is None."""
    if n_frames is None:
        return form
    if not 1 <= n_frames <= form.n_frames:
        raise ConfigError(
            f"frames is {n_frames}; legal: 1 to {form.n_frames}, the frames of the input"
        )
    return replace(form, n_frames=n_frames)


def _colorspace(preset: Preset, options: EncodeOptions, form: VideoFormat) -> str:
    if options.colorspace != "auto":
        return options.colorspace
    return preset.colorspace or ("rgb" if form.layout == "rgb" else "yuv")


def _check_steerable(preset: Preset, options: EncodeOptions) -> None:
    """Refuse a target of a preset that has no rate term."""
    has_target = options.target is not None and not isinstance(options.target, Lambda)
    if has_target and not preset.fit.rate_weight:
        rated = ", ".join(name for name, each in PRESETS.items() if each.fit.rate_weight)
        raise ConfigError(
            f"preset is {options.preset!r}, which has no rate to steer; legal with a target:"
            f" {rated}"
        )


def _fit_config(
    preset: Preset,
    options: EncodeOptions,
    form: VideoFormat,
    n_frames: int,
    temporal_information: float,
) -> FitConfig:
    """Return the fit of segments of up to n_frames frames, with the options' epochs, pruning, seed
    and target.
    """
    changed: dict[str, Any] = {
        "epochs": options.epochs,
        "prune": options.prune,
        "seed": options.seed,
    }
    if options.target is not None:
        n_pixels = n_frames * form.width * form.height
        start = options.target.start_lambda(form, n_pixels, temporal_information)
        changed |= {"rate_weight": start, "target_psnr": options.target.psnr_db}
    return _with_options(
        preset.fit_for(n_frames),
        {name: value for name, value in changed.items() if value is not None},
    )


def _with_options(fit: FitConfig, changed: dict[str, Any]) -> FitConfig:
    """Return the fit with the changed values; pruning gets a third of the epochs to fine-tune
    where the fit has none.
    """
    if changed.get("prune") and not fit.finetune_epochs:
        changed["finetune_epochs"] = -(-changed.get("epochs", fit.epochs) // 3)
    elif "epochs" in changed and fit.finetune_epochs:
        changed["finetune_epochs"] = -(-changed["epochs"] * fit.finetune_epochs // fit.epochs)
    return replace(fit, **changed)


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


def _towards(plan: FitPlan, n_bytes: float, n_container: int) -> FitPlan:
    """Return the plan with the target of a file of n_bytes, n_container of them around its
    streams.
    """
    least = n_container + sum(len(tensors.groups(plan.model, shots)) for shots in plan.segments)
    most = n_container + _MAX_PARAMETER_BITS * plan.n_parameters / 8
    if not least <= n_bytes <= most:
        raise ConfigError(
            f"size is {n_bytes:,.0f} bytes; legal: {least:,} to {most:,.0f} for this video and"
            " preset"
        )
    target_bpp = 8 * (n_bytes - n_container) / plan.format.n_pixels
    return replace(plan, fit=replace(plan.fit, target_bpp=target_bpp))


def container_bytes(plan: FitPlan) -> int:
    """Return the bytes that a file of the plan has besides its streams, whatever their lengths, and
    its sound.

    Raises:
        ConfigError: a video or a network that the format cannot hold.
    """
    streams = (b"\0",) * len(tensors.module_names(plan.model))
    empty = [Segment(shots, streams) for shots in plan.segments]
    silent = replace(plan.extras, sound=None)
    data = write_file(Header(plan.format, plan.model), empty, StoredQuality(), silent)
    return len(data) - len(streams) * len(empty)


def tuned(fit: FitConfig, tune: str) -> FitConfig:
    """Return the fit with the loss of a tuning, and a lambda that gives about as many bits.

    Raises:
        ConfigError: neither 'psnr' nor 'ssim'.
    """
    if tune not in TUNES:
        raise ConfigError(f"tune is {tune!r}; legal: {', '.join(TUNES)}")
    loss, worth = TUNES[tune]
    return fit if fit.loss == loss else replace(fit, loss=loss, rate_weight=fit.rate_weight * worth)


def with_epochs(plan: AnyPlan, n_epochs: int, n_finetune: int) -> AnyPlan:
    """Return the plan with other numbers of epochs."""
    return replace(plan, fit=replace(plan.fit, epochs=n_epochs, finetune_epochs=n_finetune))


def with_time_budget(plan: AnyPlan, seconds: float, seconds_per_epoch: float) -> AnyPlan:
    """Return the plan with as many epochs, in their proportion, as fit into so many seconds.

    Raises:
        ConfigError: not even one does.
    """
    n_finetune = plan.fit.finetune_epochs
    n_passes = int(min(_TIME_RESERVE * seconds / seconds_per_epoch, MAX_EPOCHS))
    n_epochs = n_passes - with_epochs(plan, max(n_passes, 1), n_finetune).fit.n_rdoq_passes
    n_second = n_epochs * n_finetune // plan.fit.total_epochs
    if n_finetune:
        n_second = max(n_second, 1)
    if n_epochs <= n_second:
        least = math.ceil((n_second + 1) * seconds_per_epoch / _TIME_RESERVE)
        raise ConfigError(
            f"time budget is {seconds:g} s; legal: at least {least} s, for an epoch of each stage"
            " here"
        )
    return with_epochs(plan, n_epochs - n_second, n_second)


def seconds_per_epoch(plan: FitPlan, device: str) -> float:
    """Return the seconds that an epoch over all segments takes, by timing some steps of the first
    one.
    """
    from nervcodec.encoder.cost import seconds_per_step

    frames = next(source_frames(plan, plan.lengths[:1]))
    n_steps = sum(-(-length // plan.fit.batch_size) for length in plan.lengths)
    return n_steps * seconds_per_step(frames, plan.model, plan.fit, device)


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


def source_frames(plan: FitPlan, lengths: Iterable[int]) -> Iterator[Frames]:
    """Yield the source's segments in the colorspace of the model."""
    layout = "rgb" if plan.model.colorspace == "rgb" else "yuv420"
    for frames in read_groups(plan.source, plan.format, list(lengths), plan.source_options):
        yield to_layout(frames, layout, plan.format.color)
