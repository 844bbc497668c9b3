"""nervcodec.coding.range_coder, records: round trips, what tables promise, the coded size, every
way a stream can be wrong.
"""

from collections.abc import Callable

import constriction
import numpy as np
import pytest
from forms import forms
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nervcodec.coding.contexts import Shape, Symbols
from nervcodec.coding.range_coder import Coded, decode_symbols, encode_symbols
from nervcodec.coding.tables import TOTAL_BITS, frequencies, read_record, symbol_bits
from nervcodec.errors import BitstreamError, InvalidField, Truncated

EVERY_MAX_SYMBOL = [(1 << bits - 1) - 1 for bits in range(2, 13)]


def coded(values: list[int] | NDArray[np.float64], step_code: int = 0) -> Coded:
    return Coded(np.rint(np.array(values)).astype(np.int32), step_code)


def encoded(groups: list[Coded], max_symbol: int) -> bytes:
    """The stream of groups that are no grids."""
    return encode_symbols(groups, forms([group.symbols.shape for group in groups]), max_symbol)


def n_buckets(max_symbol: int) -> int:
    """Bytes of a histogram record: magnitudes 0 to 4, then two for every octave begun."""
    firsts = [0, 1, 2, 3, 4] + [
        start for k in range(1, 11) for start in (2 ** (k + 1) + 1, 3 * 2**k + 1)
    ]
    return sum(first <= max_symbol for first in firsts)


def order0_bytes(symbols: Symbols) -> float:
    """The empirical order-0 entropy of the symbols."""
    counts = np.unique(symbols, return_counts=True)[1]
    return float(-(counts @ np.log2(counts / symbols.size))) / 8


def assert_round_trip(groups: list[Coded], max_symbol: int) -> None:
    assert_comes_back(groups, [g.symbols.shape for g in groups], max_symbol)


def assert_comes_back(groups: list[Coded], shapes: list[tuple[int, ...]], max_symbol: int) -> None:
    decoded = decode_symbols(
        encode_symbols(groups, forms(shapes), max_symbol), forms(shapes), max_symbol
    )
    assert len(decoded) == len(groups)
    for before, after in zip(groups, decoded):
        np.testing.assert_array_equal(after.symbols, before.symbols)
        assert after.symbols.dtype == np.int32
        assert after.step_code == (before.step_code if before.symbols.any() else 0)


# --- round trips ---


@st.composite
def modules(draw: st.DrawFn) -> tuple[list[Coded], int]:
    """Groups of one module with the largest magnitude of their symbols."""
    max_symbol = draw(st.sampled_from(EVERY_MAX_SYMBOL))
    reach = draw(st.integers(0, max_symbol))
    values = st.lists(st.integers(-reach, reach), min_size=1, max_size=60)
    groups = st.lists(st.builds(coded, values, st.integers(0, 255)), min_size=1, max_size=4)
    return draw(groups), max_symbol


@settings(max_examples=60)
@given(modules())
def test_round_trip(module: tuple[list[Coded], int]) -> None:
    """Any groups come back with their symbols and step codes."""
    assert_round_trip(*module)


@pytest.mark.parametrize("max_symbol", EVERY_MAX_SYMBOL)
@pytest.mark.parametrize(
    "values",
    [
        lambda m: [m],
        lambda m: [-m],
        lambda m: [m, -m],
        lambda m: [0] * 50 + [m],
        lambda m: [0] * 50 + [-1],
        lambda m: [1] * 50,
        lambda m: list(range(-m, m + 1)),
        lambda m: [-m] * 3000,
    ],
    ids=[
        "top",
        "bottom",
        "both ends",
        "rare top",
        "rare minus one",
        "no zero",
        "each once",
        "many equal",
    ],
)
def test_extreme_groups_come_back(values: Callable[[int], list[int]], max_symbol: int) -> None:
    """Ends of the range, one-sided groups and groups without a zero come back for every legal
    range.
    """
    assert_round_trip([coded(values(max_symbol), 255)], max_symbol)


def test_all_zero_groups_cost_one_byte() -> None:
    """A group of zeros is one byte, however long it is."""
    assert encoded([coded([0] * 100_000, 77), coded([0], 1)], 127) == b"\0\0"


