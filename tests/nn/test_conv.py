"""nervcodec.nn.conv: gradients against torch's own, and where they are taken."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nervcodec.nn.conv import conv2d, weight_gradient


def random(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def gradients(y: Tensor, leaves: list[Tensor]) -> tuple[Tensor, ...]:
    """Of a loss that is different at every value."""
    return torch.autograd.grad((y * random(*y.shape, seed=3).to(y.dtype)).sum(), leaves)


@pytest.mark.parametrize(
    "maps", [torch.channels_last, torch.contiguous_format], ids=["channels last", "contiguous"]
)
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize(
    "size", [(1, 1, 1, 1, 1), (2, 3, 4, 5, 7), (3, 8, 2, 1, 9), (1, 5, 6, 4, 1)]
)
def test_weight_gradient_is_autograds(
    size: tuple[int, int, int, int, int], kernel: int, maps: torch.memory_format
) -> None:
    """Sizes below the kernel's too: (frames, channels, outputs, rows, columns)."""
    n_frames, channels, outputs, rows, columns = size
    x = random(n_frames, channels, rows, columns, seed=0).contiguous(memory_format=maps)
    weight = random(outputs, channels, kernel, kernel, seed=1).requires_grad_()
    given = random(n_frames, outputs, rows, columns, seed=2).contiguous(memory_format=maps)
    (expected,) = torch.autograd.grad(F.conv2d(x, weight, padding=kernel // 2), weight, given)
    torch.testing.assert_close(weight_gradient(x, given, kernel), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("has_bias", [True, False])
def test_both_ways_give_the_same(monkeypatch: pytest.MonkeyPatch, has_bias: bool) -> None:
    """Output, to the bit, and the gradients of everything, in float32."""
    x = (
        random(2, 6, 9, 11, seed=0, dtype=torch.float32)
        .contiguous(memory_format=torch.channels_last)
        .requires_grad_()
    )
    weight = random(8, 6, 3, 3, seed=1, dtype=torch.float32).requires_grad_()
    leaves = [
        x,
        weight,
        *([random(8, seed=2, dtype=torch.float32).requires_grad_()] if has_bias else []),
    ]
    outputs = {}
    for capability in ("AVX2", "AVX512"):
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda name=capability: name)
        outputs[capability] = conv2d(x, weight, leaves[2] if has_bias else None)
    assert torch.equal(*outputs.values())
    for ours, torchs in zip(*(gradients(y, leaves) for y in outputs.values()), strict=True):
        torch.testing.assert_close(ours, torchs, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("capability", "dtype", "learns", "is_ours"),
    [
        ("AVX2", torch.float32, True, True),
        ("AVX2", torch.float32, False, False),
        ("AVX2", torch.bfloat16, True, False),
        ("AVX512", torch.float32, True, False),
        ("DEFAULT", torch.float32, True, False),
    ],
)
def test_only_where_torchs_is_slow(
    monkeypatch: pytest.MonkeyPatch,
    capability: str,
    dtype: torch.dtype,
    learns: bool,
    is_ours: bool,
) -> None:
    """In float32 on CPUs with AVX2 alone, and never where nothing is learned, as in a decoder."""
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    x = random(1, 2, 3, 3, seed=0).to(dtype).requires_grad_()
    weight = random(4, 2, 3, 3, seed=1).to(dtype).requires_grad_(learns)
    grad_fn = conv2d(x, weight, None).grad_fn
    assert grad_fn and ("_Convolution" in grad_fn.name()) == is_ours
