"""What makes frames of parameters: torch, or NumPy where there is no torch.

Both give the same samples (nvpp-format.md section 5). Nothing is loaded before it is used.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from nervcodec.errors import ConfigError
from nervcodec.util.packages import are_installed, need_torch
from nervcodec.util.threads import n_cores
from nervcodec.util.validation import check_choice, check_device_name, check_threads

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nervcodec.format.model_config import ModelConfig, Shots
    from nervcodec.video.frames import Frames

EngineName = Literal["torch", "numpy"]
EngineChoice = Literal["auto", "torch", "numpy"]
ENGINES: tuple[EngineChoice, ...] = get_args(EngineChoice)


@dataclass(frozen=True)
class Engine:
    """What makes frames of parameters, and where.

    Attributes:
        name: 'torch' or 'numpy'.
        device: 'cpu' or, with torch, 'cuda' or 'cuda:N'.
        is_fast: whether float32 will do, with torch, which moves some samples by a level of 8 bits.
        n_threads: CPU threads of torch, or frames that NumPy decodes at once; None leaves torch's
            number, or is a frame for each core.
    """

    name: EngineName
    device: str = "cpu"
    is_fast: bool = False
    n_threads: int | None = None

    def load(self) -> None:
        """Import what the engine needs, so that its first frame does not wait for it."""
        if self.name == "torch":
            import nervcodec.decoder.reconstruct
        else:
            import nervcodec.decoder.numpy_network  # noqa: F401

    def reconstruct(
        self,
        parameters: NDArray[np.floating],
        model: ModelConfig,
        numbers: range,
        shots: Shots,
        fraction_bits: int,
    ) -> Iterator[Frames]:
        """Return the numbered frames of a segment, in the model's colorspace, some at a time.

        Args:
            parameters: [n_parameters], of the segment, exact in float64.
            numbers: of the frames, counted within the segment.
            shots: frames of each of the segment's shots.
            fraction_bits: of the values of feature maps.
        Raises:
            DeviceError: the device does not add exactly.
        """
        if self.name == "numpy":
            from nervcodec.decoder import numpy_network

            return numpy_network.reconstruct(
                parameters, model, numbers, shots, fraction_bits, self.n_threads or n_cores()
            )
        from nervcodec.decoder.reconstruct import reconstruct
        from nervcodec.nn.device import set_threads

        set_threads(self.n_threads)
        return reconstruct(
            parameters, model, numbers, shots, self.device, fraction_bits, self.is_fast
        )


def check_engine(name: str, device: str, is_fast: bool) -> None:
    """Raise ConfigError for an engine, or for a device or speed that it does not have."""
    check_choice("engine", name, ENGINES)
    check_device_name(device)
    if name != "numpy":
        return
    if device.startswith("cuda"):
        raise ConfigError(f"device is {device} with engine numpy; legal: auto, cpu")
    if is_fast:
        raise ConfigError("fast with engine numpy; legal: with engine auto or torch")


def choose_engine(
    name: str = "auto", device: str = "auto", is_fast: bool = False, n_threads: int | None = None
) -> Engine:
    """Return the engine that is asked for; 'auto' takes torch where it is installed, else NumPy.

    Args:
        name: 'auto', 'torch' or 'numpy'.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
        is_fast, n_threads: as Engine has them.
    Raises:
        ConfigError: a value, or two together, that cannot be.
        DependencyError: torch is asked for, by its name or by what it alone has, and not installed.
        DeviceError: a CUDA device that is not there.
    """
    check_engine(name, device, is_fast)
    check_threads(n_threads)
    if device.startswith("cuda"):
        need_torch(f"device {device}")
    if is_fast:
        need_torch("fast")
    if name == "torch":
        need_torch("engine torch")
    if _is_numpy(name):
        return Engine("numpy", n_threads=n_threads)
    from nervcodec.nn.device import choose_device

    return Engine("torch", choose_device(device), is_fast, n_threads)


def limit_blas(name: str) -> None:
    """Have NumPy multiply on one thread where it is the engine, unless the user says how many.

    It decodes a frame on each thread, so that more would wait for each other. It counts where NumPy
    is not loaded yet, and in processes that are started later.
    """
    if _is_numpy(name) and "numpy" not in sys.modules:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def _is_numpy(name: str) -> bool:
    return name == "numpy" or (name == "auto" and not are_installed("torch"))
