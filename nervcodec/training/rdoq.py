"""After a fit: moves symbols to where rate and distortion together are least (docs/lab L046, L047).

A fit that rounds straight through leaves many parameters on the wrong side of a boundary: they
swing about it until the learning rate is 0, and stay where they are then. Here a quadratic model of
the distortion says of each symbol alone what a step up or down would give, and the coder's tables
say what it would take (rate-distortion optimised quantization, RDOQ). All moves that pay are made
at once, with curvatures made larger so that they do not spoil each other; the slopes at their end
tell which of them did harm.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from nervcodec.training.context import Solution, TrainingContext
from nervcodec.training.rate_model import NATS_PER_DB
from nervcodec.training.rdoq_model import Evaluation, SymbolModel
from nervcodec.training.state import Progress, StageName, Ticks, TrainingState, copied


@dataclass(frozen=True)
class _Rules:
    """How moves are chosen (docs/lab L047).

    Attributes:
        first_samples: of the curvature, a frame, before the first moves.
        more_samples: after each good ones.
        damping: what curvatures are multiplied by at first.
        least_damping: what they are multiplied by at least.
        bolder: what the damping is multiplied by after good moves.
        more_careful: what it is multiplied by after bad ones.
        memory: what is left a pass later of the curvature that harmful moves met.
        more_passes: towards a target, at most (L049).
        least_bit_weight, most_bit_weight: of what a bit costs in distortion.
        bit_weight_precision: in nats.
    """

    first_samples: float = 3.0
    more_samples: float = 0.5
    damping: float = 2.5
    least_damping: float = 1.05
    bolder: float = 0.7
    more_careful: float = 1.3
    memory: float = 0.97
    more_passes: int = 24
    least_bit_weight: float = 1e-15
    most_bit_weight: float = 1.0
    bit_weight_precision: float = 0.05


_RULES = _Rules()


@dataclass
class SearchState:
    """What passes change.

    Attributes:
        multiples: of the steps, the best so far, float32 [n_parameters].
        curvature_sum: of the curvature's samples, float32 [n_parameters].
        met: the curvature along which moves did harm, float32 [n_parameters].
        left: moves of a trial that was worse, without those that did harm, float32 [n_parameters].
        error: of the best so far, in ln(bytes); 0 without a target.
        bit_weight: what a bit costs in distortion.
        damping: what curvatures are multiplied by.
        n_samples: of the curvature, a frame.
        n_passes: that are done.
    """

    multiples: Tensor
    curvature_sum: Tensor
    met: Tensor
    left: Tensor
    error: float
    bit_weight: float
    damping: float = _RULES.damping
    n_samples: float = 0.0
    n_passes: int = 0

    def state_dict(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return all of it: numbers, and copies of the tensors on the CPU."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        arrays = {name: value for name, value in values.items() if isinstance(value, Tensor)}
        return {name: values[name] for name in values if name not in arrays}, copied(arrays)

    @classmethod
    def loaded(
        cls, numbers: Mapping[str, Any], arrays: Mapping[str, Tensor], device: torch.device
    ) -> SearchState:
        """Return what state_dict gave, on a device."""
        values = {
            **numbers,
            **{name: value.to(device, copy=True) for name, value in arrays.items()},
        }
        return cls(**{field.name: values[field.name] for field in fields(cls)})


class Search:
    """Passes over the frames, each with a trial of moves.

    Towards a target a bit costs, in each pass, what makes the moves just meet it.

    Args:
        context: of the fit.
        model: of the symbols.
        state: where the search stands; None begins one.
        start, rate_weight: what the fit gave.
    """

    def __init__(
        self,
        context: TrainingContext,
        model: SymbolModel,
        start: Solution,
        rate_weight: float,
        state: SearchState | None = None,
    ) -> None:
        self.context = context
        self.model = model
        self.state = state or SearchState(
            model.multiples(start),
            torch.zeros_like(start.parameters),
            torch.zeros_like(start.parameters),
            torch.zeros_like(start.parameters),
            context.error(start),
            rate_weight / context.n_pixels,
        )

    @property
    def goes_on(self) -> bool:
        """Whether passes are left: those of the configuration, and more beside a target."""
        is_near = abs(self.state.error) <= self.context.tolerance
        n_more = 0 if is_near else _RULES.more_passes
        return self.state.n_passes < self.context.fit.n_rdoq_passes + n_more

    def begin(self) -> Ticks[Evaluation]:
        """Yield after each batch; return what the multiples give, with the curvature sampled."""
        now = yield from self.model.evaluate(self.state.multiples)
        if not self.state.n_samples:
            yield from self.sample_curvature(_RULES.first_samples)
        return now

    def one_pass(self, now: Evaluation) -> Ticks[Evaluation | None]:
        """Yield after each batch; return the better one of a trial and of now.

        It returns None where no moves are left to try.
        """
        state = self.state
        moves = state.left
        if not moves.any():
            if self.context.fit.has_target:
                self.steer(now)
            moves = self.moves(now)
        if moves.any():
            trial = yield from self.model.evaluate(state.multiples + moves)
            if self.is_better(now, trial, moves):
                now = trial
                state.multiples = trial.multiples
                yield from self.sample_curvature(_RULES.more_samples)
        elif state.damping > _RULES.least_damping:
            state.damping = max(_RULES.bolder * state.damping, _RULES.least_damping)
        else:
            return None
        state.n_passes += 1
        return now

    def steer(self, now: Evaluation) -> None:
        """Set what a bit costs so that moves change size or distortion by what is asked for."""
        state = self.state
        low, high = math.log(_RULES.least_bit_weight), math.log(_RULES.most_bit_weight)
        while high - low > _RULES.bit_weight_precision:
            middle = (low + high) / 2
            state.bit_weight = math.exp(middle)
            moves = self.moves(now)
            if self.context.fit.target_bpp:
                is_dear = float(now.more_bits(moves).sum()) < -state.error * now.bits
            else:
                growth = 10 ** (state.error / NATS_PER_DB / 10) - 1
                bends = moves.square() * state.damping * self.curvature() / 2
                change = moves * now.slopes + bends
                is_dear = float(change.sum()) > growth * now.distortion
            low, high = (low, middle) if is_dear else (middle, high)

    def moves(self, now: Evaluation) -> Tensor:
        """Return -1, 0 or 1 for each multiple, float32 [n_parameters].

        It is what pays, taken alone and with damped curvature.
        """
        state = self.state
        bend = state.damping / 2 * self.curvature()
        up = bend + now.slopes + state.bit_weight * now.up_bits
        down = bend - now.slopes + state.bit_weight * now.down_bits
        moves = torch.where(up < down, 1.0, -1.0)
        moved = now.multiples + moves
        self.model.quantizer.clip_(moved)
        return (moved - now.multiples) * (torch.minimum(up, down) < 0)

    def is_better(self, now: Evaluation, trial: Evaluation, moves: Tensor) -> bool:
        """Return whether a trial is better; learn how bold to be, and what to try again if not."""
        state = self.state
        more_bits = now.more_bits(moves)
        mean_slopes = moves * (now.slopes + trial.slopes) / 2
        is_harmful = mean_slopes + state.bit_weight * more_bits > 0
        met = (trial.slopes - now.slopes) * moves
        state.met = _RULES.memory * torch.where(
            is_harmful, torch.maximum(state.met, met), state.met
        )
        gain = now.distortion - trial.distortion + state.bit_weight * (now.bits - trial.bits)
        is_better = gain > 0 and self._stays_near(trial.multiples)
        factor = _RULES.bolder if is_better else _RULES.more_careful
        state.damping = max(state.damping * factor, _RULES.least_damping)
        state.left = torch.zeros_like(moves)
        if gain <= 0 and is_harmful.any():
            state.left = moves.where(~is_harmful, 0)
        return is_better

    def _stays_near(self, multiples: Tensor) -> bool:
        """Return whether these are near the target, or at least as near as before."""
        error = self.context.error(self.model.solution(multiples))
        if abs(error) > max(abs(self.state.error), self.context.tolerance):
            return False
        self.state.error = error
        return True

    def curvature(self) -> Tensor:
        """Return the distortion's by each multiple, at least as it was met."""
        return torch.maximum(self.state.curvature_sum / self.state.n_samples, self.state.met)

    def sample_curvature(self, n_samples: float) -> Ticks[None]:
        """Yield after each frame; add so many samples a frame."""
        state = self.state
        state.n_samples += yield from self.model.sample_curvature(
            state.multiples, n_samples, state.curvature_sum
        )