def test_all_zero_groups_come_back() -> None:
    """Zero groups between others do not disturb them; their step is forgotten, since nothing needs
    it.
    """
    assert_round_trip([coded([0] * 9, 5), coded([3, -1], 6), coded([0], 7), coded([1], 8)], 7)


def test_encoding_repeats_itself() -> None:
    """The same groups give the same bytes."""
    groups = [coded(np.random.default_rng(0).laplace(0, 9, 500), 3)]
    assert encoded(groups, 127) == encoded(groups, 127)


# --- the format, byte for byte ---

ONE_SIDED = [1, 2, 1, 1, 3, 2, 5, 1, 0, 4] * 3
GOLDEN_GROUPS = [
    coded([0, 0, 0], 7),
    coded(ONE_SIDED, 0x12),
    coded([7, -7, -7, 7, 7, 7, -7, 7] * 4, 0x02),
    coded([1, -2, 0, 3, 0, 0, 1, -1], 0xAB),
    coded([4, -5, 3, 4, -3, 5, -2, 6], 0xCD),
]
GOLDEN = bytes.fromhex(
    "00"  # all symbols are zero
    "33 12 05 40"  # geometric: zero odds, step code, tails
    "ff 02 00 00 00 00 00 00 29"  # histogram: step code, seven buckets
    "83 ab"  # plain: 128 + tail 3, step code
    "cc cd"  # normal: 191 + width 13, step code
    "4e3ddfe6 0ce543c9 150d99fd b117da0b cb8b038f"
)  # the range coder's bytes


def test_golden_stream_is_written() -> None:
    """These groups give exactly these bytes for ever."""
    assert encoded(GOLDEN_GROUPS, 7).hex(" ") == GOLDEN.hex(" ")


def test_golden_stream_is_read() -> None:
    """These bytes give exactly these groups for ever."""
    decoded = decode_symbols(GOLDEN, forms([(3,), (30,), (32,), (8,), (8,)]), 7)
    assert [group.symbols.tolist() for group in decoded] == [
        group.symbols.tolist() for group in GOLDEN_GROUPS
    ]
    assert [group.step_code for group in decoded] == [0, 0x12, 0x02, 0xAB, 0xCD]


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (
            [61, 3, 2],
            [
                2148,
                7333,
                25036,
                85478,
                291839,
                996403,
                3401941,
                6255980,
                3401941,
                1379132,
                559094,
                226655,
                91885,
                37250,
                15101,
            ],
        ),
        (
            [70, 64, 1],
            [60, 376, 2362, 14842, 93283, 586303, 3685043, 12394940, 1, 1, 1, 1, 1, 1, 1],
        ),
        (
            [133],
            [
                99686,
                172002,
                296780,
                512079,
                883565,
                1524546,
                2630527,
                4538846,
                2630527,
                1524546,
                883565,
                512079,
                296780,
                172002,
                99686,
            ],
        ),
        (
            [200],
            [
                393992,
                586727,
                821821,
                1082708,
                1341645,
                1563711,
                1714225,
                1767558,
                1714225,
                1563711,
                1341645,
                1082708,
                821821,
                586727,
                393992,
            ],
        ),
        (
            [255, 20, 9, 0, 3, 0, 5, 1],
            [
                777385,
                549695,
                549695,
                1,
                924473,
                1,
                1554769,
                8065178,
                1554769,
                1,
                924473,
                1,
                549695,
                549695,
                777385,
            ],
        ),
    ],
)
def test_golden_tables(table: list[int], expected: list[int]) -> None:
    """A record stands for exactly these frequencies for ever."""
    assert frequencies(bytes(table), 7).tolist() == expected


# --- tables ---


@st.composite
def legal_tables(draw: st.DrawFn) -> tuple[bytes, int]:
    """A record's table bytes with the largest magnitude it is for."""
    max_symbol = draw(st.sampled_from(EVERY_MAX_SYMBOL))
    kind = draw(st.sampled_from(["geometric", "plain", "normal", "histogram"]))
    if kind == "plain":
        return bytes([draw(st.integers(129, 191))]), max_symbol
    if kind == "normal":
        return bytes([draw(st.integers(192, 239))]), max_symbol
    if kind == "geometric":
        tails = st.tuples(st.integers(0, 64), st.integers(0, 64)).filter(
            lambda pair: min(pair) < 64
        )
        return bytes([draw(st.integers(1, 127)), *draw(tails)]), max_symbol
    n = n_buckets(max_symbol)
    return b"\xff" + draw(st.binary(min_size=n, max_size=n).filter(any)), max_symbol


