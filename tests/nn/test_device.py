"""nervcodec.nn.device: which device, which arithmetic, how many threads."""

from collections.abc import Iterator

import pytest
import torch

from nervcodec.errors import ConfigError, DeviceError
from nervcodec.nn import device


@pytest.fixture(autouse=True)
def restored_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("there", "chosen"), [(True, "cuda"), (False, "cpu")])
def test_auto_takes_cuda_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, there: bool, chosen: str
) -> None:
    """'auto' is CUDA if torch sees it, else the CPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert device.choose_device("auto") == chosen


@pytest.mark.parametrize("name", ["tpu", "cuda:x", "cuda:-1", "cpu:0", ""])
def test_unknown_devices_are_refused(name: str) -> None:
    """A device that no backend has is named with what is legal."""
    with pytest.raises(ConfigError, match="legal: auto, cpu, cuda, cuda:N"):
        device.choose_device(name)


def test_a_missing_gpu_is_a_backend_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second GPU of a machine with one is refused with the number there."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert device.choose_device("cuda:0") == "cuda:0"
    with pytest.raises(DeviceError, match="torch sees 1 CUDA devices"):
        device.choose_device("cuda:1")


@pytest.mark.parametrize(
    ("capabilities", "precision"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, "bfloat16"),
        ({"amx_bf16": True}, "bfloat16"),
        ({"avx512_bf16": False}, "float32"),
        ({}, "float32"),
    ],
)
def test_bfloat16_only_where_the_cpu_has_it(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], precision: str
) -> None:
    """'auto' follows the CPU's instructions; a torch that cannot tell gets float32."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert device.choose_precision("auto", "cpu") == precision
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert device.choose_precision("auto", "cpu") == "float32"


def test_a_given_precision_stays() -> None:
    """A precision asked for by name is not second-guessed."""
    assert device.choose_precision("bfloat16", "cpu") == "bfloat16"


def test_threads_are_set_and_told() -> None:
    """A number of threads is set; none leaves torch's own."""
    assert device.set_threads(1) == torch.get_num_threads() == 1
    assert device.set_threads(None) == 1


@pytest.mark.parametrize("n_threads", [0, -1, 1025])
def test_impossible_threads_are_refused(n_threads: int) -> None:
    """1 to 1024 threads are legal."""
    with pytest.raises(ConfigError, match=f"threads is {n_threads}; legal: 1 to 1024"):
        device.set_threads(n_threads)


# --- arithmetic ---


def gpu_flags() -> tuple[bool, bool, bool]:
    settings, products = torch.backends.cudnn, torch.backends.cuda.matmul
    return settings.allow_tf32, settings.deterministic, products.allow_tf32


@pytest.mark.parametrize("is_exact", [True, False])
def test_the_cpu_is_deterministic_within(is_exact: bool) -> None:
    """On the CPU deterministic algorithms are demanded within, and the setting before comes back,
    errors or not.
    """
    assert not torch.are_deterministic_algorithms_enabled()
    with pytest.raises(KeyError), device.arithmetic(torch.device("cpu"), is_exact=is_exact):
        assert torch.are_deterministic_algorithms_enabled()
        raise KeyError
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.fixture(params=[True, False])
def products_in_tf32(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whether matrix products may be in TensorFloat-32 beforehand."""
    products = torch.backends.cuda.matmul
    before, products.allow_tf32 = products.allow_tf32, request.param
    yield
    products.allow_tf32 = before


@pytest.mark.usefixtures("products_in_tf32")
def test_a_gpu_decodes_in_float32() -> None:
    """Within exact arithmetic a GPU's float32 is float32, its algorithms fixed; fits are left as
    torch has it.
    """
    before, cuda = gpu_flags(), torch.device("cuda")
    with pytest.raises(KeyError), device.arithmetic(cuda, is_exact=False):
        assert gpu_flags() == before
        with device.arithmetic(cuda, is_exact=True):
            assert gpu_flags() == (False, True, False)
            assert not torch.are_deterministic_algorithms_enabled()
            raise KeyError
    assert gpu_flags() == before
