"""A piece of work on a GPU as one launch: recorded once as a CUDA graph, then replayed.

A training step is about a thousand kernels, and with small frames the host takes longer to ask for
each than the GPU to run it. On the CPU the work is simply called.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import torch
from torch import Tensor


class Recorder:
    """Calls functions of tensors on a device; on a GPU, from a key's second call on, by replaying
    what they did.

    What changes from one call to the next must be among the arguments, or in tensors that stay
    where they are and are changed in place. What a function does apart from that, in Python,
    happens at its first two calls only.

    Args:
        device: of all tensors.
        generators: those that the functions draw from, on the same device.
    """

    def __init__(self, device: torch.device, generators: Sequence[torch.Generator] = ()) -> None:
        self._device, self._generators = device, generators
        self.forget()

    def forget(self) -> None:
        """Drops what was recorded: tensors that it used were replaced."""
        self._places: dict[Hashable, list[Tensor]] = {}
        self._recordings: dict[Hashable, tuple[torch.cuda.CUDAGraph, Tensor]] = {}

    def call(
        self, key: Hashable, function: Callable[..., Tensor], *arguments: Tensor | float
    ) -> Tensor:
        """function(*arguments), numbers as float32 scalars on the device.

        Args:
            key: calls with equal keys do the same, with arguments of the same shapes.
        Returns:
            What the function does; on a GPU it may be overwritten by the next call with any key.
        """
        is_first = key not in self._places
        if is_first:
            self._places[key] = [
                torch.empty_like(value)
                if isinstance(value, Tensor)
                else torch.empty((), device=self._device)
                for value in arguments
            ]
        places = self._places[key]
        for place, value in zip(places, arguments, strict=True):
            place.copy_(value) if isinstance(value, Tensor) else place.fill_(value)
        if self._device.type != "cuda":
            return function(*places)
        if is_first:
            return self._beside(function, places)
        if key not in self._recordings:
            self._recordings[key] = self._recorded(function, places)
        graph, found = self._recordings[key]
        graph.replay()
        return found

    def _beside(self, function: Callable[..., Tensor], places: Sequence[Tensor]) -> Tensor:
        """Calls the function on a stream of its own, as recordings are made: libraries set up what
        they need.
        """
        stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        main = torch.cuda.current_stream(self._device)
        stream.wait_stream(main)
        with torch.cuda.stream(stream):
            found = function(*places)
        main.wait_stream(stream)
        found.record_stream(main)
        return found

    def _recorded(
        self, function: Callable[..., Tensor], places: Sequence[Tensor]
    ) -> tuple[torch.cuda.CUDAGraph, Tensor]:
        graph = torch.cuda.CUDAGraph()
        for generator in self._generators:
            graph.register_generator_state(generator)
        pool = next(
            (known.pool() for known, _ in self._recordings.values()), None
        )  # none is replayed beside another
        with torch.cuda.graph(graph, pool=pool):
            found = function(*places)
        return graph, found
