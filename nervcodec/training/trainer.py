"""Overfits one network to one segment (arXiv 2402.18305, section 4).

A fit goes through peers, stage by stage, over one explicit state: a learning-rate cycle, a second
one where the recipe has it, settling towards a target, RDOQ and final rounding. A pause is to stop
iterating, and a checkpoint is what the state and the stage are between two yields.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from nervcodec.nn.device import arithmetic
from nervcodec.training.context import TrainingContext
from nervcodec.training.final_rounding import FinalRounding
from nervcodec.training.rdoq import Rdoq
from nervcodec.training.settle import Settle
from nervcodec.training.stage import FineTune, Main, TrainingStage
from nervcodec.training.state import (
    Checkpoint,
    Progress,
    TrainingState,
    with_prefix,
    without_prefix,
)

_END = object()


def cycles(context: TrainingContext) -> list[TrainingStage]:
    """Return the stages that make optimizer steps, in their order."""
    main = Main(context)
    stages: list[TrainingStage] = [main]
    last = main.schedule
    if context.fit.finetune_epochs:
        finetune = FineTune(context)
        stages.append(finetune)
        last = finetune.schedule
    if context.fit.has_target and last.rounds:
        stages.append(Settle(context, last.n_epochs))
    return stages


def all_stages(context: TrainingContext) -> list[TrainingStage]:
    """Return all stages of a fit, in their order."""
    stages = cycles(context)
    if context.fit.uses_rdoq:
        stages.append(Rdoq())
    if context.fit.has_target:
        stages.append(FinalRounding())
    return stages


class Trainer:
    """A fit that can be paused after any step, and gone on with from a checkpoint, bit for bit.

    Args:
        context: what is fitted, to which frames and how.
        checkpoint: of a fit with an equal context; None begins one.
        stages: what to run, new; None: all_stages(context).
    Attributes:
        state: what the fit has reached.
    """

    def __init__(
        self,
        context: TrainingContext,
        checkpoint: Checkpoint | None = None,
        stages: Sequence[TrainingStage] | None = None,
    ) -> None:
        self.context = context
        self._left = list(all_stages(context) if stages is None else stages)
        if checkpoint is None:
            self.state = TrainingState.start(context)
            return
        while self._left[0].name != checkpoint.numbers["stage"]:
            del self._left[0]
        self.state = TrainingState.blank(context)
        self.state.load_state_dict(
            checkpoint.numbers["state"], without_prefix("state.", checkpoint.arrays)
        )
        self._left[0].load_state_dict(
            checkpoint.numbers["stage_state"], without_prefix("stage_state.", checkpoint.arrays)
        )

    def run(self) -> Iterator[Progress | None]:
        """Yield after every step or batch: where the fit stands, None where that is not new.

        Raises:
            FitError: the fit diverged more than three times.
        """
        while self._left:
            stage = self._left[0]
            ticks = stage.run(self.context, self.state)
            while True:
                with arithmetic(self.context.device, is_exact=stage.is_exact):
                    tick = next(ticks, _END)
                if tick is _END:
                    break
                assert tick is None or isinstance(tick, Progress)
                yield tick
            del self._left[0]

    def checkpoint(self) -> Checkpoint:
        """Return what a fit needs to go on from the last yield; there must have been one."""
        stage = self._left[0]
        state_numbers, state_arrays = self.state.state_dict()
        stage_numbers, stage_arrays = stage.state_dict()
        numbers = {
            "stage": stage.name,
            "progress": asdict(stage.progress(self.context, self.state)),
            "state": state_numbers,
            "stage_state": stage_numbers,
        }
        arrays = {
            **with_prefix("state.", state_arrays),
            **with_prefix("stage_state.", stage_arrays),
        }
        return Checkpoint(numbers, arrays)
