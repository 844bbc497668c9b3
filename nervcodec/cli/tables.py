"""The rows of the tables that commands print: names and values, or cells under headings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nervcodec.cli.console import duration, table
from nervcodec.cli.extra_tables import extra_rows
from nervcodec.format.tensors import summary

if TYPE_CHECKING:
    from nervcodec.decoder.verify import Verification
    from nervcodec.encoder.plan import EncodePlan
    from nervcodec.encoder.report import EncodeReport
    from nervcodec.format.info import FileInfo
    from nervcodec.quality.compare import Comparison
    from nervcodec.quality.metrics import Quality

Rows = list[tuple[str, str]]
_RANGES = {None: "unspecified", False: "limited", True: "full"}
_MOST_MD5S = 4  # lines of a table; --json has any number


# --- encode ---


def plan_rows(plan: EncodePlan, seconds: float) -> Rows:
    """Return what is going to be done, and in about how many seconds."""
    form = plan.format
    fit = plan.fit
    rows = [
        (
            "input",
            f"{form.width}x{form.height}, {_frames(plan)}, {form.samples}",
        ),
        *_shot_rows(plan.segments),
        ("network", summary(plan.model)),
        (
            "parameters",
            f"{plan.n_parameters:,} in {len(plan.lengths)} segments, {plan.kmac_per_pixel:.2f}"
            " kMAC/pixel",
        ),
        (
            "fit",
            f"{fit.epochs} + {fit.finetune_epochs} epochs, batch {fit.batch_size},"
            f" {fit.optimizer}, {fit.precision}, prune {fit.prune:g}, {plan.model.bits} bits",
        ),
    ]
    if len(plan.lengths) > 1:
        threads = f"{plan.n_threads} thread{'s' * (plan.n_threads > 1)} each"
        rows.append(("jobs", f"{plan.n_jobs} at once, {threads} ({plan.jobs_reason})"))
    if plan.target_bytes:
        rows.append(("target", f"{plan.target_bytes:,} bytes"))
    if fit.target_psnr:
        rows.append(("target", f"{fit.target_psnr:g} dB RGB"))
    rows.append(("time", f"about {duration(seconds)} to fit"))
    return rows


def _frames(video: EncodePlan | FileInfo) -> str:
    """Return number and rate of frames, how many of them are coded, and whether the rate varies."""
    form = video.format
    n_coded = sum(video.lengths)
    coded = f" ({n_coded} of them coded, the others repeat)" if n_coded < form.n_frames else ""
    variable = " in the mean (variable frame rate)" if video.has_variable_rate else ""
    return f"{form.n_frames} frames{coded}, {form.frame_rate} frames/s{variable}"


def estimate_rows(plan: EncodePlan) -> Rows:
    """Return what --dry-run prints: the plan, with its memory."""
    memory = f"about {plan.memory_bytes / 2**20:,.0f} MiB"
    return [*plan_rows(plan, plan.estimate_seconds()), ("memory", memory)]


def report_rows(report: EncodeReport) -> Rows:
    """Return what an encode gave."""
    quality = report.quality
    ms_ssim = quality.ms_ssim_reason if quality.ms_ssim is None else f"{quality.ms_ssim:.5f}"
    sound = f", {report.sound_bytes:,} sound, which no rate counts" if report.sound_bytes else ""
    rows = [
        ("bytes", f"{report.n_bytes:,} ({report.container_bytes} of them container{sound})"),
        ("rate", f"{report.bpp:.5f} bpp, {report.kbit_per_s:.1f} kbit/s"),
    ]
    if not report.plan.fit.rate_weight:
        formula = f"parameters x (1 - {report.sparsity:.3f}) x bits / pixels; not a file size"
        rows.append(("paper's bpp", f"{report.paper_bpp:.5f} ({formula})"))
    rows += [
        _planes_row(quality, ".2f"),
        ("PSNR 6:1:1", f"{quality.yuv611_db:.2f} dB (worst frame {quality.worst_yuv611_db:.2f})"),
        ("PSNR RGB", f"{quality.rgb_db:.2f} dB (worst frame {quality.worst_rgb_db:.2f})"),
        ("MS-SSIM Y", str(ms_ssim)),
        (
            "encode time",
            f"{report.encode_s:.1f} s on {report.device}, {_threads(report)}; "
            f"decoded and measured in {report.measure_s:.1f} s",
        ),
        (
            "peak memory",
            ", ".join(f"{phase} {_memory(peaks)}" for phase, peaks in report.peak_memory.items()),
        ),
    ]
    if report.n_rollbacks:
        what = "the fit diverged and went on with lower learning rates"
        rows.append(("rolled back", f"{report.n_rollbacks} times: {what}"))
    return rows


def _threads(report: EncodeReport) -> str:
    """Return how many threads there were, and in how many jobs."""
    threads = f"{report.n_threads} threads"
    return threads if report.n_jobs == 1 else f"{report.n_jobs} jobs of {threads}"


def _planes_row(quality: Quality, form: str) -> tuple[str, str]:
    """Return the PSNR of the planes that there are."""
    values = {"Y": quality.y_db, "U": quality.u_db, "V": quality.v_db}
    there = {name: value for name, value in values.items() if value is not None}
    return f"PSNR {', '.join(there)}", f"{', '.join(format(v, form) for v in there.values())} dB"


def _memory(peaks: Mapping[str, int]) -> str:
    gpu = f" and {peaks['gpu'] / 2**20:,.0f} MiB of the GPU's" if "gpu" in peaks else ""
    return f"{peaks['resident'] / 2**20:,.0f} MiB{gpu}"


def _shot_rows(segments: Sequence[Sequence[int]]) -> Rows:
    """Return how many shots there are, where a segment is cut."""
    lengths = [length for shots in segments for length in shots]
    if len(lengths) == len(segments):
        return []
    return [("shots", f"{len(lengths)} of {min(lengths)} to {max(lengths)} frames")]


# --- info and verify ---


def info_rows(info: FileInfo) -> Rows:
    """Return what a file says of itself."""
    form = info.format
    color = form.color
    quality = info.quality
    start = f" from {info.start_s:.3f} s on" if info.start_s else ""
    ms_ssim = "not measured" if quality.ms_ssim is None else f"{quality.ms_ssim:.5f}"
    return [
        (
            "file",
            f"{info.path}: {info.n_bytes:,} bytes, {info.bpp:.5f} bpp,"
            f" {info.kbit_per_s:.1f} kbit/s",
        ),
        (
            "video",
            f"{form.width}x{form.height}, {_frames(info)},"
            f" {info.duration_s:.2f} s{start}, {form.samples},"
            f" pixel aspect {form.sample_aspect_ratio}",
        ),
        (
            "colour",
            f"matrix {color.matrix}, primaries {color.primaries}, transfer {color.transfer}, range"
            f" {_RANGES[color.full_range]}, chroma location {color.chroma_location} (H.273)",
        ),
        *extra_rows(info),
        ("segments", f"{len(info.segments)}: {_runs(info.lengths)} frames"),
        *_shot_rows(info.segments),
        ("network", summary(info.model)),
        (
            "parameters",
            f"{info.n_parameters:,}, {info.kmac_per_pixel:.2f} kMAC/pixel, "
            f"{info.bits_per_parameter:.2f} bits a parameter",
        ),
        ("memory", f"about {info.decode_memory_bytes / 2**20:,.0f} MiB to decode"),
        *(
            (f"  {name}", f"{size:,} bytes, {100 * size / info.n_bytes:.1f} %")
            for name, size in info.module_bytes.items()
        ),
        ("PSNR Y, U, V", ", ".join(map(_db, (quality.psnr_y, quality.psnr_u, quality.psnr_v)))),
        ("PSNR 6:1:1", f"{_db(quality.psnr_yuv)} (worst frame {_db(quality.psnr_min)})"),
        ("PSNR RGB", _db(quality.psnr_rgb)),
        ("MS-SSIM Y", ms_ssim),
        ("fit", "not stored" if quality.epochs is None else f"{quality.epochs:.0f} epochs"),
        *_md5_rows(info.md5),
    ]


def _md5_rows(each: Sequence[str | None]) -> Rows:
    """Return the MD5 of each segment's frames, a row each where they are few."""
    if len(each) > _MOST_MD5S:
        return [("MD5", f"of {len(each)} segments: --json has them")]
    return [("" if number else "MD5", md5 or "not stored") for number, md5 in enumerate(each)]