@given(legal_tables())
@example((bytes([127, 63, 63]), 2047))
@example((bytes([1, 0, 64]), 1))
@example((b"\xff" + bytes([255] * n_buckets(2047)), 2047))
@example((b"\xff\x00\x01", 1))
def test_frequencies_sum_to_the_total(record: tuple[bytes, int]) -> None:
    """Every legal record gives each of the 2M + 1 symbols at least 1, and 2^24 in all."""
    table, max_symbol = record
    found = frequencies(table, max_symbol)
    assert found.shape == (2 * max_symbol + 1,)
    assert found.min() >= 1
    assert found.sum() == 1 << TOTAL_BITS


def test_zero_odds_are_quarters_of_an_octave() -> None:
    """First byte 64 gives zero as much as all others together; four more double the odds."""
    even, double = (frequencies(bytes([odds, 8, 8]), 127)[127] / 2**24 for odds in (64, 68))
    assert even == pytest.approx(1 / 2, abs=1e-4)
    assert double == pytest.approx(2 / 3, abs=1e-4)


def test_tails_are_their_own() -> None:
    """Code 64 leaves a side with the least frequency; on the other each magnitude falls by 1 -
    2^(-code/4).
    """
    found = frequencies(bytes([64, 4, 64]), 127)
    assert set(found[:127].tolist()) == {1}
    np.testing.assert_allclose(found[129:134] / found[128:133], 0.5, rtol=1e-3)


@pytest.mark.parametrize("width", range(1, 49))
def test_normal_tables_fall_with_the_square(width: int) -> None:
    """The frequency of k falls as 2^(-k^2 / 2^(width / 2)) from 1 on, but for the least frequency
    everyone has.
    """
    found = frequencies(bytes([191 + width]), 2047)[2048:]
    expected = np.exp2((1 - np.arange(1, 2048) ** 2) / 2 ** (width / 2)) * found[0]
    seen = expected > 1000
    np.testing.assert_allclose(found[seen], expected[seen], rtol=0.01)
    assert len(found[~seen]) == 0 or found[~seen].max() <= 1100


def test_normal_tables_serve_bell_curves() -> None:
    """A thousand Gaussian symbols take a normal table of two bytes and little more than their
    entropy.
    """
    group = coded(np.random.default_rng(0).normal(0, 9, 1000), 9)
    stream = encoded([group], 127)
    assert 192 <= stream[0] <= 239 and len(stream) < 1.02 * order0_bytes(group.symbols) + 2


def test_histogram_is_symmetric_but_for_the_remainder() -> None:
    """A histogram gives s and -s the same frequency."""
    found = frequencies(b"\xff" + bytes(range(10, 10 + n_buckets(127))), 127)
    np.testing.assert_array_equal(found, found[::-1])


def test_histogram_shares_a_bucket_evenly() -> None:
    """Magnitudes 9 to 12 are one bucket, and an eighth of a byte's octave scales its mass by
    2^(1/8).
    """
    found = frequencies(b"\xff" + bytes([9, 0, 0, 0, 0, 0, 0, 1] + [0] * (n_buckets(127) - 8)), 127)
    assert len(set(found[127 + 9 : 127 + 13].tolist())) == 1
    assert found[127] / found[127 + 9 : 127 + 13].sum() == pytest.approx(2 * 2, rel=1e-3)


# --- size ---


def realistic_groups(seed: int) -> list[Coded]:
    """What fits give: Laplace, Gauss, pruned Gauss with a hole around zero, uniform, zeros and tiny
    groups.
    """
    rng = np.random.default_rng(seed)
    pruned = rng.normal(0, 30, 9000)
    pruned[np.abs(pruned) < 15] = 0
    shapes = [
        rng.laplace(0, 3, 8000),
        rng.laplace(0, 0.4, 5000),
        rng.normal(0, 12, 6000),
        rng.normal(2, 25, 3000),
        pruned,
        rng.uniform(-127, 127, 4000),
        np.zeros(500),
        rng.normal(0, 20, 9),
        rng.laplace(0, 1, 3),
    ]
    return [coded(np.clip(values, -127, 127), 200) for values in shapes]


