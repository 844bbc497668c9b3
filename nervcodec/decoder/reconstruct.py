"""The parameters of a segment -> its frames, a batch at a time.

Measuring a file and decoding it both go through here: one batch size, one memory layout, float32
throughout.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from nervcodec.coding.streams import decode_parameters
from nervcodec.format import costs
from nervcodec.format.file import Segment
from nervcodec.format.model_config import ModelConfig, Shots
from nervcodec.nn.cuda_graphs import Recorder
from nervcodec.nn.device import arithmetic
from nervcodec.nn.network import Network
from nervcodec.nn.planes import to_samples, unpack
from nervcodec.video.frames import Frames


def decode_segment(segment: Segment, model: ModelConfig, device: str = "cpu") -> Iterator[Frames]:
    """Yield all frames of a segment, in the model's colorspace, a batch at a time.

    Raises:
        BitstreamError: streams that no encoder writes.
    """
    return reconstruct(
        decode_parameters(segment, model), model, range(segment.n_frames), segment.shots, device
    )


def reconstruct(
    parameters: NDArray[np.float32],
    model: ModelConfig,
    numbers: range,
    shots: Shots,
    device: str = "cpu",
) -> Iterator[Frames]:
    """Yield the numbered frames of a segment, in the model's colorspace, a batch at a time.

    Batches always start at multiples of the batch size, so a frame does not depend on which others
    are asked for.

    Args:
        parameters: float32 [n_parameters], of the segment.
        numbers: of the frames, counted within the segment.
        shots: frames of each of the segment's shots.
    """
    network = Network(model, shots, torch.device(device))
    recorder = Recorder(torch.device(device))
    named = network.split(torch.from_numpy(parameters).to(device))

    def planes_of(batch: torch.Tensor) -> torch.Tensor:
        return to_samples(network(named, batch), model)

    size = costs.decode_batch(model)
    for start in range(numbers.start - numbers.start % size, numbers.stop, size):
        batch = torch.arange(start, min(start + size, sum(shots)), device=device)
        with torch.inference_mode(), arithmetic(torch.device(device), is_exact=True):
            planes = recorder.call(len(batch), planes_of, batch)
        yield unpack(planes[max(numbers.start - start, 0) : numbers.stop - start], model)
