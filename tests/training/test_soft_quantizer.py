"""nervcodec.training.soft_quantizer: exact steps, rounding, its stand-ins in the fit, and the rate
estimate against its formula.
"""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nervcodec.coding.quantizer import (
    MAX_STEP_CODE,
    code_from_step,
    dequantize,
    quantize,
    step_from_code,
)
from nervcodec.training.soft_quantizer import SoftQuantizer, covering_steps, writable_steps

CODES = st.integers(0, MAX_STEP_CODE)
STEPS = st.floats(step_from_code(0), step_from_code(MAX_STEP_CODE))


def exact_step(code: int) -> Fraction:
    """The document's formula in rational numbers."""
    return (8 + code % 8) * Fraction(2) ** (code // 8 - 23)


# --- step codes ---


@given(CODES)
def test_steps_are_exact(code: int) -> None:
    """A step is its mantissa times its power of two, without rounding."""
    assert Fraction(step_from_code(code)) == exact_step(code)


@given(CODES)
def test_codes_come_back(code: int) -> None:
    """The step of a code has this code, nearest and from above."""
    assert (
        code_from_step(step_from_code(code))
        == code_from_step(step_from_code(code), up=True)
        == code
    )


@given(st.integers(0, MAX_STEP_CODE - 1))
def test_steps_rise_with_their_codes(code: int) -> None:
    """The next code stands for a step that is larger by at most 1/8."""
    assert 1 < exact_step(code + 1) / exact_step(code) <= Fraction(9, 8)


@given(STEPS)
def test_the_nearest_step_is_chosen(step: float) -> None:
    """No neighbouring code stands for a nearer step."""
    code = code_from_step(step)
    errors = {
        c: abs(exact_step(c) - Fraction(step))
        for c in (code - 1, code, code + 1)
        if 0 <= c <= MAX_STEP_CODE
    }
    assert errors[code] == min(errors.values())


@given(STEPS)
def test_up_is_the_smallest_step_not_below(step: float) -> None:
    """With `up` the step is not below what was asked, and the one before it is."""
    code = code_from_step(step, up=True)
    assert step_from_code(code) >= step
    assert code == 0 or step_from_code(code - 1) < step


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize(("step", "code"), [(0.0, 0), (1e-300, 0), (1e30, MAX_STEP_CODE)])
def test_steps_beyond_the_codes_take_the_last(step: float, code: int, up: bool) -> None:
    """Steps smaller or larger than can be written take the smallest or the largest."""
    assert code_from_step(step, up=up) == code


def test_codes_fit_a_byte() -> None:
    """The largest code is the largest u8."""
    assert MAX_STEP_CODE == 255


# --- rounding ---


@pytest.mark.parametrize("max_symbol", [1, 31, 127, 2047])
@given(CODES)
def test_symbols_come_back(max_symbol: int, code: int) -> None:
    """Quantizing what was dequantized gives the same symbols, for every step and every symbol."""
    step = step_from_code(code)
    symbols = np.arange(-max_symbol, max_symbol + 1, dtype=np.int32)
    np.testing.assert_array_equal(quantize(dequantize(symbols, step), step, max_symbol), symbols)


def test_quantize_takes_the_nearest_symbol() -> None:
    """Values go to the nearest symbol, halves to the even one, and beyond the range to its end."""
    values = np.array([-9.0, -1.5, -0.5, -0.2, 0.0, 0.25, 0.26, 0.5, 0.75, 1.25, 9.0], np.float32)
    assert quantize(values, 0.5, 3).tolist() == [-3, -3, -1, 0, 0, 0, 1, 1, 2, 2, 3]


def test_quantize_keeps_shape_and_gives_int32() -> None:
    """Symbols have the values' shape and are int32."""
    symbols = quantize(np.zeros((2, 3), np.float32), 0.1, 7)
    assert symbols.shape == (2, 3) and symbols.dtype == np.int32


@given(CODES)
def test_zero_is_exactly_zero(code: int) -> None:
    """Symbol 0 stands for 0, whatever the step."""
    step = step_from_code(code)
    assert dequantize(np.zeros(1, np.int32), step)[0] == 0
    assert quantize(np.zeros(1, np.float32), step, 127)[0] == 0


@given(CODES, st.integers(-2047, 2047))
def test_dequantize_is_exact(code: int, symbol: int) -> None:
    """The value is the exact product of symbol and step."""
    value = dequantize(np.array([symbol], np.int32), step_from_code(code))[0]
    assert value.dtype == np.float64
    assert Fraction(float(value)) == symbol * exact_step(code)


@given(
    st.lists(st.floats(-3, 3, width=32), min_size=12, max_size=12),
    st.sampled_from([1, 2, 3, 4, 6]),
    st.sampled_from([1, 3, 7, 511]),
)
def test_differences_come_back(values: list[float], lag: int, max_symbol: int) -> None:
    """The symbols of keys are differences, none beyond the largest symbol, and their sums what is
    quantized.
    """
    keys = (1, 12 // lag - 1)
    symbols = quantize(np.array(values, np.float32), 0.25, max_symbol, keys)
    assert symbols.dtype == np.int32 and np.abs(symbols).max() <= max_symbol
    multiples = np.clip(
        np.rint(np.array(values, np.float32) / 0.25), -(max_symbol // 2), (max_symbol + 1) // 2
    )
    assert dequantize(symbols, 0.25, keys).tolist() == (multiples * 0.25).tolist()


def test_what_stands_still_is_zero() -> None:
    """A grid whose keys are all alike has symbols in its first key alone."""
    key = np.array([0.5, -1.0, 0.25], np.float32)
    assert quantize(np.tile(key, 4), 0.25, 7, (4,)).tolist() == [2, -3, 1] + [0] * 9


def test_a_shot_is_coded_without_the_one_before() -> None:
    """The first key of each shot has symbols of its own, whatever the last key before it was."""
    key = np.array([0.5, -1.0], np.float32)
    assert quantize(np.tile(key, 5), 0.25, 7, (2, 1, 2)).tolist() == [
        2,
        -3,
        0,
        0,
        2,
        -3,
        2,
        -3,
        0,
        0,
    ]


# --- stand-ins ---


def quantizer(sizes: list[int], steps: list[float], max_symbol: int = 7) -> SoftQuantizer:
    return SoftQuantizer(sizes, max_symbol, torch.tensor(steps).log().requires_grad_())


def test_rounded_is_what_the_file_will_say() -> None:
    """The forward pass sees the very values that quantize and dequantize give, each group with its
    own step.
    """
    values = torch.randn(60, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found, _ = quantizer([20, 40], [0.25, 0.5]).rounded(values)
    expected = np.concatenate(
        [quantize(values[:20].numpy(), 0.25, 7), quantize(values[20:].numpy(), 0.5, 7)]
    )
    np.testing.assert_allclose(
        found.numpy(), expected * np.repeat([0.25, 0.5], [20, 40]), rtol=1e-6
    )


def test_rounded_differences_are_what_the_file_will_say() -> None:
    """With keys too, the forward pass sees the values that quantize and dequantize give."""
    values = torch.randn(60, generator=torch.Generator().manual_seed(0))
    steps = torch.tensor([0.25, 0.5, 0.125])
    found, _ = SoftQuantizer([20, 24, 16], 7, steps.log(), [(4,), (3, 1)]).rounded(values)
    groups = [(values[:20], 0.25, (4,)), (values[20:44], 0.5, (3, 1)), (values[44:], 0.125, ())]
    coded = [quantize(part.numpy(), step, 7, keys) for part, step, keys in groups]
    decoded = [
        dequantize(part, step, keys) for part, (_, step, keys) in zip(coded, groups, strict=True)
    ]
    assert found.tolist() == np.concatenate(decoded).tolist()


def test_the_rate_while_rounding_is_that_of_what_is_rounded() -> None:
    """Symbols for the rate are the values in steps, clipped, as differences where coded so, but not
    rounded.
    """
    values = torch.tensor([0.3, 0.0, 0.45, 0.1, 0.1, 99.0])
    steps = torch.tensor([0.25, 0.5])
    _, symbols = SoftQuantizer([4, 2], 7, steps.log(), [(2,)]).rounded(values)
    torch.testing.assert_close(symbols, torch.tensor([1.2, 0.0, 0.6, 0.4, 0.2, 7.0]))
    _, symbols = SoftQuantizer([4, 2], 7, steps.log(), [(1, 1)]).rounded(values)
    torch.testing.assert_close(symbols, torch.tensor([1.2, 0.0, 1.8, 0.4, 0.2, 7.0]))


def test_what_rounds_to_zero_is_drawn_to_it() -> None:
    """While rounding, the rate's gradient pulls towards zero also a value that its group rounds to
    zero already.
    """
    values = torch.tensor([0.1, -0.1, 3.0, -3.0], requires_grad=True)
    soft = quantizer([4], [0.5])
    soft.rate_bits(soft.rounded(values)[1]).backward()  # type: ignore[no-untyped-call]
    assert values.grad is not None
    assert values.grad.sign().tolist() == [1, -1, 1, -1]


def test_a_noisy_difference_has_one_noise() -> None:
    """Values that stand still give noise of one step, and the same noise is on the values
    themselves.
    """
    noise = torch.rand(12, generator=torch.Generator().manual_seed(0)) - 0.5
    values = torch.tensor([0.5, -1.0, 0.25]).repeat(4)
    found, symbols = SoftQuantizer([12], 7, torch.tensor([0.25]).log(), [(4,)]).noisy(values, noise)
    torch.testing.assert_close(symbols[3:], noise[3:])
    torch.testing.assert_close(found, values.clamp(-0.75, 1.0) + 0.25 * noise)


def test_rounding_passes_gradients_straight_through() -> None:
    """The gradient with respect to a value is one inside the range and zero outside."""
    values = torch.tensor([-5.0, -3.4, -0.3, 0.0, 0.1, 3.4, 3.6, 100.0], requires_grad=True)
    found, _ = quantizer([8], [0.5]).rounded(values)
    (gradient,) = torch.autograd.grad(found.sum(), [values])
    torch.testing.assert_close(gradient, torch.tensor([0.0, 1, 1, 1, 1, 1, 0, 0]))


def test_rounding_leaves_the_steps_alone() -> None:
    """Neither the rounded values nor the rate of their symbols have a gradient with respect to the
    steps.
    """
    values = torch.tensor([0.3, 0.6, 100.0], requires_grad=True)
    soft = quantizer([3], [0.5])
    found, symbols = soft.rounded(values)
    (found.sum() + soft.rate_bits(symbols)).backward()  # type: ignore[no-untyped-call]
    assert values.grad is not None and soft.log_steps.grad is None


def test_noise_teaches_the_step() -> None:
    """With respect to ln(step) the gradient is that of noise * step, and of the end of the range
    beyond it.
    """
    soft = quantizer([3], [0.5])
    found, _ = soft.noisy(torch.tensor([0.3, 0.6, 100.0]), torch.tensor([0.5, -0.25, 0.0]))
    (gradient,) = torch.autograd.grad(found.sum(), [soft.log_steps])
    torch.testing.assert_close(gradient, torch.tensor([(0.5 - 0.25) * 0.5 + 7 * 0.5]))


def test_gradients_are_the_slopes() -> None:
    """Under noise values, symbols and their gradients agree with finite differences in float64,
    keys included.
    """
    generator = torch.Generator().manual_seed(0)
    values = 2 * torch.randn(19, generator=generator, dtype=torch.float64)  # some beyond the bounds
    noise = torch.rand(19, generator=generator, dtype=torch.float64) - 0.5
    log_steps = torch.tensor([0.1, -0.5, 0.3], dtype=torch.float64)

    def noisy(values: torch.Tensor, log_steps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return SoftQuantizer([8, 6, 5], 7, log_steps, [(2, 2), (2,)]).noisy(values, noise)

    assert torch.autograd.gradcheck(noisy, [values.requires_grad_(), log_steps.requires_grad_()])


def test_rounding_has_the_gradients_of_what_is_rounded() -> None:
    """The straight-through gradient of values and symbols is that of the unrounded ones, also over
    differences.
    """
    values = torch.tensor([0.3, 5.0, -0.2, 0.1, 0.4, -9.0], requires_grad=True)
    by_value, by_symbol = torch.arange(1.0, 7), torch.tensor([3.0, -1, 4, 1, -5, 9])
    found, symbols = SoftQuantizer([4, 2], 7, torch.tensor([0.5, 0.25]).log(), [(2,)]).rounded(
        values
    )
    (gradient,) = torch.autograd.grad([found, symbols], [values], [by_value, by_symbol])
    scaled_gradient = torch.tensor([3.0 - 4, 0.0, 4, 1, -5, 0])  # 5.0 and -9.0 are out of range
    expected = torch.where(
        scaled_gradient == 0, 0, by_value + scaled_gradient / torch.tensor([0.5] * 4 + [0.25] * 2)
    )
    torch.testing.assert_close(gradient, expected)


def test_noisy_adds_noise_of_a_step() -> None:
    """Noise of n is n steps on the value and n on the symbol."""
    values, noise = torch.tensor([0.3, -2.0, 10.0]), torch.tensor([0.5, -0.25, 0.0])
    found, symbols = quantizer([1, 2], [0.5, 4.0]).noisy(values, noise)
    torch.testing.assert_close(found, torch.tensor([0.55, -3.0, 10.0]))
    torch.testing.assert_close(symbols, torch.tensor([1.1, -0.75, 2.5]))


def test_noisy_gradient_is_one() -> None:
    """Noise does not change the gradient with respect to values in range; those beyond it are
    clipped.
    """
    values = torch.tensor([0.3, -0.5, 0.0, 50.0, -50.0], requires_grad=True)
    found, _ = quantizer([5], [0.1]).noisy(values, torch.rand(5) - 0.5)
    (gradient,) = torch.autograd.grad(found.sum(), [values])
    torch.testing.assert_close(gradient, torch.tensor([1.0, 1.0, 1.0, 0.0, 0.0]))


# --- rate ---


def laplace_cdf(x: float, scale: float) -> float:
    return 0.5 * math.exp(x / scale) if x < 0 else 1 - 0.5 * math.exp(-x / scale)


def bits_by_formula(symbols: list[float]) -> float:
    """-log2 of the Laplace mass on [s - 1/2, s + 1/2], its scale the group's mean magnitude."""
    scale = max(sum(map(abs, symbols)) / len(symbols), 0.05)
    return -sum(
        math.log2(laplace_cdf(0.5 - abs(s), scale) - laplace_cdf(-0.5 - abs(s), scale))
        for s in symbols
    )


SYMBOLS = [
    [0.0, 0.0, 1.0, -2.0, 0.3, -0.5, 7.0, 0.49, -0.51],
    [0.0, 0.0, 0.0, 0.0],
    [40.0, -90.0, 127.0],
    [1.0],
]


@pytest.mark.parametrize("symbols", SYMBOLS)
def test_rate_is_the_formula(symbols: list[float]) -> None:
    """The estimate is the entropy of the discretised Laplace density."""
    bits = quantizer([len(symbols)], [1.0]).rate_bits(torch.tensor(symbols))
    assert float(bits) == pytest.approx(bits_by_formula(symbols), rel=1e-4, abs=1e-4)


def test_groups_have_their_own_scales() -> None:
    """The rate of several groups is the sum of their own."""
    sizes = [len(symbols) for symbols in SYMBOLS]
    bits = quantizer(sizes, [1.0] * 4).rate_bits(torch.tensor(sum(SYMBOLS, [])))
    assert float(bits) == pytest.approx(sum(map(bits_by_formula, SYMBOLS)), rel=1e-4)


@pytest.mark.parametrize(
    "symbols", [*SYMBOLS, [2047.0] * 3, [0.0] * 99 + [2047.0], [1e-6], [0.5, -0.5], [1e6]]
)
def test_rate_and_its_gradient_are_finite(symbols: list[float]) -> None:
    """Nothing overflows, not even for a rare large symbol among zeros."""
    leaf = torch.tensor(symbols, requires_grad=True)
    bits = quantizer([len(symbols)], [1.0]).rate_bits(leaf)
    (gradient,) = torch.autograd.grad(bits, [leaf])
    assert bool(bits.isfinite()) and bool(gradient.isfinite().all())


def test_rate_gradient_is_the_slope() -> None:
    """The gradient agrees with finite differences in float64."""
    symbols = torch.tensor([0.2, -1.3, 4.0, 0.0, -0.45], dtype=torch.float64, requires_grad=True)
    soft = SoftQuantizer([2, 3], 7, torch.zeros(2, dtype=torch.float64))
    assert torch.autograd.gradcheck(soft.rate_bits, [symbols])


def test_larger_steps_cost_fewer_bits() -> None:
    """Learned steps feel the rate: its gradient with respect to ln(step) is negative."""
    soft = quantizer([50], [0.1])
    values = torch.randn(50, generator=torch.Generator().manual_seed(0))
    _, symbols = soft.noisy(values, torch.zeros(50))
    (gradient,) = torch.autograd.grad(soft.rate_bits(symbols), [soft.log_steps])
    assert float(gradient) < 0


# --- covering steps ---


@given(
    st.lists(st.floats(-1e3, 1e3, width=32), min_size=2, max_size=20),
    st.sampled_from([1, 31, 127, 2047]),
)
def test_covering_steps_never_clip(values: list[float], max_symbol: int) -> None:
    """With a covering step every value is within half a step of what is decoded."""
    sizes = [1, len(values) - 1]
    codes = covering_steps(torch.tensor(values), sizes, max_symbol)
    for part, code in zip(np.split(np.array(values, np.float32), [1]), codes):
        step = step_from_code(code)
        decoded = quantize(part, step, max_symbol) * step
        assert np.abs(decoded - part).max() <= step / 2 * (1 + 1e-9)


def test_covering_steps_leave_room_for_differences() -> None:
    """A group of keys is covered by half the symbols, the others by all."""
    values = torch.tensor([3.0, -3.0, 0.1, 3.0])
    codes = covering_steps(values, [2, 2], 126, 1)
    assert codes == [code_from_step(3 / 63, up=True), code_from_step(3 / 126, up=True)]


def test_covering_steps_use_the_range() -> None:
    """The largest magnitude of a group gets nearly the largest symbol: steps come in eighths of a
    power of two.
    """
    values = torch.tensor([0.1, -3.3, 0.02, 0.01])
    codes = covering_steps(values, [2, 2], 127)
    peaks = [
        np.abs(quantize(part.numpy(), step_from_code(code), 127)).max()
        for part, code in zip((values[:2], values[2:]), codes)
    ]
    assert min(peaks) >= 127 * 8 / 9 - 0.5 and max(peaks) <= 127


def test_the_fit_rounds_to_what_the_decoder_sees() -> None:
    """The values of the last forward pass are, bit for bit, those that are coded and
    dequantized.
    """
    generator = torch.Generator().manual_seed(0)
    log_steps = torch.rand(3, generator=generator) * 4 - 6
    values = torch.randn(900, generator=generator)
    forward, _ = SoftQuantizer([300] * 3, 127, log_steps).rounded(values)
    steps = writable_steps(log_steps.exp()).tolist()
    for group, expected, step in zip(values.view(3, 300), forward.view(3, 300), steps, strict=True):
        coded = step_from_code(code_from_step(step))
        assert coded == step
        assert dequantize(quantize(group.numpy(), coded, 127), coded).tolist() == expected.tolist()


def test_writable_steps_are_the_nearest() -> None:
    """A step is moved by at most one part in 16, to the one that its code stands for."""
    steps = torch.logspace(-6, 3, 500)
    written = writable_steps(steps)
    assert ((written / steps - 1).abs() <= 2**-4).all()
    assert written.tolist() == [step_from_code(code_from_step(step)) for step in steps.tolist()]