def _db(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.2f} dB"


def _runs(lengths: Sequence[int]) -> str:
    """Return how often each length stands there: 132, 132, 131 -> '2 x 132, 131'."""
    return ", ".join(
        f"{count} x {length}" if count > 1 else str(length)
        for length, count in Counter(lengths).items()
    )


def verify_rows(verification: Verification) -> Rows:
    """Return how a file compares with what its encoder stored, and the MD5 of its frames."""
    n_exact = sum(segment.verdict == "exact" for segment in verification.segments)
    n_segments = len(verification.segments)
    return [
        ("container", f"whole, {verification.n_bytes:,} bytes"),
        ("segments", f"{n_segments}, {n_exact} of them exact, on {verification.device}"),
        *_md5_rows([segment.md5 for segment in verification.segments]),
        ("verdict", verdict_text(verification)),
    ]


def verdict_text(verification: Verification) -> str:
    """Return what the verdict on a file means."""
    return {
        "exact": "exact: every decoded sample is the encoder's",
        "unknown": "unknown: the container is whole, but the encoder stored no MD5 of its frames",
        "differs": "differs",
    }[verification.verdict]


# --- compare ---


def comparison_rows(comparison: Comparison) -> Rows:
    """Return all metrics of two videos."""
    quality = comparison.quality
    pooled = comparison.pooled_db
    form = comparison.form
    xpsnr = ", ".join(f"{value:.4f}" for value in (comparison.xpsnr or {}).values())
    return [
        (
            "videos",
            f"{comparison.distorted} against {comparison.reference}:"
            f" {form.width}x{form.height}, {form.n_frames} frames",
        ),
        _planes_row(quality, ".4f"),
        ("PSNR 6:1:1", f"{quality.yuv611_db:.4f} dB (worst frame {quality.worst_yuv611_db:.4f})"),
        (
            "PSNR RGB",
            f"{quality.rgb_db:.4f} dB (worst frame {quality.worst_rgb_db:.4f}, number"
            f" {quality.worst_frame})",
        ),
        (
            "of mean MSE",
            f"Y {pooled['y']:.4f}, U {pooled['u']:.4f}, V {pooled['v']:.4f}, RGB"
            f" {pooled['rgb']:.4f} dB",
        ),
        ("SSIM Y", _or_reason(quality.ssim, quality.ssim_reason)),
        ("MS-SSIM Y", _or_reason(quality.ms_ssim, quality.ms_ssim_reason)),
        ("XPSNR Y, U, V", f"{xpsnr} dB" if comparison.xpsnr else str(comparison.xpsnr_reason)),
        ("VMAF", _or_reason(comparison.vmaf, comparison.vmaf_reason)),
    ]