@pytest.mark.parametrize("seed", range(3))
def test_coded_size_is_near_the_entropy(seed: int) -> None:
    """A stream takes at most 3 % and 128 bytes more than its groups' own order-0 entropies."""
    groups = realistic_groups(seed)
    entropy = sum(order0_bytes(group.symbols) for group in groups)
    assert entropy <= len(encoded(groups, 127)) <= 1.03 * entropy + 128


def test_a_histogram_serves_where_no_geometric_table_can() -> None:
    """Symbols that all lie far from zero cost little more than their entropy."""
    rng = np.random.default_rng(0)
    group = coded(rng.integers(97, 128, 4000) * rng.choice([-1.0, 1.0], 4000))
    assert len(encoded([group], 127)) < 1.01 * order0_bytes(group.symbols) + 32


# --- grids ---


def restless(shape: tuple[int, ...], max_symbol: int, seed: int = 0) -> Coded:
    """A grid that changes a lot on its left and hardly ever on its right."""
    values = np.random.default_rng(seed).laplace(0, 1, shape) * np.exp(
        np.linspace(2, -4, shape[-1])
    )
    return coded(np.clip(values, -max_symbol, max_symbol).ravel(), 77)


@st.composite
def modules_with_grids(draw: st.DrawFn) -> tuple[list[Coded], list[tuple[int, ...]], int]:
    """Groups of one module, some of them grids, with their shapes and the largest magnitude of
    their symbols.
    """
    max_symbol = draw(st.sampled_from([1, 7, 127, 2047]))
    grids = st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 6), st.integers(1, 6))
    others = st.tuples(st.integers(1, 9))
    shapes: list[tuple[int, ...]] = draw(st.lists(st.one_of(grids, others), min_size=1, max_size=3))
    return (
        [restless(shape, max_symbol, draw(st.integers(0, 99))) for shape in shapes],
        shapes,
        max_symbol,
    )


@settings(max_examples=60)
@given(modules_with_grids())
def test_grids_come_back(module: tuple[list[Coded], list[tuple[int, ...]], int]) -> None:
    """Grids of any shape come back, alone, with one another and with other groups."""
    assert_comes_back(*module)


