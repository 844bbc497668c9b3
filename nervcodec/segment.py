"""One group of frames <-> one segment of the file: fit, prune, quantize and code it; decode it again.

Top-level functions with picklable arguments, so that any ordered map can run them. Measuring a file and decoding it
both go through decode_segment: one batch size, one memory layout, float32 throughout.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from . import architecture
from .bitstream import Segment
from .color import Frames
from .config import FitConfig, ModelConfig
from .entropy import Coded, decode_symbols, encode_symbols
from .fit import Fitted, Fitter, OnProgress, deterministic, silent
from .model import Network, pack, to_uint8, unpack
from .prune import magnitude_mask
from .quantize import code_from_step, dequantize, quantize, step_from_code, writable_steps


@dataclass(frozen=True)
class FitSummary:
    """What became of a fit. sparsity: share of zero symbols; entropy_bytes: sum of the tensors' order-0 entropies."""

    n_rollbacks: int
    sparsity: float
    entropy_bytes: float


def encode_segment(frames: Frames, model: ModelConfig, fit: FitConfig, device: str = "cpu",
                   on_progress: OnProgress = silent) -> tuple[Segment, FitSummary]:
    """Fits the model to the frames (already in the model's colorspace) and codes it.

    Raises:
        FitError: the fit kept diverging.
    """
    target = torch.from_numpy(pack(frames, model)).to(device)
    fitter = Fitter(model, fit, target, on_progress)
    fitted = fitter.overfit(fitter.start())
    if fit.finetune_epochs:
        mask = magnitude_mask(fitted.parameters, fitter.network.tensors, fit.prune)
        fitted = fitter.overfit(fitted, mask)
    coded = quantized(fitted, model, frames.n_frames)
    by_module = itertools.groupby(zip(architecture.groups(model, frames.n_frames), coded, strict=True),
                                  key=lambda pair: pair[0].module)
    streams = tuple(encode_symbols([symbols for _, symbols in pairs], model.max_symbol) for _, pairs in by_module)
    zeros = sum(int((group.symbols == 0).sum()) for group in coded)
    return Segment(frames.n_frames, streams), FitSummary(
        fitted.n_rollbacks, zeros / fitted.parameters.numel(), entropy_bytes(model, frames.n_frames, coded))


def quantized(fitted: Fitted, model: ModelConfig, n_frames: int) -> list[Coded]:
    """Symbols and step code of every group, in coded order."""
    values = fitted.parameters.cpu().numpy()
    steps = writable_steps(fitted.log_steps.exp()).cpu().tolist()
    coded, start = [], 0
    for group, step in zip(architecture.groups(model, n_frames), steps, strict=True):
        code = code_from_step(step)
        symbols = quantize(values[start:start + group.size], step_from_code(code), model.max_symbol, group.lag)
        coded.append(Coded(symbols, code))
        start += group.size
    return coded


def entropy_bytes(model: ModelConfig, n_frames: int, coded: list[Coded]) -> float:
    """Sum over all parameter tensors of their own empirical order-0 entropy, the yardstick of the entropy coder."""
    symbols = np.concatenate([group.symbols for group in coded])
    bits, start = 0.0, 0
    for tensor in architecture.tensors(model, n_frames):
        counts = np.unique(symbols[start:start + tensor.size], return_counts=True)[1]
        bits -= float(counts @ np.log2(counts / tensor.size))
        start += tensor.size
    return bits / 8


def decode_symbols_of(segment: Segment, model: ModelConfig) -> list[Coded]:
    """The symbols and steps of all groups, in coded order.

    Raises:
        BitstreamError: streams that no encoder writes.
    """
    coded: list[Coded] = []
    groups = architecture.groups(model, segment.n_frames)
    for module, stream in zip(architecture.module_names(model), segment.streams, strict=True):
        sizes = [group.size for group in groups if group.module == module]
        coded += decode_symbols(stream, sizes, model.max_symbol)
    return coded


def decode_segment(segment: Segment, model: ModelConfig, first: int = 0, stop: int | None = None,
                   device: str = "cpu") -> Iterator[Frames]:
    """The frames first..stop-1 of a segment, in the model's colorspace, a batch at a time.

    Batches always start at multiples of the batch size, so a frame does not depend on which others are asked for.
    """
    stop = segment.n_frames if stop is None else stop
    coded = decode_symbols_of(segment, model)
    flat = np.concatenate([dequantize(part.symbols, step_from_code(part.step_code), group.lag)
                           for part, group in zip(coded, architecture.groups(model, segment.n_frames), strict=True)])
    network = Network(model, segment.n_frames, torch.device(device))
    parameters = network.split(torch.from_numpy(flat).to(device))
    size = architecture.decode_batch(model)
    for start in range(first - first % size, stop, size):
        numbers = torch.arange(start, min(start + size, segment.n_frames), device=device)
        with torch.inference_mode(), deterministic(torch.device(device)):
            planes = to_uint8(network(parameters, numbers)).cpu().numpy()
        yield unpack(planes[max(first - start, 0):stop - start], model)
