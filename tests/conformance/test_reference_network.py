"""The foreign reader's integers: values worked out by hand, ties, and the largest numbers."""

import numpy as np
import pytest
import reference_reader
from reference_files import EXTREMES, NETWORKS, extreme_file
from reference_network import (
    R,
    bilinear,
    blend_weight,
    clip,
    displacement,
    encoding_entries,
    frames,
    gelu_entry,
    key_frames,
    layer_bits,
    lifted,
    moved,
    planes_of,
    resized,
    rs,
    sample_entry,
    silu_entry,
    table,
)
from reference_streams import Longs, times_step

ONE = 1 << 24  # X of a parameter of 1
LARGEST = 2047 * 15 << 32  # X of the largest symbol of 12 bits at the largest step


def from_half(value: float) -> float:
    """How far a value is from the nearest half."""
    return abs(value % 1 - 0.5)


@pytest.mark.parametrize("fraction_bits", range(4, 11))
def test_activations_are_far_from_ties(fraction_bits: int) -> None:
    """Float64 finds the nearest integer: no entry lies within 1e-7 of a half."""
    for entry in (gelu_entry, silu_entry):
        assert min(from_half(entry(fraction_bits, v)) for v in range(-R, R + 1)) > 1e-7
        entries = table(entry, fraction_bits, R)
        assert entries[R] == 0
        assert np.all(np.diff(entries[R:]) >= 0)
        assert np.abs(entries).max() <= R


