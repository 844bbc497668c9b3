"""What an encode will do, decided before it starts: network, fit and segments from a video and what
is asked for.

A whole-file target becomes bits a pixel of every segment's streams, so that segments can be fitted
independently. Modules that need torch are imported inside the functions that use them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from nervcodec.encoder.presets import PRESETS, preset_named
from nervcodec.encoder.sizing import (
    ContentStatistics,
    is_high_motion,
    segment_lengths,
    segment_shots,
)
from nervcodec.encoder.target import TUNES, Goal
from nervcodec.errors import ConfigError, LimitExceeded
from nervcodec.format import costs, tensors
from nervcodec.format.container import Header, Segment, StoredQuality, write_file
from nervcodec.format.limits import Limits
from nervcodec.format.model_config import MlpStem, ModelConfig, Shots
from nervcodec.format.video_format import VideoFormat
from nervcodec.training.config import MAX_EPOCHS, FitConfig
from nervcodec.training.rate_model import expected_bpp, still_share, usual_bpp
from nervcodec.video.color import to_layout
from nervcodec.video.frames import Frames
from nervcodec.video.probe import probe
from nervcodec.video.reader import read_groups
from nervcodec.video.scenes import changes

_MAX_PARAMETER_BITS = 8.0  # beyond them a larger size buys nothing
_TIME_RESERVE = 0.9  # of a time budget, since speed varies


@dataclass(frozen=True)
class EncodePlan:
    """All that an encode does. segments: the shots of each; notes: what a user should know about
    the input.
    """

    source: Path
    format: VideoFormat
    model: ModelConfig
    fit: FitConfig
    segments: tuple[Shots, ...]
    notes: tuple[str, ...] = ()

    @property
    def lengths(self) -> tuple[int, ...]:
        """Frames of each segment."""
        return tuple(map(sum, self.segments))

    @property
    def n_parameters(self) -> int:
        return sum(tensors.n_parameters(self.model, shots) for shots in self.segments)

    @property
    def kmac_per_pixel(self) -> float:
        return costs.kmac_per_pixel(self.model)

    @property
    def target_bytes(self) -> int | None:
        """The size of the file that the fit is steered to, if it is."""
        if not self.fit.target_bpp:
            return None
        return round(self.fit.target_bpp * self.format.n_pixels / 8) + _container_bytes(self)


def plan_encode(
    source: str | Path,
    *,
    preset: str = "medium",
    goal: Goal = Goal(),
    tune: str | None = None,
    n_frames: int | None = None,
    colorspace: str = "auto",
    bits: int | None = None,
    segment_frames: int | None = None,
    frame_rate: Fraction | None = None,
    **fit_options: Any,
) -> EncodePlan:
    """Looks at the source and decides network, fit and segments.

    Args:
        goal: rate or quality; without one, crf 30.
        tune: what the loss measures, 'psnr' or 'ssim'; None: the preset's.
        n_frames: code only the first so many frames.
        colorspace: 'auto' (the preset's choice), 'rgb' or 'yuv'.
        segment_frames: longest segment; None: 150.
        frame_rate: of a folder of PNG; None: 25.
        fit_options: fields of FitConfig that replace the preset's; None leaves them.
    Raises:
        ConfigError, VideoError: an option or a video that cannot work.
    """
    chosen = preset_named(preset)
    form, notes = probe(source, frame_rate=frame_rate)
    if n_frames is not None:
        if not 1 <= n_frames <= form.n_frames:
            raise ConfigError(
                f"frames is {n_frames}; legal: 1 to {form.n_frames}, the frames of the input"
            )
        form = replace(form, n_frames=n_frames)
    if colorspace == "auto":
        colorspace = chosen.colorspace or ("rgb" if form.layout == "rgb" else "yuv")
    lengths = segment_lengths(form.n_frames, segment_frames)
    n_pixels = max(lengths) * form.width * form.height
    if goal != Goal() and goal.rate_weight is None and not chosen.fit.rate_weight:
        rated = ", ".join(name for name, each in PRESETS.items() if each.fit.rate_weight)
        raise ConfigError(
            f"preset is {preset!r}, which has no rate to steer; legal with a goal: {rated}"
        )
    liveliness, cuts = changes(Path(source), form)
    fit = _with_options(
        chosen.fit_for(max(lengths)),
        {
            **fit_options,
            "rate_weight": goal.start(form, n_pixels, liveliness),
            "target_psnr": goal.target_psnr,
        },
    )
    bpp = goal.file_bpp(form)
    if bpp is not None:
        expected = bpp if is_high_motion(liveliness) else bpp / still_share(n_pixels)
    else:
        expected = (
            expected_bpp(fit.rate_weight, n_pixels) if fit.rate_weight else usual_bpp(n_pixels)
        )
    if tune is not None:
        fit = tuned(fit, tune)
    content = ContentStatistics(expected / usual_bpp(n_pixels), liveliness)
    segments = segment_shots(lengths, cuts)
    model = chosen.model(form, colorspace, max(segments, key=sum), content)
    if isinstance(model.stem, MlpStem):
        segments = segment_shots(lengths, ())
    if bits is not None:
        model = replace(model, bits=bits)
    notes += tuple(
        f"decoders will refuse the file unless told otherwise: {text}"
        for text in Limits().exceeded(form, model, segments)
    )
    plan = EncodePlan(Path(source), form, model, fit, tuple(segments), notes)
    container = _container_bytes(
        plan
    )  # what the format cannot hold is better known before the fit than after it
    return plan if bpp is None else _towards(plan, bpp * form.n_pixels / 8, container)


def _towards(plan: EncodePlan, n_bytes: float, container: int) -> EncodePlan:
    """The plan with the target of a file of n_bytes, `container` of them around its streams."""
    least = container + sum(len(tensors.groups(plan.model, shots)) for shots in plan.segments)
    most = container + _MAX_PARAMETER_BITS * plan.n_parameters / 8
    if not least <= n_bytes <= most:
        raise ConfigError(
            f"size is {n_bytes:,.0f} bytes; legal: {least:,} to {most:,.0f} for this video and"
            " preset"
        )
    return replace(
        plan, fit=replace(plan.fit, target_bpp=8 * (n_bytes - container) / plan.format.n_pixels)
    )


def _container_bytes(plan: EncodePlan) -> int:
    """What a file of the plan has besides its streams; their length does not matter.

    Raises:
        ConfigError: a video or a network that the format cannot hold.
    """
    streams = (b"\0",) * len(tensors.module_names(plan.model))
    empty = [Segment(shots, streams) for shots in plan.segments]
    return len(write_file(Header(plan.format, plan.model), empty, StoredQuality())) - len(
        streams
    ) * len(empty)


def _with_options(fit: FitConfig, options: dict[str, Any]) -> FitConfig:
    """The fit with the options that are not None; pruning without a word on fine-tuning gets a
    third of the epochs.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if given.get("prune") and not fit.finetune_epochs:
        given.setdefault("finetune_epochs", -(-given.get("epochs", fit.epochs) // 3))
    elif "epochs" in given and fit.finetune_epochs:
        given.setdefault("finetune_epochs", -(-given["epochs"] * fit.finetune_epochs // fit.epochs))
    return replace(fit, **given)


def tuned(fit: FitConfig, tune: str) -> FitConfig:
    """The fit with the loss of a tuning, and a price of bits that gives about as many of them.

    Raises:
        ConfigError: neither 'psnr' nor 'ssim'.
    """
    if tune not in TUNES:
        raise ConfigError(f"tune is {tune!r}; legal: {', '.join(TUNES)}")
    loss, worth = TUNES[tune]
    return fit if fit.loss == loss else replace(fit, loss=loss, rate_weight=fit.rate_weight * worth)


def with_precision(plan: EncodePlan, precision: str) -> EncodePlan:
    """The plan with another arithmetic of the fit; which one suits is known once a device is
    chosen.
    """
    return replace(plan, fit=replace(plan.fit, precision=precision))


def with_epochs(plan: EncodePlan, n_epochs: int, n_finetune: int) -> EncodePlan:
    """The plan with other numbers of epochs."""
    return replace(plan, fit=replace(plan.fit, epochs=n_epochs, finetune_epochs=n_finetune))


def with_time_budget(plan: EncodePlan, seconds: float, seconds_an_epoch: float) -> EncodePlan:
    """The plan with as many epochs, in their proportion, as fit into so many seconds.

    Raises:
        ConfigError: not even one does.
    """
    n_passes = int(min(_TIME_RESERVE * seconds / seconds_an_epoch, MAX_EPOCHS))
    n_epochs = (
        n_passes - with_epochs(plan, max(n_passes, 1), plan.fit.finetune_epochs).fit.n_refinements
    )
    n_finetune = n_epochs * plan.fit.finetune_epochs // plan.fit.total_epochs
    if plan.fit.finetune_epochs:
        n_finetune = max(n_finetune, 1)
    if n_epochs <= n_finetune:
        least = math.ceil((n_finetune + 1) * seconds_an_epoch / _TIME_RESERVE)
        raise ConfigError(
            f"time budget is {seconds:g} s; legal: at least {least} s, for an epoch of each stage"
            " here"
        )
    return with_epochs(plan, n_epochs - n_finetune, n_finetune)


def seconds_an_epoch(plan: EncodePlan, device: str = "cpu") -> float:
    """Seconds that an epoch over all segments would take here: some steps of the first one are made
    and timed.
    """
    from nervcodec.encoder.cost import seconds_per_step

    frames = next(source_frames(plan, plan.lengths[:1]))
    n_steps = sum(-(-length // plan.fit.batch_size) for length in plan.lengths)
    return n_steps * seconds_per_step(frames, plan.model, plan.fit, device)


def memory_bytes(plan: EncodePlan) -> int:
    """About the peak memory of encoding: that of the longest segment's fit or of its decoding."""
    from nervcodec.encoder.cost import fit_memory_bytes

    return max(
        max(
            fit_memory_bytes(plan.model, plan.fit, shots),
            costs.decode_memory_bytes(plan.model, shots),
        )
        for shots in plan.segments
    )


def check_memory(plan: EncodePlan, device: str, max_bytes: float | None) -> None:
    """Refuses an encode that would not fit, before anything is allocated.

    Args:
        max_bytes: None takes what the device has left, if that is known.
    Raises:
        LimitExceeded: with the estimate.
    """
    from nervcodec.nn.device import free_memory_bytes

    need, limit = memory_bytes(plan), free_memory_bytes(device) if max_bytes is None else max_bytes
    if limit is not None and need > limit:
        raise LimitExceeded(
            f"the fit takes about {need / 2**20:,.0f} MiB of memory, more than the"
            f" {limit / 2**20:,.0f} MiB that {'are left' if max_bytes is None else 'are allowed'};"
            " --max-memory allows more, shorter --segment-frames and a smaller frame take less"
        )


def source_frames(plan: EncodePlan, lengths: Iterable[int]) -> Iterator[Frames]:
    """The source's segments in the colorspace of the model."""
    layout = "rgb" if plan.model.colorspace == "rgb" else "yuv420"
    for frames in read_groups(plan.source, plan.format, list(lengths)):
        yield to_layout(frames, layout, plan.format.color)
