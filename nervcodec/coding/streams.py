"""The symbols of a segment's groups <-> the coded streams of its modules."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from nervcodec.coding.quantizer import dequantize, step_from_code
from nervcodec.coding.range_coder import Coded, Form, decode_symbols, encode_symbols
from nervcodec.format import tensors
from nervcodec.format.file import Segment
from nervcodec.format.model_config import ModelConfig, Shots


def segment_of(coded: list[Coded], model: ModelConfig, shots: Shots) -> Segment:
    """Return a segment of the symbols of all groups, with a stream for each module."""
    by_module = itertools.groupby(
        zip(tensors.groups(model, shots), coded, strict=True), key=lambda pair: pair[0].module
    )
    modules = (list(pairs) for _, pairs in by_module)
    return Segment(
        shots,
        tuple(
            encode_symbols(
                [symbols for _, symbols in pairs],
                _forms(group for group, _ in pairs),
                model.max_symbol,
            )
            for pairs in modules
        ),
    )


def _forms(groups: Iterable[tensors.Group]) -> list[Form]:
    return [Form(group.shape, group.keys, group.follows) for group in groups]


def entropy_bytes(model: ModelConfig, shots: Shots, coded: list[Coded]) -> float:
    """Return the sum of all tensors' empirical order-0 entropies in bytes.

    It is the yardstick of the entropy coder.
    """
    symbols = np.concatenate([group.symbols for group in coded])
    bits, start = 0.0, 0
    for tensor in tensors.tensors(model, shots):
        counts = np.unique(symbols[start : start + tensor.size], return_counts=True)[1]
        bits -= float(counts @ np.log2(counts / tensor.size))
        start += tensor.size
    return bits / 8


def decode_symbols_of(segment: Segment, model: ModelConfig) -> list[Coded]:
    """Return the symbols and steps of all groups, in coded order.

    Raises:
        BitstreamError: streams that no encoder writes.
    """
    coded: list[Coded] = []
    groups = tensors.groups(model, segment.shots)
    for module, stream in zip(tensors.module_names(model), segment.streams, strict=True):
        forms = _forms(group for group in groups if group.module == module)
        coded += decode_symbols(stream, forms, model.max_symbol)
    return coded


def decode_parameters(segment: Segment, model: ModelConfig) -> NDArray[np.float64]:
    """Return the parameters of a segment's network, exact, float64 [n_parameters].

    Raises:
        BitstreamError: streams that no encoder writes.
    """
    groups = tensors.groups(model, segment.shots)
    return np.concatenate(
        [
            dequantize(part.symbols, step_from_code(part.step_code), group.keys)
            for part, group in zip(decode_symbols_of(segment, model), groups, strict=True)
        ]
    )