@pytest.mark.parametrize("bits", [8, 10, 12])
def test_samples_are_far_from_ties(bits: int) -> None:
    """Only the entry in the middle is a half, exactly, and the ends are black and white."""
    highest, peak = 8 << (bits + 3), 2**bits - 1
    assert all(from_half(sample_entry(bits, v)) > 1e-7 for v in range(-highest, highest + 1) if v)
    assert sample_entry(bits, 0) == peak / 2
    entries = table(sample_entry, bits, highest)
    assert (entries[0], entries[highest], entries[-1]) == (0, (peak + 1) // 2, peak)
    assert set(np.diff(entries)) == {0, 1}


@pytest.mark.parametrize("n_frames", [1, 2, 3, 5, 7, 60, 100, 132, 250])
def test_encodings_are_far_from_ties(n_frames: int) -> None:
    entries = np.array([encoding_entries(t, n_frames) for t in range(n_frames)])
    for fraction_bits in range(4, 11):
        scaled = entries * 2**fraction_bits
        assert np.abs(scaled % 1 - 0.5).min() > 1e-7
    assert np.array_equal(entries[0], [0] * 40 + [1] * 40)


def test_rounding_shifts() -> None:
    """Halves go up, also of negative numbers; below 0 bits they shift left."""
    values = np.array([5, 6, 7, -5, -6, -7, -1])
    assert rs(values, 1).tolist() == [3, 3, 4, -2, -3, -3, 0]
    assert rs(values, 2).tolist() == [1, 2, 2, -1, -1, -2, 0]
    assert rs(values, 0).tolist() == values.tolist()
    assert rs(values, -2).tolist() == (4 * values).tolist()


@pytest.mark.parametrize(
    ("weights", "bias", "is_head", "expected"),
    [
        ([[ONE]], None, False, (10, 1024, 0)),  # 8191 * 1024 <= 15 * 2^20 < 8191 * 2048
        ([[ONE]], None, True, (12, 4096, 0)),
        ([[ONE // 2], [-ONE]], None, False, (10, 512, 0)),  # the largest of all outputs
        ([[ONE // 4] * 4], None, False, (10, 256, 0)),
        ([[ONE]], [28 * ONE], False, (10, 1024, 28 << 18)),  # 8387584 + 7340032 = 2^20 * 15 - 1024
        ([[ONE]], [29 * ONE], False, (9, 512, 29 << 17)),
        ([[ONE + 2**13]], None, False, (10, 1025, 0)),  # rounded up
        ([[4 * ONE]], None, False, (8, 1024, 0)),
        ([[8 * ONE]], None, False, (12, 32768, 0)),  # k of 7 is too small: 8191 * 32768 <= 2^29
        ([[64 * ONE]], None, True, (10, 65536, 0)),
        ([[0]], None, False, (12, 0, 0)),
        ([[LARGEST]], None, False, (-7, 2 * 2047 * 15, 0)),
    ],
)
def test_bits_of_layers(
    weights: list[list[int]],
    bias: list[int] | None,
    is_head: bool,
    expected: tuple[int, int, int],
) -> None:
    """k, the first weight and the first bias, with 8 fractional bits."""
    biases = None if bias is None else np.array(bias)
    k, w, b = layer_bits(np.array(weights), biases, 8, is_head)
    assert (k, w.ravel()[0], b[0]) == expected


def test_bits_of_the_largest_layer() -> None:
    """65535 weights at their maximum: the bound fits in 64 bits for k = 12, and k is -23."""
    weights = np.full((1, 65535), LARGEST)
    k, w, b = layer_bits(weights, np.array([-LARGEST]), 4, False)
    bound = -int(b[0]) + R * int(w.sum())
    assert (k, bound <= 2**29 < 2 * bound) == (-23, True)
    at_12 = 2047 * 15 * 2**20
    assert 2**63 < R * 65535 * at_12 + at_12 // 2**4 < 2**64


def test_bilinear() -> None:
    x = np.array([[[0, 100], [200, 500]]])

    def at(*place: int) -> int:
        return int(bilinear(x, *(np.array(number) for number in place))[0])

    assert at(0, 0, 0, 0) == 0
    assert at(0, 0, 0, 64) == 65536 * 25
    assert at(0, 128, 0, 128) == 65536 * 200
    assert at(0, 256, 0, 0) == 65536 * 200
    assert at(1, 200, 0, 128) == 65536 * 350  # beyond the last row
    assert at(1, 3, 1, 5) == 65536 * 500
    assert bilinear(np.full((1, 1, 1), -R), *np.array([0, 255, 0, 1])) == 65536 * -R


@pytest.mark.parametrize(
    ("row", "wanted", "expected"),
    [
        ([7], 3, [7 * 256] * 3),
        ([0, 100], 4, [0, 100 * 64, 100 * 192, 100 * 256]),
        ([0, 100, 200], 5, [0, 100 * 102, 100 * 256, 100 * (256 + 154), 200 * 256]),
        ([1, 2, 4, 8], 1, [3 * 256]),
        ([1, 2, 4, 8, 9], 5, [256, 512, 1024, 2048, 2304]),
        ([0, 1, 10, 0, 0, 0], 2, [1 * 256, 0]),
    ],
)
def test_resized(row: list[int], wanted: int, expected: list[int]) -> None:
    """Of rows and of columns, in 256ths."""
    x = np.array(row)
    assert resized(x[None, None, :], 1, wanted).ravel().tolist() == [256 * v for v in expected]
    assert resized(x[None, :, None], wanted, 1).ravel().tolist() == [256 * v for v in expected]


def test_resized_rounds_up_to_the_next_row() -> None:
    """Row 15 of 300 out of 29 lies 599 / 600 below row 0, which is 256 / 256."""
    x = np.arange(29)[None, :, None] * 1000
    assert resized(x, 300, 1)[0, 15, 0] == 65536 * 1000


def test_wavelet() -> None:
    def step(*values: int) -> list[list[int]]:
        found: list[list[int]] = lifted(*(np.full((1, 1, 1, 1), value) for value in values))[
            0, 0
        ].tolist()
        return found

    assert step(10, 3, 2, 1) == [[8, 4], [5, 3]]
    assert step(1, 0, 0, 0) == [[1, 1], [1, 1]]
    assert step(-1, 0, 0, 0) == [[0, 0], [0, 0]]
    assert step(R, R, R, R) == [[R, 0], [0, 0]]
    assert step(-R, -R, -R, R) == [[-R, -R], [-R, R]]


def test_blend_weights_of_the_example() -> None:
    stands = key_frames(10, 3)
    assert stands == [1, 5, 8]
    weights = [blend_weight(t, stands) for t in range(10)]
    assert [weights[t] for t in (0, 1, 4, 5, 8, 9)] == [(0, 0)] * 2 + [(0, 192), (1, 0)] + [
        (2, 0)
    ] * 2
    assert weights[6:8] == [(1, 85), (1, 171)]
    assert blend_weight(1998, key_frames(4000, 2)) == (0, 128)
    assert [blend_weight(t, [0, 1000]) for t in (1, 2, 999)] == [(0, 0), (0, 1), (0, 256)]


def test_displacements() -> None:
    """A motion of 1 is 8 samples in T / K frames, an offset of 1 is 2, in 256ths."""
    one, none = np.array([4096]), np.array([0])
    assert displacement(one, none, 5, 2, 10) == 2048
    assert displacement(one, none, -5, 2, 10) == -2048
    assert displacement(none, one, 3, 2, 10) == 512
    assert displacement(none, -one, -3, 2, 10) == -512
    assert displacement(one, one, 0, 2, 10) == 0
    assert displacement(np.array([1]), none, 5, 2, 10) == 1  # half of a 256th
    assert displacement(np.array([-1]), none, 5, 2, 10) == 0
    most = np.array([2**24])
    assert displacement(most, most, 2**23, 2, 2**24) == 2**20
    assert displacement(-most, -most, 2**23, 2, 2**24) == -(2**20)


def test_moved_keys() -> None:
    """Whole cells are taken from where the field points; beyond the edge from the edge."""
    key = np.arange(20).reshape(1, 4, 5) * 100

    def by(right: int, down: int, strides: tuple[int, int]) -> Longs:
        p = np.zeros((2, 2, 3), np.int64) + np.array([right, down])[:, None, None]
        cells: Longs = moved(key, p, *strides)[0]
        return cells

    rows, columns = np.arange(4)[:, None], np.arange(5)
    clipped = key[0][np.minimum(rows + 1, 3), np.maximum(columns - 2, 0)]
    assert np.array_equal(by(-512, 256, (1, 1)), clipped)
    assert np.array_equal(by(-512 * 6, 256 * 6, (2, 12)), clipped)
    assert np.array_equal(by(0, 0, (3, 7)), key[0])
    assert np.array_equal(by(128, 0, (1, 1))[:, :4], key[0, :, :4] + 50)
    assert np.array_equal(by(2**20, 0, (5, 5)), np.repeat(key[0, :, 4:], 5, 1))


def test_planes() -> None:
    """Phases of 2 x 1 and planes of odd sizes."""
    samples = np.arange(8)[:, None, None] + np.zeros((1, 2, 2), np.int64)
    luma, *chroma = planes_of(samples, {"colorspace": 2, "width": 3, "height": 3})
    assert luma.tolist() == [[0, 1, 0], [2, 3, 2], [0, 1, 0]]
    assert [plane.tolist() for plane in chroma] == [
        [[4, 4], [5, 5], [4, 4]],
        [[6, 6], [7, 7], [6, 6]],
    ]


@pytest.mark.parametrize("name", list(NETWORKS))
def test_hostile_parameters_stay_within_bounds(name: str) -> None:
    """The reader asserts the bounds of 5.1: all symbols and the step at their maxima keep them."""
    for step_code, sign, fraction_bits in EXTREMES:
        file = reference_reader.read(extreme_file(name, step_code, sign, fraction_bits))
        for planes in frames(file, 0, [0, 4]):
            assert planes[0].shape == (file.header["height"], file.header["width"])


def test_sums_of_many_keys_stay_within_bounds() -> None:
    """2^24 symbols at their maximum, one a frame, add up to more than 64 bits hold."""
    assert LARGEST * 2**24 > 2**70
    sums = np.array([1, 2**24]) * 2047
    assert times_step(sums[:1], 255) == LARGEST
    for sign in (-1, 1):
        assert clip(rs(times_step(sign * sums, 255), 20)).tolist() == [sign * R] * 2
        assert clip(rs(times_step(sign * sums, 255), 12), 2**24)[1] == sign * 2**24
        assert times_step(sign * sums, 0).tolist() == (sign * 16 * sums).tolist()