def _or_reason(value: float | None, reason: str | None) -> str:
    return str(reason) if value is None else f"{value:.4f}"


# --- bench ---


def bench_text(results: Mapping[str, Any]) -> str:
    """Return the points of a benchmark, a table for each clip."""
    clips = dict.fromkeys(point["clip"] for point in results["points"])
    return "\n".join(
        table(
            [clip, "bytes", "bpp", "Y dB", "RGB dB", "encode s", "decode s"],
            [_point_cells(point) for point in results["points"] if point["clip"] == clip],
        )
        for clip in clips
    )


def _point_cells(point: Mapping[str, Any]) -> list[str]:
    return [
        f"{point['label']}, {point['setting']}",
        f"{point['bytes']:,}",
        f"{point['bpp']:.4f}",
        f"{point['psnr']['y']:.2f}",
        f"{point['psnr']['rgb']:.2f}",
        f"{point['encode_s']:.1f}",
        f"{point['decode_s']:.2f}",
    ]


def speed_text(results: Mapping[str, Any]) -> str:
    """Return the results of bench.speed as Markdown, a table for each clip under a line that says
    what was run.
    """
    heads = [
        "variant",
        "arithmetic",
        "maps",
        "optimizer",
        "loss",
        "rate term",
        "steps/s (min to max)",
        "ratio (min to max)",
        "Y dB",
        "RGB dB",
        "as good",
    ]
    parts = []
    for run in results["runs"]:
        title = (
            f"{run['clip']}, {run['width']}x{run['height']}, {run['frames']} frames:"
            f" {run['preset']}, {run['parameters']:,} parameters, {run['gmac_per_frame']:.2f} GMAC"
            f" a frame; batch {run['batch']}, {run['steps']} steps in {results['rounds']} rounds;"
            f" {_machine(results)}"
        )
        cells = [_variant_cells(variant) for variant in run["variants"]]
        parts += [title, table(heads, cells, n_texts=6, is_markdown=True)]
    return "\n\n".join(parts)


