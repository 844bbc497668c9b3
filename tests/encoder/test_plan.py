"""nervcodec.encoder.fit_plan and plan: what is decided before a fit starts."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest

from nervcodec.encoder.fit_plan import FitPlan, memory_bytes, plan_fit, source_frames
from nervcodec.encoder.options import EncodeOptions
from nervcodec.encoder.plan import plan
from nervcodec.encoder.presets import preset_named
from nervcodec.encoder.resume import Journal
from nervcodec.encoder.sizing import PriorChoice
from nervcodec.encoder.target import Bitrate, BitsPerPixel, Crf, Psnr, Size, Target
from nervcodec.encoder.time_budget import seconds_per_epoch, with_time_budget
from nervcodec.errors import ConfigError, OutputExists, ResourceError
from nervcodec.format.container import write_file
from nervcodec.format.file import Header, Segment
from nervcodec.format.prior import PRIORS
from nervcodec.format.tensors import groups, module_names
from nervcodec.training.config import FitConfig
from nervcodec.training.rate_model import expected_bpp, rate_weight_of, still_share
from nervcodec.video.frames import Frames
from nervcodec.video.scenes import ContentChanges

PRIOR_CHOICES: tuple[PriorChoice, ...] = get_args(PriorChoice)
CHANGES = "nervcodec.video.first_pass.FirstPass.changes"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 frames of 64 x 48, each of one gray but for a white sample, no two alike."""
    path = tmp_path_factory.mktemp("clips") / "gray.y4m"
    path.write_bytes(
        b"YUV4MPEG2 W64 H48 F25:1 C420jpeg\n"
        + b"".join(b"FRAME\n\xff" + bytes([t]) * (64 * 48 * 3 // 2 - 1) for t in range(20))
    )
    return path


def test_without_a_target_it_is_the_preset(source: Path) -> None:
    """Without a target nothing is steered, and lambda is the preset's, that of crf 30."""
    decided = plan_fit(source)
    assert (decided.fit.target_bpp, decided.fit.target_psnr, decided.target_bytes) == (0, 0, None)
    assert decided.fit.rate_weight == pytest.approx(rate_weight_of(30))
    assert decided == plan_fit(source, EncodeOptions(target=Crf(30)))


@pytest.mark.parametrize("segment_frames", [None, 7])
@pytest.mark.parametrize("target", [Size(3000), Bitrate(30_000), BitsPerPixel(0.390625)])
def test_a_size_counts_the_whole_file(
    source: Path, target: Target, segment_frames: int | None
) -> None:
    """Streams of the bits a pixel that the fit is steered to, with all around them, make a file of
    this size.
    """
    decided = plan_fit(source, EncodeOptions(target=target, segment_frames=segment_frames))
    streams = decided.fit.target_bpp * decided.format.n_pixels / 8
    n_modules = 2 + len(decided.model.blocks)
    segments = [Segment((length,), (b"\0" * 10,) * n_modules) for length in decided.lengths]
    data = write_file(Header(decided.format, decided.model), segments)
    assert streams + len(data) - 10 * n_modules * len(segments) == pytest.approx(3000, abs=0.1)
    assert decided.target_bytes == 3000


def test_segments_are_cut_where_the_video_is(monkeypatch: pytest.MonkeyPatch, source: Path) -> None:
    """Segments begin at cuts unless they are to be equal, others stand in their segment, and the
    paper's networks know of none.
    """
    monkeypatch.setattr(
        CHANGES,
        lambda *_: ContentChanges(1.0, (3, 10, 11), (), False, False),
    )
    assert plan_fit(source).segments == ((3, 7, 1, 9),)
    assert plan_fit(source, EncodeOptions(segment_frames=10)).segments == ((3, 7), (1, 9))
    short = EncodeOptions(segment_frames=10, frames=(0, 11))
    assert plan_fit(source, short).segments == ((3,), (7, 1))
    assert plan_fit(source, replace(short, segments="equal")).segments == ((3, 2), (5, 1))
    assert plan_fit(source, EncodeOptions(preset="paper-xs")).segments == ((20,),)
    cut_paper = EncodeOptions(preset="paper-xs", segment_frames=12)
    assert plan_fit(source, cut_paper).segments == ((10,), (10,))


def test_larger_files_get_larger_networks(source: Path) -> None:
    """Networks grow with the rate, however it is asked for; with a prior only at high rates."""
    for targets in (
        [Size(size) for size in (1000, 4000, 16_000)],
        [Crf(crf) for crf in (45, 30, 15)],
        [Psnr(psnr) for psnr in (30, 33, 36)],
    ):
        without, beside = (
            [
                plan_fit(source, EncodeOptions(target=target, prior=prior)).n_parameters
                for target in targets
            ]
            for prior in PRIOR_CHOICES[::-1]
        )
        assert without == sorted(without) and len(set(without)) == 3
        assert beside == sorted(beside) and beside[0] < beside[2]


@pytest.mark.parametrize(
    ("options", "prior"),
    [
        (EncodeOptions(), max(PRIORS)),
        (EncodeOptions(preset="veryslow", bits=8), max(PRIORS)),
        (EncodeOptions(target=Size(3000)), max(PRIORS)),
        (EncodeOptions(prune=0.0), max(PRIORS)),
        (EncodeOptions(prior="none"), 0),
        (EncodeOptions(colorspace="rgb"), 0),
        (EncodeOptions(prune=0.2), 0),
        (EncodeOptions(preset="paper-s"), 0),
    ],
)
def test_a_prior_is_taken_where_there_is_one(
    source: Path, options: EncodeOptions, prior: int
) -> None:
    """Fits of our presets have a prior, with rates of their own, unless planes are RGB, weights are
    pruned, or none is wanted; for frames of one colour see test_easy_video.
    """
    decided = plan_fit(source, options)
    assert decided.model.prior == prior
    preset = preset_named(options.preset).fit
    assert decided.fit.muon_rate == (0.02 if prior else preset.muon_rate)
    assert decided.fit.learning_rate == (0.025 if prior else preset.learning_rate)


@pytest.mark.parametrize(("information", "share"), [(12.0, still_share(20 * 64 * 48)), (12.1, 1.0)])
@pytest.mark.parametrize("crf", [12, 18])
def test_a_size_gets_the_network_of_its_crf(
    monkeypatch: pytest.MonkeyPatch, source: Path, crf: float, information: float, share: float
) -> None:
    """Short low-motion video takes fewer bits than the rule says of a crf: so many get its network,
    as many a larger one.
    """
    monkeypatch.setattr(
        CHANGES,
        lambda *_: ContentChanges(information, (), (), False, False),
    )
    bpp = expected_bpp(rate_weight_of(crf), 20 * 64 * 48)
    by_crf, by_share, by_rule = (
        plan_fit(source, EncodeOptions(target=target)).n_parameters
        for target in (Crf(crf), BitsPerPixel(share * bpp), BitsPerPixel(bpp))
    )
    assert by_crf == by_share and (by_rule > by_crf) == (share < 1)


@pytest.mark.parametrize("size", [1.0, 100.0, 10e6])
def test_absurd_sizes_are_refused(source: Path, size: float) -> None:
    """A file smaller than its container and records, or larger than the network can fill, is
    refused beforehand.
    """
    with pytest.raises(
        ConfigError, match=f"size is {size:,.0f} bytes; legal: [0-9]+ to [0-9,]+ for this video"
    ):
        plan_fit(source, EncodeOptions(target=Size(size)))


def test_the_least_size_is_legal(source: Path) -> None:
    """The bounds in the message are themselves legal."""
    with pytest.raises(ConfigError) as refusal:
        plan_fit(source, EncodeOptions(target=Size(1)))
    least = int(str(refusal.value).split("legal: ")[1].split(" ")[0])
    decided = plan_fit(source, EncodeOptions(target=Size(least)))
    assert decided.fit.target_bpp * decided.format.n_pixels / 8 == pytest.approx(
        len(groups(decided.model, (20,)))
    )


def test_recipes_without_a_rate_have_no_target(source: Path) -> None:
    """The paper's recipe has no lambda, so there is nothing to steer."""
    with pytest.raises(
        ConfigError, match="preset is 'paper-xs', which has no rate to steer; legal .*: instant, "
    ):
        plan_fit(source, EncodeOptions(preset="paper-xs", target=Size(5000)))


@pytest.fixture
def fit_plan(source: Path) -> FitPlan:
    return plan_fit(source)


def test_a_time_budget_is_not_exceeded(fit_plan: FitPlan) -> None:
    """As many epochs as fit into the time, with a tenth to spare."""
    assert with_time_budget(fit_plan, 100, seconds_per_epoch=2).fit.epochs == 45


def test_a_time_budget_leaves_time_to_refine(fit_plan: FitPlan) -> None:
    """Long fits are refined with as many passes as there are epochs left for."""
    fit = with_time_budget(fit_plan, 1000, seconds_per_epoch=1).fit
    assert fit.n_rdoq_passes > 50 and 850 < fit.epochs + fit.n_rdoq_passes <= 900


def test_a_time_budget_keeps_the_stages_proportion(fit_plan: FitPlan) -> None:
    """Fine-tuning keeps its share of the epochs."""
    two_stages = replace(fit_plan, fit=replace(fit_plan.fit, epochs=30, finetune_epochs=10))
    fit = with_time_budget(two_stages, 80, seconds_per_epoch=1).fit
    assert (fit.epochs, fit.finetune_epochs) == (54, 18)


@pytest.mark.parametrize("fit", [FitConfig(), FitConfig(epochs=30, finetune_epochs=10)])
def test_too_short_a_time_is_refused(fit_plan: FitPlan, fit: FitConfig) -> None:
    """Less time than one epoch a stage takes is refused with the least that would do, which then
    does.
    """
    longer = replace(fit_plan, fit=fit)
    with pytest.raises(ConfigError, match=r"time budget is 1 s; legal: at least \d+ s") as refusal:
        with_time_budget(longer, 1, seconds_per_epoch=1)
    least = float(str(refusal.value).split("at least ")[1].split(" ")[0])
    assert with_time_budget(longer, least, seconds_per_epoch=1).fit.epochs >= 1


def test_time_and_memory_of_a_plan(fit_plan: FitPlan) -> None:
    """An epoch over two segments takes as many steps as both have; memory is at least that of the
    interpreter.
    """
    halves = replace(fit_plan, segments=((10,), (4, 5)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nervcodec.encoder.cost.seconds_per_step", lambda *_: 0.5)
        assert seconds_per_epoch(halves, "cpu") == 5.0
    assert memory_bytes(fit_plan) > 300 << 20


def test_one_segment_is_held_at_a_time(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is done with a segment has its memory back before the next one is read."""
    decided = plan_fit(source, EncodeOptions(segment_frames=5, colorspace="rgb"))
    held: list[weakref.ref[Frames]] = []
    n_held = []

    def empty(*arguments: Any) -> Frames:
        n_held.append(sum(each() is not None for each in held))
        frames = make(*arguments)
        held.append(weakref.ref(frames))
        return frames

    make = Frames.empty
    monkeypatch.setattr("nervcodec.video.reader.Frames", SimpleNamespace(empty=empty))
    for frames in source_frames(decided, decided.lengths):
        assert frames.layout == "rgb"
        held.append(weakref.ref(frames))
        del frames
    assert n_held == [0] * 4 and len(held) == 8


# --- on this machine ---


def test_a_plan_writes_nothing(source: Path, tmp_path: Path) -> None:
    """It knows source, destination, device and threads, and leaves no file."""
    made = plan(source, tmp_path / "out.nvpp", EncodeOptions(device="cpu", n_threads=1))
    assert (made.source, made.destination) == (source, tmp_path / "out.nvpp")
    assert (made.devices, made.n_threads, made.is_resumed) == (("cpu",), 1, False)
    assert list(tmp_path.iterdir()) == []


def test_a_plan_takes_strings(source: Path, tmp_path: Path) -> None:
    """Paths may be strings."""
    made = plan(str(source), str(tmp_path / "out.nvpp"), EncodeOptions(device="cpu"))
    assert made.destination == tmp_path / "out.nvpp"


def test_precision_is_the_machines_unless_it_is_asked_for(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """'auto' takes what the hardware has, others are taken as they are."""
    monkeypatch.setattr(
        "nervcodec.nn.device.choose_precision",
        lambda name, _: "bfloat16" if name == "auto" else name,
    )
    chosen = [
        plan(source, tmp_path / "a", EncodeOptions(device="cpu", precision=precision)).fit.precision
        for precision in ("auto", "float32")
    ]
    assert chosen == ["bfloat16", "float32"]


def test_too_little_memory_is_no_error_of_a_file(source: Path, tmp_path: Path) -> None:
    """A fit that would take more than is allowed is a ResourceError, exit code 5, with both."""
    with pytest.raises(ResourceError, match="about [0-9,]+ MiB .* more than the 10 MiB") as error:
        plan(source, tmp_path / "a", EncodeOptions(device="cpu", max_memory_bytes=10 << 20))
    assert error.value.exit_code == 5


def test_an_existing_destination_is_known_before_the_source_is_read(tmp_path: Path) -> None:
    """The destination comes first: it is the cheapest to check."""
    (tmp_path / "out.nvpp").write_bytes(b"mine")
    with pytest.raises(OutputExists):
        plan(tmp_path / "none.y4m", tmp_path / "out.nvpp")


def test_seconds_are_measured_once(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The estimate times steps when it is first asked for, and keeps what it found."""
    calls: list[object] = []

    def timed(*arguments: object) -> float:
        calls.append(arguments)
        return 0.25

    monkeypatch.setattr("nervcodec.encoder.cost.seconds_per_step", timed)
    made = plan(source, tmp_path / "a", EncodeOptions(device="cpu", epochs=10))
    assert not calls
    assert made.estimate_seconds() == made.estimate_seconds() == 10 * 10 * 0.25
    assert len(calls) == 1


def test_a_time_budget_is_measured_when_it_is_planned(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A budget becomes epochs, and the estimate takes no second measurement."""
    monkeypatch.setattr("nervcodec.encoder.cost.seconds_per_step", lambda *_: 0.25)
    options = EncodeOptions(device="cpu", time_budget_s=100)
    made = plan(source, tmp_path / "a", options)
    assert made.fit.epochs == 36
    monkeypatch.undo()
    assert made.estimate_seconds() == 90


def test_an_interrupted_encode_keeps_the_epochs_of_its_time_budget(
    source: Path, tmp_path: Path
) -> None:
    """What is left of a time budget is as many epochs as it was begun with; restart forgets
    them.
    """
    destination = tmp_path / "out.nvpp"
    identity = {"fit": {"epochs": 7, "finetune_epochs": 0}}
    with Journal(destination, identity) as journal:
        journal.add_checkpoint(0, b"state")
        options = EncodeOptions(device="cpu", time_budget_s=1e6)
        resumed = plan(source, destination, options)
        assert (resumed.fit.epochs, resumed.is_resumed) == (7, True)
        anew = plan(source, destination, replace(options, restart=True))
        assert anew.fit.epochs > 7 and not anew.is_resumed


def test_a_plan_as_json(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The object of a dry run has the description, the seconds and the memory."""
    monkeypatch.setattr("nervcodec.encoder.cost.seconds_per_step", lambda *_: 0.25)
    made = plan(source, tmp_path / "a", EncodeOptions(device="cpu", epochs=10))
    estimate = made.as_json()
    assert estimate == {
        "schema": "nervcodec.estimate/1",
        **made.description(),
        "seconds": 25.0,
        "memory": made.memory_bytes,
    }
    assert (estimate["frames"], estimate["segments"]) == (20, (20,))


@pytest.mark.parametrize("kind", [Size, Bitrate, BitsPerPixel])
def test_one_range_whatever_is_asked(source: Path, kind: Callable[[float], Target]) -> None:
    """Too little and too much are refused with the same range, in the unit that was asked in, and
    both of its ends are legal.
    """
    messages = []
    for value in (1e-3, 1e12):
        with pytest.raises(ConfigError) as refusal:
            plan_fit(source, EncodeOptions(target=kind(value)))
        messages.append(str(refusal.value).split("; legal: ")[1])
    assert messages[0] == messages[1]
    ends = messages[0].replace(",", "").removesuffix(" for this video and preset").split(" to ")
    for end in ends:
        assert plan_fit(source, EncodeOptions(target=kind(float(end)))).fit.target_bpp > 0


def test_a_network_is_taken_from_a_file(source: Path, tmp_path: Path) -> None:
    """As it is, whatever the preset would make; a network of other frames is refused."""
    small = plan_fit(source, EncodeOptions(prior="none", target=Crf(50)))
    segment = Segment(small.segments[0], (b"\0",) * len(module_names(small.model)))
    one = tmp_path / "one.nvpp"
    one.write_bytes(write_file(Header(small.format, small.model), [segment]))
    taken = EncodeOptions(network_of=str(one))
    assert plan_fit(source, taken).model == small.model != plan_fit(source).model
    for changed, words in (
        ({"scale": (32, 48)}, "width of the network of .* is 64; legal: 32"),
        ({"colorspace": "rgb"}, "planes of the network of .* is yuv420; legal: rgb"),
    ):
        options: dict[str, Any] = changed
        with pytest.raises(ConfigError, match=words):
            plan_fit(source, replace(taken, **options))


@pytest.mark.parametrize(("idle", "n_threads"), [(8, 4), (4, 4), (2, 2), (0, 1)])
def test_threads_are_no_more_than_idle_cores(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, idle: int, n_threads: int
) -> None:
    """Beside other work a fit takes what is left, and says so; what is asked for stays."""
    threads = [4]
    monkeypatch.setattr("nervcodec.encoder.plan.idle_cores", lambda: idle)
    monkeypatch.setattr("torch.get_num_threads", lambda: threads[-1])
    monkeypatch.setattr("torch.set_num_threads", threads.append)
    options = EncodeOptions(device="cpu", jobs=1)
    asked = plan(source, tmp_path / "out.nvpp", replace(options, n_threads=4))
    assert asked.n_threads == 4 and not any("idle" in note for note in asked.notes)
    taken = plan(source, tmp_path / "out.nvpp", options)
    assert (taken.n_threads, any("idle" in note for note in taken.notes)) == (n_threads, idle < 4)