@pytest.mark.parametrize("max_symbol", EVERY_MAX_SYMBOL)
@pytest.mark.parametrize("n_classes", range(1, 7))
def test_every_number_of_classes_comes_back(
    n_classes: int, max_symbol: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever number of classes the encoder takes, it stands in the stream and the symbols come
    back.
    """
    monkeypatch.setattr(
        "nervcodec.coding.contexts._cost_bits", lambda counts: abs(len(counts) - n_classes)
    )
    group, shape = restless((5, 2, 6, 7), max_symbol), (5, 2, 6, 7)
    assert encode_symbols([group], forms([shape]), max_symbol)[0] == n_classes
    assert_comes_back([group, group], [shape, shape], max_symbol)


def test_a_grid_of_one_key_is_coded_as_any_group() -> None:
    """Without a key before there are no classes."""
    group = restless((1, 2, 6, 7), 127)
    assert encode_symbols([group], forms([(1, 2, 6, 7)]), 127) == encoded([group], 127)


def test_a_grid_of_zeros_takes_three_bytes() -> None:
    """One class, two empty records, no step."""
    groups = [coded([0] * 84, 77)]
    assert encode_symbols(groups, forms([(7, 3, 2, 2)]), 127) == b"\1\0\0"
    assert_comes_back(groups, [(7, 3, 2, 2)], 127)


@pytest.mark.parametrize("still", [[0], [1, 2, 3]], ids=["first", "all but the first"])
def test_the_step_comes_back_from_the_first_record_that_has_it(still: list[int]) -> None:
    """Of a grid whose first key, or whose every other key, is zero."""
    symbols = restless((4, 2, 5, 5), 127).symbols.reshape(4, 2, 5, 5)
    symbols[still] = 0
    assert_comes_back([Coded(symbols.ravel(), 201)], [(4, 2, 5, 5)], 127)


def wavelet(
    n_keys: int, size: tuple[int, int], max_symbol: int, seed: int
) -> tuple[list[Coded], list[Shape]]:
    """Coarse details and two finer ones that are lively where these are, [n_keys, 3, rows, columns]
    each.
    """
    rng, sizes = np.random.default_rng(seed), [size]
    for _ in range(2):
        sizes.insert(0, (-(-sizes[0][0] // 2), -(-sizes[0][1] // 2)))
    where = np.exp(rng.normal(-1, 3, (n_keys, 3, *sizes[0])))
    groups: list[Coded] = []
    shapes: list[Shape] = []
    for rows, columns in sizes:
        values = rng.laplace(0, 1, (n_keys, 3, rows, columns)) * where[:, :, :rows, :columns]
        groups.append(
            coded(np.clip(values, -max_symbol, max_symbol).ravel(), int(rng.integers(256)))
        )
        shapes.append((n_keys, 3, rows, columns))
        where = where.repeat(2, axis=2).repeat(2, axis=3)
    return groups, shapes


@settings(max_examples=60)
@given(
    st.integers(1, 3),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.sampled_from([1, 7, 2047]),
    st.integers(0, 99),
)
def test_followers_come_back(
    n_keys: int, size: tuple[int, int], max_symbol: int, seed: int
) -> None:
    """Details that follow coarser ones come back, of one key and of several, of any size, before
    and after others.
    """
    groups, shapes = wavelet(n_keys, size, max_symbol, seed)
    groups, shapes = [*groups, groups[0], *groups], [*shapes, shapes[0], *shapes]
    stream = encode_symbols(groups, forms(shapes, (1, 2, 5, 6)), max_symbol)
    for group, found in zip(
        groups, decode_symbols(stream, forms(shapes, (1, 2, 5, 6)), max_symbol), strict=True
    ):
        assert found.symbols.tolist() == group.symbols.tolist()
        assert found.step_code == (group.step_code if group.symbols.any() else 0)


def test_followers_pay_where_details_lie_together() -> None:
    """Details that are lively where coarser ones are take 5 % less than by themselves."""
    groups, shapes = wavelet(1, (40, 60), 127, 0)
    alone = len(encode_symbols(groups, forms(shapes), 127))
    assert len(encode_symbols(groups, forms(shapes, (1, 2)), 127)) < 0.95 * alone


def test_followers_of_zeros_take_two_bytes() -> None:
    """One class, an empty record."""
    groups = [coded([0] * 3, 77), coded([0] * 12, 77)]
    assert encode_symbols(groups, forms([(1, 3, 1, 1), (1, 3, 2, 2)], (1,)), 127) == b"\0" + b"\1\0"


# Coarser details of eight cells in a row whose last two are 3 and -3: the activities are 0 five
# times, then 3, 9 and 9. So of each row of finer ones twelve cells are still and four are not.
GOLDEN_DETAILS = [coded([0] * 6 + [3, -3], 0x5A), coded(([0] * 12 + [3, -3, 3, 3]) * 2, 0x5B)]
GOLDEN_SHAPES = [(1, 1, 1, 8), (1, 1, 2, 16)]
GOLDEN_DETAILS_BYTES = bytes.fromhex(
    "83 5a"  # the coarser ones, plain: 128 + tail 3, step code
    "02"  # the finer ones have two classes: activities below 6, and others
    "00"  # class 0: all symbols are zero
    "ca 5b"  # class 1, normal: 191 + width 11, step code
    "80e03177952f"
)  # the range coder's bytes: eight symbols, then eight of class 1


def test_golden_followers() -> None:
    """These details give exactly these bytes for ever, and these bytes give them."""
    assert encode_symbols(GOLDEN_DETAILS, forms(GOLDEN_SHAPES, (1,)), 3).hex(
        " "
    ) == GOLDEN_DETAILS_BYTES.hex(" ")
    found = decode_symbols(GOLDEN_DETAILS_BYTES, forms(GOLDEN_SHAPES, (1,)), 3)
    assert [(group.symbols.tolist(), group.step_code) for group in found] == [
        (group.symbols.tolist(), group.step_code) for group in GOLDEN_DETAILS
    ]


# 16 cells in a row: twelve stand still, the last four change, and so they do in the next key. The
# activity of the twelfth is 3, that of the last four 9, 12, 12 and 9.
GOLDEN_GRID = coded([0] * 12 + [3, -3, 3, 3] + [0] * 12 + [-3, 3, -3, 3], 0x5A)
GOLDEN_GRID_BYTES = bytes.fromhex(
    "02"  # two classes: activities below 6, and others
    "83 5a"  # key 0, plain: 128 + tail 3, step code
    "00"  # class 0: all symbols are zero
    "ca"  # class 1, normal: 191 + width 11; no step code
    "8001a08bde04"
)  # the range coder's bytes: sixteen symbols of key 0, four of class 1


def test_golden_grid_is_written() -> None:
    """This grid gives exactly these bytes for ever."""
    assert encode_symbols([GOLDEN_GRID], forms([(2, 1, 1, 16)]), 3).hex(
        " "
    ) == GOLDEN_GRID_BYTES.hex(" ")


def test_golden_grid_is_read() -> None:
    """These bytes give exactly this grid for ever."""
    (found,) = decode_symbols(GOLDEN_GRID_BYTES, forms([(2, 1, 1, 16)]), 3)
    assert (found.symbols.tolist(), found.step_code) == (GOLDEN_GRID.symbols.tolist(), 0x5A)


@pytest.mark.parametrize("seed", range(3))
def test_contexts_pay_where_change_goes_on(seed: int) -> None:
    """A grid whose parts differ in how much they change takes five sixths of its plain symbols'
    bytes.
    """
    group = restless((20, 2, 12, 16), 127, seed)
    assert len(encode_symbols([group], forms([(20, 2, 12, 16)]), 127)) < 5 / 6 * len(
        encoded([group], 127)
    )


def test_contexts_cost_next_to_nothing_where_they_do_not_pay() -> None:
    """Symbols without any order take one class, and no more than eight bytes above a plain
    group's.
    """
    group = coded(np.random.default_rng(0).laplace(0, 3, 20 * 2 * 12 * 16))
    stream = encode_symbols([group], forms([(20, 2, 12, 16)]), 127)
    assert stream[0] == 1 and len(stream) <= len(encoded([group], 127)) + 8


@pytest.mark.parametrize(
    ("shape", "max_symbol"), [((2, 1, 4, 4), 127), ((20, 2, 12, 16), 127), ((6, 2, 9, 9), 2047)]
)
def test_the_number_of_classes_is_a_good_one(
    shape: tuple[int, ...], max_symbol: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No other number of classes gives a stream that is more than 2 % and 4 bytes shorter."""
    group = restless(shape, max_symbol)
    chosen, others = len(encode_symbols([group], forms([shape]), max_symbol)), []
    for n_classes in range(1, 7):
        monkeypatch.setattr(
            "nervcodec.coding.contexts._cost_bits", lambda counts, n=n_classes: abs(len(counts) - n)
        )
        others.append(len(encode_symbols([group], forms([shape]), max_symbol)))
    assert len(set(others)) > 1 and chosen <= 1.02 * min(others) + 4


# --- wrong streams ---

STREAM = encoded([coded(ONE_SIDED, 9)], 127)


@pytest.mark.parametrize("n_bytes", range(4))
def test_a_record_cut_short_is_refused(n_bytes: int) -> None:
    """A stream that ends inside a record is truncated, also if it is empty."""
    with pytest.raises(Truncated, match=f"a stream of {n_bytes} bytes ends inside a record"):
        decode_symbols(STREAM[:n_bytes], forms([(30,)]), 127)


def test_a_histogram_cut_short_is_refused() -> None:
    """A histogram's record is as long as there are buckets."""
    with pytest.raises(Truncated):
        decode_symbols(b"\xff\0" + b"\1" * (n_buckets(127) - 1), forms([(8,)]), 127)


@pytest.mark.parametrize("kind", [128, 240, 254])
def test_unknown_kinds_of_record_are_refused(kind: int) -> None:
    """First bytes of 128 and 240 to 254 stand for nothing."""
    with pytest.raises(InvalidField) as error:
        decode_symbols(bytes([kind, 0, 1, 1]) + b"\0" * 8, forms([(8,)]), 127)
    assert (error.value.field, error.value.value) == ("kind of record", kind)


def test_a_plain_record_cut_short_is_refused() -> None:
    """A plain record is two bytes."""
    with pytest.raises(Truncated):
        decode_symbols(b"\x83", forms([(8,)]), 127)


def test_small_symmetric_groups_take_two_bytes_of_record() -> None:
    """A dozen symbols about 0 do not pay for more than one integer besides the step."""
    stream = encoded([coded([1, -2, 0, 3, 0, 0, 1, -1], 9)], 127)
    assert 129 <= stream[0] <= 191


@pytest.mark.parametrize("tails", [(65, 0), (0, 65), (255, 255), (64, 64), (64, 65)])
def test_tails_out_of_range_are_refused(tails: tuple[int, int]) -> None:
    """Tails are 0 to 64 and not both 64."""
    with pytest.raises(InvalidField) as error:
        decode_symbols(bytes([64, 0, *tails]) + b"\0" * 8, forms([(8,)]), 127)
    assert (error.value.field, error.value.value) == ("tails", tails)


@pytest.mark.parametrize("max_symbol", EVERY_MAX_SYMBOL)
def test_an_empty_histogram_is_refused(max_symbol: int) -> None:
    """A histogram without any mass gives no table."""
    with pytest.raises(InvalidField) as error:
        decode_symbols(
            b"\xff\0" + bytes(n_buckets(max_symbol)) + b"\0" * 8, forms([(8,)]), max_symbol
        )
    assert error.value.field == "histogram"


def test_an_impossible_state_is_refused() -> None:
    """Bytes that no encoder writes, whose quotient is 2^24 or more, are refused."""
    with pytest.raises(BitstreamError, match="impossible state"):
        decode_symbols(b"\x40\0\x10\x10" + b"\xff" * 8, forms([(3,)]), 127)


@pytest.mark.parametrize("surplus", [b"\0", b"\0" * 4, b"\1", b"\0" * 40])
def test_surplus_bytes_are_refused(surplus: bytes) -> None:
    """More bytes than the symbols use up are refused."""
    with pytest.raises(BitstreamError, match="not those of its symbols"):
        decode_symbols(STREAM + surplus, forms([(30,)]), 127)


@pytest.mark.parametrize("n_bytes", [1, 4, 8])
def test_bytes_without_coded_groups_are_refused(n_bytes: int) -> None:
    """In a stream of which no group is coded the records are all."""
    with pytest.raises(BitstreamError, match="not those of its symbols"):
        decode_symbols(b"\0\0" + b"\1" * n_bytes, forms([(8,), (8,)]), 127)


@pytest.mark.parametrize("seed", range(20))
def test_no_shorter_stream_has_the_same_symbols(seed: int) -> None:
    """With one byte less the range coder gives other symbols, whatever its last byte is."""
    rng = np.random.default_rng(seed)
    group = coded(rng.integers(-3, 4, 1 + int(rng.integers(30))).tolist(), 9)
    stream = encoded([group], 7)
    table, _, start = read_record(stream, 0, 7)
    assert decodes_to(stream[start:], table, group.symbols)
    for last in range(256) if len(stream) > start + 1 else ():
        assert not decodes_to(stream[start:-2] + bytes([last]), table, group.symbols)


def decodes_to(data: bytes, table: bytes, symbols: NDArray[np.int32]) -> bool:
    """Whether the range decoder alone reads these symbols of -7..7 from the data."""
    words = np.frombuffer(data + bytes(8 + -len(data) % 4), ">u4").astype(np.uint32)
    model = constriction.stream.model.Categorical(
        (frequencies(table, 7) - 1).astype(np.float64), perfect=False
    )
    decoder = constriction.stream.queue.RangeDecoder(words)
    try:
        return bool(np.array_equal(decoder.decode(model, len(symbols)) - 7, symbols))
    except AssertionError:  # bytes that stand for no symbols
        return False


@pytest.mark.parametrize("n_bytes", [1, 2, 4])
def test_missing_bytes_never_give_the_same_symbols(n_bytes: int) -> None:
    """A stream without its last bytes is refused, or is that of other symbols."""
    try:
        groups = decode_symbols(STREAM[:-n_bytes], forms([(30,)]), 127)
    except BitstreamError:
        return
    assert groups[0].symbols.tolist() != ONE_SIDED


@settings(max_examples=150)
@given(st.binary(max_size=60), st.sampled_from([1, 7, 127]))
def test_any_bytes_decode_or_are_refused(stream: bytes, max_symbol: int) -> None:
    """Arbitrary bytes give symbols within range or a BitstreamError, nothing else."""
    try:
        groups = decode_symbols(stream, forms([(5,), (1,), (3, 2, 2, 2)]), max_symbol)
    except BitstreamError:
        return
    assert all(abs(group.symbols).max() <= max_symbol for group in groups)


@pytest.mark.parametrize("n_classes", [0, 7, 255])
def test_illegal_numbers_of_classes_are_refused(n_classes: int) -> None:
    """A grid has one to six classes."""
    with pytest.raises(InvalidField) as error:
        decode_symbols(bytes([n_classes]) + bytes(40), forms([(2, 1, 3, 3)]), 127)
    assert (error.value.field, error.value.value) == ("number of classes", n_classes)


def test_a_class_without_symbols_has_no_table() -> None:
    """After a key of zeros every activity is 0: a second class is legal if its record is empty, and
    only then.
    """
    shape, symbols = (2, 1, 2, 3), [0] * 6 + [1, -1, 0, 2, 0, 1]
    stream = encode_symbols([coded(symbols, 9)], forms([shape]), 7)
    assert stream[:2] == b"\1\0" and 129 <= stream[2] <= 239 and stream[3] == 9
    (found,) = decode_symbols(b"\2" + stream[1:4] + b"\0" + stream[4:], forms([shape]), 7)
    assert found.symbols.tolist() == symbols
    with pytest.raises(BitstreamError, match="a class without symbols has a table"):
        decode_symbols(b"\2" + stream[1:4] + b"\x83" + stream[4:], forms([shape]), 7)


GRID_SHAPE = (6, 2, 5, 12)
GRID_STREAM = encode_symbols([restless(GRID_SHAPE, 127)], forms([GRID_SHAPE]), 127)


def test_a_grid_cut_short_is_refused() -> None:
    """A stream that ends before or inside any of a grid's records is truncated."""
    position = 1
    for number in range(1 + GRID_STREAM[0]):
        position = read_record(GRID_STREAM, position, 127, has_step=number == 0)[2]
    for n_bytes in range(position):
        with pytest.raises(Truncated):
            decode_symbols(GRID_STREAM[:n_bytes], forms([GRID_SHAPE]), 127)


def test_damaged_grids_give_symbols_or_an_error() -> None:
    """A changed byte or a cut gives symbols within range or a BitstreamError, nothing else."""
    assert GRID_STREAM[0] > 1
    n_refused = 0
    for at in range(len(GRID_STREAM)):
        changed = [
            bytes([GRID_STREAM[at] ^ mask]) + GRID_STREAM[at + 1 :] for mask in (1, 16, 128, 255)
        ]
        for damaged in (GRID_STREAM[:at] + rest for rest in (b"", *changed)):
            try:
                (found,) = decode_symbols(damaged, forms([GRID_SHAPE]), 127)
            except BitstreamError:
                n_refused += 1
            else:
                assert abs(found.symbols).max() <= 127
    assert n_refused > 0


@pytest.mark.parametrize("scale", [0.3, 2.0, 40.0])
def test_bits_of_symbols_are_what_they_take(scale: float) -> None:
    """Summed over a group they are its stream, but for its record and the coder's end."""
    symbols = np.rint(np.random.default_rng(1).laplace(0, scale, 5000)).astype(np.int32)
    total = symbol_bits(symbols, 511)[symbols + 511].sum() / 8
    assert 0 <= len(encoded([Coded(symbols, 0)], 511)) - total < 20


def test_zeros_take_nothing_and_others_a_record() -> None:
    """Where all symbols are 0 there is no table yet."""
    bits = symbol_bits(np.zeros(9, np.int32), 7)
    assert bits[7] == 0 and set(np.delete(bits, 7)) == {32}