def _variant_cells(variant: Mapping[str, Any]) -> list[str]:
    return [
        variant["name"],
        variant["precision"],
        variant["layout"],
        variant["optimizer"],
        variant["loss"],
        "yes" if variant["rate_weight"] else "no",
        _range(variant["steps_per_s"]),
        _range(variant["ratio"]),
        f"{variant['psnr_y']:.2f}",
        f"{variant['psnr_rgb']:.2f}",
        "yes" if variant["is_as_good"] else "no",
    ]


def _range(spread: Mapping[str, float]) -> str:
    if spread["min"] == spread["max"]:
        return f"{spread['median']:.3g}"
    return f"{spread['median']:.3g} ({spread['min']:.3g} to {spread['max']:.3g})"


def roofline_text(results: Mapping[str, Any]) -> str:
    """Return the results of bench.roofline as Markdown: the machine's speeds, then every piece of
    work.
    """
    ceilings = [
        [name, f"{speeds['flops'] / 1e9:,.0f}", f"{speeds['copy_bytes_per_s'] / 1e9:.1f}"]
        for name, speeds in results["ceilings"].items()
    ]
    heads = [
        "network",
        "work",
        "arithmetic",
        "batch",
        "GMAC",
        "MB",
        "copy GB/s",
        "compute ms",
        "memory ms",
        "least ms",
        "measured ms",
        "measured / least",
    ]
    works = [_work_cells(work) for work in results["works"]]
    machine_heads = ["arithmetic", "product GFLOP/s", "copy GB/s"]
    return "\n\n".join(
        [
            _machine(results),
            table(machine_heads, ceilings, is_markdown=True),
            table(heads, works, n_texts=3, is_markdown=True),
        ]
    )


def _work_cells(work: Mapping[str, Any]) -> list[str]:
    times = (1000 * work[name] for name in ("compute_s", "memory_s", "least_s", "seconds"))
    return [
        work["case"],
        work["what"],
        work["precision"],
        str(work["batch"]),
        f"{work['macs'] / 1e9:.3g}",
        f"{work['n_bytes'] / 1e6:.1f}",
        f"{work['bytes_per_s'] / 1e9:.1f}",
        *(f"{time:.1f}" for time in times),
        f"{work['ratio']:.1f}",
    ]


def _machine(results: Mapping[str, Any]) -> str:
    threads = f"{results['threads']} thread{'s' * (results['threads'] > 1)}"
    return f"{results['device_name']}, {threads}, torch {results['versions']['torch']}"
