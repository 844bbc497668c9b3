"""Where the work runs: the device, its arithmetic for fitting, and the number of threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.utils.deterministic

from nervcodec.errors import DeviceError
from nervcodec.nn.arithmetic import Arithmetic, Precision
from nervcodec.util.memory import available_bytes, peak_bytes
from nervcodec.util.validation import check_device_name, check_threads


def choose_device(name: str) -> str:
    """'auto' -> 'cuda' where there is one, else 'cpu'; others are checked.

    Raises:
        ConfigError: not auto, cpu, cuda or cuda:N.
        DeviceError: a CUDA device that is not there.
    """
    check_device_name(name)
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = name.partition(":")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise DeviceError(
            f"device {name}: torch sees {torch.cuda.device_count()} CUDA devices; "
            "for one, install a CUDA build of torch (https://pytorch.org) and its driver"
        )
    return name


def n_gpus_of(device: str) -> int:
    """Return how many GPUs a chosen device stands for: all for 'cuda', one for 'cuda:N'."""
    if device == "cuda":
        return torch.cuda.device_count()
    return int(device.startswith("cuda"))


def choose_precision(name: Precision, device: str) -> Arithmetic:
    """'auto' -> 'bfloat16' where the device multiplies it in hardware, else 'float32'; others are
    returned as given.
    """
    if name != "auto":
        return name
    if device.startswith("cuda"):
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return (
        "bfloat16" if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else "float32"
    )


@contextmanager
def arithmetic(device: torch.device, *, is_exact: bool) -> Iterator[None]:
    """How torch computes within.

    On the CPU the same seed and number of threads give the same, bit for bit: by the debug mode,
    which sets the flag of use_deterministic_algorithms without loading torch's compiler for it, 2
    seconds of every decode. On a GPU, if is_exact, as decoders must: float32 in float32, always by
    the same algorithm; else as torch has it, in TensorFloat-32. What cuDNN finds
    by trying (its benchmark mode) was no faster and took 14 seconds.
    """
    settings, products = torch.backends.cudnn, torch.backends.cuda.matmul
    flags = settings.allow_tf32, settings.deterministic, products.allow_tf32
    fill = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    before = torch.get_deterministic_debug_mode(), fill
    if device.type == "cpu":
        torch.set_deterministic_debug_mode("error")
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    elif is_exact:
        settings.allow_tf32, settings.deterministic, products.allow_tf32 = False, True, False
    try:
        yield
    finally:
        settings.allow_tf32, settings.deterministic, products.allow_tf32 = flags
        torch.set_deterministic_debug_mode(before[0])
        torch.utils.deterministic.fill_uninitialized_memory = before[1]  # type: ignore[attr-defined]


def free_memory_bytes(device: str) -> int | None:
    """Memory that is left on a device; None if unknown."""
    if device.startswith("cuda"):
        free: int = torch.cuda.mem_get_info(device)[0]
        return free
    return available_bytes()


def peak_memory_bytes(device: str) -> dict[str, int]:
    """The most memory that this process has had so far: resident, and on a GPU."""
    gpu = {"gpu": torch.cuda.max_memory_allocated(device)} if device.startswith("cuda") else {}
    return {"resident": peak_bytes(), **gpu}


def set_threads(n_threads: int | None) -> int:
    """Sets torch's threads within an operation, if a number is given; returns the number in use."""
    check_threads(n_threads)
    if n_threads is not None:
        torch.set_num_threads(n_threads)
    return torch.get_num_threads()


def device_label(device: str) -> str:
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else "cpu"