class Rdoq:
    """The stage that moves symbols, in as many passes over the frames as the configuration says.

    Where a fit is beside its target passes are added until it is met. The state changes at the end
    alone; what state_dict gives is where the last pass began.
    """

    name: StageName = "rdoq"
    is_exact = True

    def __init__(self) -> None:
        self._loaded: tuple[Mapping[str, Any], Mapping[str, Tensor]] | None = None
        self._pass_start: tuple[dict[str, Any], dict[str, Tensor]] = {}, {}
        self._progress = Progress(self.name, 0, 1, 0.0, None, 0.0)

    def run(self, context: TrainingContext, state: TrainingState) -> Iterator[Progress | None]:
        """Yield after each batch; see TrainingStage."""
        search = self._search(context, state)
        if not search.goes_on:
            return
        n_before = search.state.n_passes
        seconds = 0.0
        self._keep(search)
        now = yield from search.begin()
        while search.goes_on:
            self._keep(search)
            started = time.monotonic()
            better = yield from search.one_pass(now)
            if better is None:
                break
            now = better
            seconds += time.monotonic() - started
            pass_s = max(seconds, 1e-9) / (search.state.n_passes - n_before)
            self._progress = self._reported(search, now, pass_s)
            yield self._progress
        state.set_solution(search.model.solution(search.state.multiples))

    def progress(self, context: TrainingContext, state: TrainingState) -> Progress:
        """Return where the stage stands."""
        return self._progress

    def state_dict(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return where the last pass began."""
        return self._pass_start

    def load_state_dict(self, numbers: Mapping[str, Any], arrays: Mapping[str, Tensor]) -> None:
        """Take back what state_dict gave."""
        self._loaded = numbers, arrays

    def _search(self, context: TrainingContext, state: TrainingState) -> Search:
        """Return a search from the state's solution, or from where one was loaded."""
        random = torch.Generator(context.device).manual_seed(context.fit.seed)
        start = state.solution()
        model = SymbolModel(context, start, random)
        loaded = None
        if self._loaded:
            numbers, arrays = self._loaded
            random.set_state(arrays["random"])
            loaded = SearchState.loaded(numbers, arrays, context.device)
        search = Search(context, model, start, state.rate_weight, loaded)
        self._progress = Progress(
            self.name, search.state.n_passes, max(context.fit.n_rdoq_passes, 1), 0.0, None, 0.0
        )
        return search

    def _keep(self, search: Search) -> None:
        """Note where a pass begins."""
        numbers, arrays = search.state.state_dict()
        self._pass_start = numbers, {**arrays, "random": search.model.random.get_state()}

    def _reported(self, search: Search, now: Evaluation, pass_s: float) -> Progress:
        n_done, n_passes = search.state.n_passes, search.context.fit.n_rdoq_passes
        if n_done > n_passes:
            n_passes += _RULES.more_passes
        return Progress(
            self.name,
            n_done,
            n_passes,
            search.context.n_frames / pass_s,
            now.psnr_db,
            pass_s * (n_passes - n_done),
            now.bits / 8,
        )
