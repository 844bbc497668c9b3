"""Recorded work: on the CPU it is called as it is; tests/test_cuda.py holds what a GPU replays
against it.
"""

import torch

from nervcodec.nn.cuda_graphs import Recorder

CPU = torch.device("cpu")


def test_numbers_become_scalars_on_the_device() -> None:
    """A number arrives as a float32 scalar, a tensor with its values, and what the function returns
    comes back.
    """
    seen: list[torch.Tensor] = []

    def scaled(values: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
        seen.append(factor)
        return values * factor

    found = Recorder(CPU).call("a", scaled, torch.tensor([1.0, -2.0]), 0.5)
    assert found.tolist() == [0.5, -1.0]
    assert seen[0].shape == () and seen[0].dtype == torch.float32


def test_every_call_sees_its_own_arguments() -> None:
    """Arguments are copied to the places of their key, so those of another key and the caller's
    stay the same.
    """
    recorder, log = Recorder(CPU), []

    def note(values: torch.Tensor) -> torch.Tensor:
        log.append(values.tolist())
        return values.mul_(0)

    given = torch.tensor([1, 2])
    recorder.call("a", note, given)
    recorder.call("b", note, torch.tensor([3]))
    recorder.call("a", note, torch.tensor([4, 5]))
    assert log == [[1, 2], [3], [4, 5]] and given.tolist() == [1, 2]


def test_forgetting_allows_other_shapes() -> None:
    """After `forget` a key takes arguments of any shape again."""
    recorder = Recorder(CPU)
    recorder.call("a", torch.clone, torch.zeros(2))
    recorder.forget()
    assert recorder.call("a", torch.clone, torch.ones(3)).tolist() == [1, 1, 1]
