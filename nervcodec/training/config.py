"""How a network is fitted; never written into a file. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from nervcodec.errors import ConfigError
from nervcodec.nn.arithmetic import Arithmetic
from nervcodec.util.validation import check_choice, check_range

Loss = Literal["mse", "l1+ssim"]
OptimizerName = Literal["adam", "muon"]
MAX_EPOCHS = 1_000_000
MIN_RDOQ_PASSES = 7  # fewer are not worth their start (docs/lab L046)


@dataclass(frozen=True)
class FitConfig:
    """The configuration of a fit; never written into a file.

    Attributes:
        epochs: passes over the frames in the main stage.
        finetune_epochs: passes in a second stage, after pruning or before the final rounding.
        finetune_rate: the second stage's learning rates over the first one's.
        batch_size: frames a step.
        loss: 'mse' (weighted by plane) or 'l1+ssim' (0.7 L1 + 0.3 (1 - SSIM), arXiv 2402.18305,
            section 3).
        chroma_weights: weight of the Cb and Cr error against luma's, a pixel of the plane each;
            'yuv' and 'mse' only. The default weighs an error as BT.601 carries it into RGB.
        optimizer: 'adam', or 'muon' (orthogonalised momentum) for dense and convolution weights and
            Adam for the rest.
        learning_rate: Adam's; like Muon's, of stages of at most 400 steps.
        betas: Adam's.
        muon_rate: Muon's.
        rate_fall: longer stages have learning rates that fall with this power of their number of
            steps (docs/lab L031).
        warmup: share of a stage during which the learning rate rises linearly; then it falls as a
            cosine to 0.
        max_gradient: the gradient's norm is clipped to it; 0 leaves it alone.
        rate_weight: lambda: loss = distortion + rate_weight * estimated bits per pixel, with
            learned steps; 0 fits without regard to rate and rounds to steps that cover each
            tensor's range.
        target_bpp: lambda is only a start, and steered so that the coded parameters take so many
            bits a luma pixel; 0: no target.
        target_psnr: lambda is steered so that the frames have so many dB of RGB PSNR (mean over
            frames); 0: no target.
        initial_step: where learned steps start.
        round_from: share of the last stage after which weights are rounded in the forward pass
            (straight-through); before it they carry uniform noise of one step if rate_weight > 0,
            else they are exact. Learned steps keep from there on the values they have
            (docs/lab L035).
        rdoq_share: passes of RDOQ after the fit, as a share of the epochs (rdoq.py); for fits of
            'mse' with a rate_weight and without pruning.
        prune: share of the stem's and blocks' weights set to zero by global magnitude before the
            second stage.
        precision: 'float32' or 'bfloat16' arithmetic in the forward and backward pass until the
            weights are rounded; from then on it is float32, as in the decoder.
        seed: of every random choice.
    Raises:
        ConfigError: a value out of its range, or values that do not go together.
    """

    epochs: int = 100
    finetune_epochs: int = 0
    finetune_rate: float = 0.3
    batch_size: int = 2
    loss: Loss = "mse"
    chroma_weights: tuple[float, float] = (1.05, 0.8)
    optimizer: OptimizerName = "muon"
    learning_rate: float = 0.016
    betas: tuple[float, float] = (0.9, 0.99)
    muon_rate: float = 0.03
    rate_fall: float = 0.2
    warmup: float = 0.05
    max_gradient: float = 1.0
    rate_weight: float = 0.01
    target_bpp: float = 0.0
    target_psnr: float = 0.0
    initial_step: float = 0.02
    round_from: float = 0.7
    rdoq_share: float = 0.08
    prune: float = 0.0
    precision: Arithmetic = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        check_range("epochs", self.epochs, 1, MAX_EPOCHS)
        check_range("fine-tuning epochs", self.finetune_epochs, 0, MAX_EPOCHS)
        check_range("batch size", self.batch_size, 1, 1024)
        check_choice("loss", self.loss, get_args(Loss))
        check_choice("optimizer", self.optimizer, get_args(OptimizerName))
        check_choice("precision", self.precision, get_args(Arithmetic))
        for name in ("learning_rate", "muon_rate", "finetune_rate", "rate_weight", "max_gradient"):
            check_range(name.replace("_", " "), getattr(self, name), 0, 1000)
        check_range("initial step", self.initial_step, 1e-6, 1000)
        check_range("fall of rates", self.rate_fall, 0, 1)
        check_range("warm-up", self.warmup, 0, 1)
        check_range("start of rounding", self.round_from, 0, 1)
        check_range("share of RDOQ", self.rdoq_share, 0, 1)
        check_range("prune ratio", self.prune, 0, 0.99)
        check_range("seed", self.seed, 0, 2**63 - 1)
        check_range("target bpp", self.target_bpp, 0, 1000)
        check_range("target PSNR", self.target_psnr, 0, 100)
        if self.target_bpp and self.target_psnr:
            raise ConfigError(
                f"targets are {self.target_bpp:g} bpp and {self.target_psnr:g} dB; legal: one of"
                " them"
            )
        if self.has_target and not self.rate_weight:
            raise ConfigError(
                "a target needs a rate term, and the rate weight is 0; legal: above 0"
            )
        if self.prune and not self.finetune_epochs:
            raise ConfigError(f"pruning {self.prune} needs fine-tuning epochs; legal: 1 or more")

    @property
    def has_target(self) -> bool:
        """Whether lambda is steered towards a size or a PSNR."""
        return bool(self.target_bpp or self.target_psnr)

    @property
    def total_epochs(self) -> int:
        """Epochs of both stages; RDOQ and settling come on top."""
        return self.epochs + self.finetune_epochs

    @property
    def uses_rdoq(self) -> bool:
        """Whether symbols may be moved after the fit (rdoq.py)."""
        return (
            self.loss == "mse" and self.rate_weight > 0 and not self.prune and self.rdoq_share > 0
        )

    @property
    def n_rdoq_passes(self) -> int:
        """Passes of RDOQ, a target aside; none where they are too few to be worth their start."""
        n_passes = int(self.rdoq_share * self.total_epochs)
        return n_passes if self.uses_rdoq and n_passes >= MIN_RDOQ_PASSES else 0
