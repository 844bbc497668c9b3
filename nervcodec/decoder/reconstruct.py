"""The parameters of a segment -> its frames, a batch at a time.

Measuring a file and decoding it both go through here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from nervcodec.coding.streams import decode_parameters
from nervcodec.format import costs
from nervcodec.format.file import Segment
from nervcodec.format.model_config import USUAL_FRACTION_BITS, ModelConfig, Shots
from nervcodec.nn.cuda_graphs import Recorder
from nervcodec.nn.device import arithmetic
from nervcodec.nn.exact_layers import check_device
from nervcodec.nn.exact_network import ExactNetwork
from nervcodec.nn.grid_maps import FloatGridMaps
from nervcodec.nn.integer_network import IntegerNetwork
from nervcodec.nn.network import Network, to_samples
from nervcodec.nn.planes import frames_of, interleaved
from nervcodec.video.frames import Frames

Decoder = Callable[[Sequence[int]], torch.Tensor]


@dataclass
class Watch:
    """What is seen while a segment is decoded.

    Attributes:
        is_clipped: whether a value of a feature map was clipped, which fewer fraction bits avoid.
    """

    is_clipped: bool = False


def decode_segment(
    segment: Segment, model: ModelConfig, device: str = "cpu", watch: Watch | None = None
) -> Iterator[Frames]:
    """Yield all frames of a segment, in the model's colorspace, a batch at a time.

    Args:
        watch: takes what is seen; decoding is then slower.
    Raises:
        BitstreamError: streams that no encoder writes.
        DeviceError: the device does not add exactly.
    """
    parameters = decode_parameters(segment, model)
    where = torch.device(device)
    integers = IntegerNetwork(parameters, model, segment.shots, segment.fraction_bits)
    decoder = exact_decoder(integers, where, watches=watch is not None)
    for frames in _batches(decoder, integers, range(segment.n_frames), where):
        if watch:
            watch.is_clipped = watch.is_clipped or decoder.is_clipped
        yield frames


def reconstruct(
    parameters: NDArray[np.floating],
    model: ModelConfig,
    numbers: range,
    shots: Shots,
    device: str = "cpu",
    fraction_bits: int = USUAL_FRACTION_BITS,
    is_fast: bool = False,
) -> Iterator[Frames]:
    """Yield the numbered frames of a segment, in the model's colorspace, a batch at a time.

    Args:
        parameters: [n_parameters], of the segment, exact in float64.
        numbers: of the frames, counted within the segment.
        shots: frames of each of the segment's shots.
        fraction_bits: of the values of feature maps.
        is_fast: whether float32 will do, which moves some samples by a level of 8 bits.
    Raises:
        DeviceError: the device does not add exactly.
    """
    where = torch.device(device)
    integers = IntegerNetwork(parameters, model, shots, fraction_bits)
    decoder = float_decoder(integers, where) if is_fast else exact_decoder(integers, where)
    return _batches(decoder, integers, numbers, where)


def _batches(
    decoder: Decoder, integers: IntegerNetwork, numbers: range, device: torch.device
) -> Iterator[Frames]:
    """Yield the numbered frames of a segment, a batch at a time."""
    model = integers.model
    size = costs.decode_batch(model)
    for start in range(numbers.start, numbers.stop, size):
        frames = range(start, min(start + size, numbers.stop))
        with torch.inference_mode(), arithmetic(device, is_exact=True):
            planes = decoder(frames)
            parts = interleaved(planes, model, planes.new_empty)
        yield frames_of([part.contiguous().cpu().numpy() for part in parts], model)


def exact_decoder(
    integers: IntegerNetwork, device: torch.device, watches: bool = False
) -> ExactNetwork:
    """Return what gives the samples of frames as every decoder does.

    Raises:
        DeviceError: the device does not add exactly.
    """
    with torch.inference_mode(), arithmetic(device, is_exact=True):
        check_device(str(device))
        return ExactNetwork(integers, device, watches=watches)


def float_decoder(integers: IntegerNetwork, device: torch.device) -> Decoder:
    """Return what gives the samples of frames in float32, with the integers' weights and places."""
    model = integers.model
    network = Network(model, integers.shots, device)
    recorder = Recorder(device)
    named = {
        name: torch.from_numpy(values).to(device)
        for name, values in integers.layers_as_floats().items()
    }
    grid_maps = FloatGridMaps(integers, device)
    levels = sorted({grid.level for grid in model.grids})

    def planes_of(batch: torch.Tensor, *maps: torch.Tensor) -> torch.Tensor:
        of_level = dict(zip(levels, maps, strict=True))
        return to_samples(network.from_maps(named, of_level.__getitem__, batch), model)

    def decode(frames: Sequence[int]) -> torch.Tensor:
        batch = torch.tensor(list(frames), device=device)
        maps = [grid_maps(level, frames) for level in levels]
        return recorder.call(len(frames), planes_of, batch, *maps)

    return decode
