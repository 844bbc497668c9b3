"""Sections 3 and 4 of the format: the parameters of a segment, as integers.

A part of the reader that imports nothing of nervcodec.
"""

import bisect
import itertools
import math
from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt
from reference_reader import (
    HEADER,
    PHASES,
    PRIOR_CHANNELS,
    PRIOR_STRIDES,
    PRIOR_WIDTH,
    Cursor,
    File,
    level_channels,
    prior_bytes,
)

Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Shapes = list[tuple[str, tuple[int, ...]]]
Table = list[int] | None  # F(s) for s in -M..M; None of a record 0

MASK64 = 2**64 - 1
Q = (65536, 77936, 92682, 110218)
E = (65536, 71468, 77936, 84990, 92682, 101070, 110218, 120194)
THRESHOLDS: dict[int, tuple[int, ...]] = {
    1: (),
    2: (6,),
    3: (2, 8),
    4: (1, 4, 10),
    5: (1, 3, 7, 16),
    6: (1, 3, 6, 12, 24),
}


def grid_sizes(file: File, level: int) -> list[tuple[int, int]]:
    """Section 3: R_j x C_j of the grids of a level, from j = 0 on."""
    scale = math.prod(stride for stride, _ in file.blocks[:level])
    found = [(file.header["stem_height"] * scale, file.header["stem_width"] * scale)]
    for _ in range(file.wavelet_levels if level else 0):
        height, width = found[-1]
        found.append(((height + 1) // 2, (width + 1) // 2))
    return found


def n_keys(shots: Sequence[int], interval: int) -> list[int]:
    """Section 3: the keys of a grid that each shot has."""
    return [-(-n_frames // interval) for n_frames in shots]


def tensors(file: File, shots: Sequence[int]) -> list[tuple[str, Shapes, Shapes]]:
    """Section 3: for each module its name, and the names and shapes of its weights and of
    its biases.
    """
    header = file.header
    height, width, encoding = header["stem_height"], header["stem_width"], 80
    weights, biases = Shapes(), Shapes()
    if header["stem"] == 0:
        hidden, channels = header["stem_hidden"], header["stem_channels"]
        outputs = height * width * channels
        weights = [("linear1", (hidden, encoding)), ("linear2", (outputs, hidden))]
        biases = [("linear1", (hidden,)), ("linear2", (outputs,))]
    else:
        channels = level_channels(file, 0)
        if file.motion:
            weights += [(name, (sum(shots), 2, *file.motion)) for name in ("motion", "offset")]
        for k, (grid_channels, interval, level) in enumerate(file.grids, 1):
            n, sizes = sum(n_keys(shots, interval)), grid_sizes(file, level)
            weights.append((f"grid{k}", (n, grid_channels, *sizes[-1])))
            weights += [
                (f"grid{k}_details{i}", (n, 3 * grid_channels, *sizes[i]))
                for i in range(len(sizes) - 1, 0, -1)
            ]
    modules = [("stem", weights, biases)]
    for i, (stride, wide) in enumerate(file.blocks, 1):
        weights = block_weights(header["parts"], channels, stride, wide)
        lacking = (
            {f"scrb{k}.{layer}" for k in (1, 2) for layer in ("dw", "pw2")}
            if header["biases"] == 1
            else set()
        )
        modules.append(
            (
                f"block{i}",
                weights,
                [(name, shape[:1]) for name, shape in weights if name not in lacking],
            )
        )
        channels = wide + level_channels(file, i)
    planes = sum(rows * columns for rows, columns in PHASES[header["colorspace"]])
    modules.append(("head", [("conv", (planes, channels, 3, 3))], [("conv", (planes,))]))
    return modules


def block_weights(parts: int, channels: int, stride: int, wide: int) -> Shapes:
    """Section 3: the weights of a block of so many channels that is given others."""
    v = wide if parts & 1 else channels
    found: Shapes = [("pw", (wide, channels, 1, 1))] if parts & 1 else []
    if parts & 2:
        found += [
            ("scrb1.dw", (v, 1, 3, 3)),
            ("scrb1.pw1", (v, v, 1, 1)),
            ("scrb1.pw2", (v, v, 1, 1)),
        ]
    found.append(("ub", (wide * stride**2, v, 3, 3)))
    if parts & 4:
        found += [
            ("scrb2.dw", (wide, 1, 3, 3)),
            ("scrb2.pw1", (wide, wide, 1, 1)),
            ("scrb2.pw2", (wide, wide, 1, 1)),
        ]
    return found


def buckets(max_symbol: int) -> list[tuple[int, int]]:
    """Section 4.3: the first and last magnitude of each bucket of a histogram."""
    found = [(magnitude, magnitude) for magnitude in range(5)]
    size = 2
    while found[-1][1] < max_symbol:
        for _ in range(2):
            found.append((found[-1][1] + 1, found[-1][1] + size))
        size *= 2
    return [(first, min(last, max_symbol)) for first, last in found if first <= max_symbol]


def frequencies(weights: Sequence[int], max_symbol: int) -> list[int]:
    """Section 4.3: F(s) for s in -M..M of w(s)."""
    total = sum(weights)
    found = [1 + (2**24 - (2 * max_symbol + 1)) * weight // total for weight in weights]
    found[max_symbol] += 2**24 - sum(found)
    return found


def ratio(tail: int) -> int:
    """Section 4.3: r of a tail below 64."""
    return 65536 - (Q[-tail % 4] >> -(-tail // 4))


def side(tail: int, max_symbol: int) -> list[int]:
    """Section 4.3: g(1) to g(M)."""
    if tail == 64:
        return [0] * max_symbol
    r = ratio(tail)
    return list(
        itertools.accumulate(range(max_symbol - 1), lambda g, _: (g * r) >> 16, initial=2**31)
    )


def plain(tail: int, max_symbol: int) -> list[int]:
    """Section 4.3: the weights of a plain table."""
    g = side(tail, max_symbol)
    return [*reversed(g), 2**47 // ratio(tail), *g]


def normal(v: int, max_symbol: int) -> list[int]:
    """Section 4.3: the weights of a normal table."""
    a = (2147483648, 2630870735)[v % 2]
    for _ in range(v // 2):
        a = math.isqrt(a * 2**32)
    b, g, r = (a * a) >> 32, [2**32], a
    for _ in range(max_symbol):
        g.append((g[-1] * r) >> 32)
        r = (r * b) >> 32
    return [*reversed(g[1:]), *g]


def geometric(first: int, positive: int, negative: int, max_symbol: int) -> list[int]:
    """Section 4.3: the weights of a geometric table."""
    above, below = side(positive, max_symbol), side(negative, max_symbol)
    centre = (((sum(above) + sum(below)) * Q[first % 4]) << (first // 4)) >> 32
    return [*reversed(below), centre, *above]


def histogram(values: bytes, max_symbol: int) -> list[int]:
    """Section 4.3: the weights of a histogram table."""
    weights: list[int] = []
    for (first, last), value in zip(buckets(max_symbol), values, strict=True):
        mass = E[(value - 1) % 8] << (16 + (value - 1) // 8) if value else 0
        weights += [mass // ((last - first + 1) * (2 if first else 1))] * (last - first + 1)
    return [*reversed(weights[1:]), *weights]


def read_records(cursor: Cursor, n_records: int, max_symbol: int) -> tuple[int, list[Table]]:
    """Section 4.1: the step code of a group, 0 if it has none, and the tables of its
    records.
    """
    step, tables = None, list[Table]()
    for _ in range(n_records):
        kind = cursor.integer(1)
        if kind == 0:
            tables.append(None)
            continue
        if kind == 128 or 240 <= kind <= 254:
            raise ValueError(f"a record begins with {kind}")
        if step is None:
            step = cursor.integer(1)
        if kind <= 127:
            positive, negative = cursor.integer(1), cursor.integer(1)
            if max(positive, negative) > 64 or positive == negative == 64:
                raise ValueError(f"the tails {positive} and {negative} are illegal")
            weights = geometric(kind, positive, negative, max_symbol)
        elif kind <= 191:
            weights = plain(kind - 128, max_symbol)
        elif kind <= 239:
            weights = normal(kind - 191, max_symbol)
        else:
            values = cursor.take(len(buckets(max_symbol)))
            if not any(values):
                raise ValueError("a histogram is empty")
            weights = histogram(values, max_symbol)
        tables.append(frequencies(weights, max_symbol))
    return step or 0, tables


def decode_stream(
    stream: bytes,
    shapes: Sequence[tuple[int, ...]],
    max_symbol: int,
    followers: Collection[int] = (),
    keys: Sequence[Sequence[int]] = (),
) -> list[tuple[Ints, int]]:
    """Section 4: symbols and step code of each group, given [K, C, h, w] of a grid, [size]
    of others.

    The groups with the numbers in followers, from 0, follow the group before them. The first groups
    have so many keys in each shot; where keys are not given all of a grid belong to one.
    """
    by_shot = list(keys) or [shape[:1] if len(shape) == 4 else () for shape in shapes]
    by_shot += [()] * (len(shapes) - len(by_shot))
    cursor = Cursor(stream, "a stream")
    records = []
    for number in range(len(shapes)):
        n_records = 1
        if number in followers or any(n > 1 for n in by_shot[number]):
            n_classes = cursor.integer(1)
            if not 1 <= n_classes <= 6:
                raise ValueError(f"a grid has {n_classes} classes")
            n_records = n_classes if number in followers else 1 + n_classes
        records.append(read_records(cursor, n_records, max_symbol))
    decoder = RangeDecoder(stream[cursor.at :], max_symbol)
    found: list[tuple[Ints, int]] = []
    for number, (shape, (step, tables)) in enumerate(zip(shapes, records, strict=True)):
        if number in followers:
            followed = found[number - 1][0].reshape(shapes[number - 1])
            symbols = decode_grid(decoder, shape, by_shot[number], None, tables, followed)
        elif len(tables) > 1:
            symbols = decode_grid(decoder, shape, by_shot[number], tables[0], tables[1:])
        else:
            symbols = decoder.decode(tables[0], math.prod(shape))
        found.append((symbols, step))
    decoder.finish()
    return found


def decode_grid(
    decoder: "RangeDecoder",
    shape: tuple[int, ...],
    keys: Sequence[int],
    first: Table,
    classes: list[Table],
    followed: Ints | None = None,
) -> Ints:
    """Section 4.4: the symbols of a grid, given the table of first keys or the details that
    it follows.
    """
    d, starts, seen = np.zeros(shape, np.int32), {sum(keys[:i]) for i in range(len(keys))}, set()
    for k in range(len(d)):
        if k in starts and followed is None:
            d[k] = decoder.decode(first, d[k].size).reshape(d[k].shape)
            continue
        activity = np.zeros(d[k].shape, np.int32) if k in starts else around(d[k - 1])
        if followed is not None:
            rows, columns = np.arange(d.shape[2]) // 2, np.arange(d.shape[3]) // 2
            activity += around(followed[k])[:, rows[:, None], columns]
        number = np.zeros(activity.shape, np.int32)
        for threshold in THRESHOLDS[len(classes)]:
            number += threshold <= activity
        for i, table in enumerate(classes):
            places = number == i
            seen |= {i} if places.any() else set()
            d[k][places] = decoder.decode(table, int(places.sum()))
    if any(table is not None and i not in seen for i, table in enumerate(classes)):
        raise ValueError("a class without symbols has a table")
    return d.ravel()


def around(symbols: Ints) -> Ints:
    """Section 4.4: for each place of a key [C, h, w] the magnitudes around it and, twice,
    its own.
    """
    magnitudes = np.abs(symbols)
    padded, (_, height, width) = np.pad(magnitudes, ((0, 0), (1, 1), (1, 1))), symbols.shape
    found = magnitudes.copy()
    for i, j in itertools.product(range(3), repeat=2):
        found += padded[:, i : i + height, j : j + width]
    return found


class RangeDecoder:
    """Section 4.5."""

    def __init__(self, data: bytes, max_symbol: int) -> None:
        self.data, self.max_symbol, self.n_shifts = data, max_symbol, 0
        self.low, self.extent, self.point = 0, MASK64, (self.word(0) << 32) + self.word(1)

    def word(self, number: int) -> int:
        return int.from_bytes(self.data[4 * number : 4 * number + 4].ljust(4, b"\0"), "big")

    def finish(self) -> None:
        """Section 4.5, end of the stream: the bytes must be the shortest that name the
        last interval.
        """
        n_bytes, length = 8 + 4 * self.n_shifts, len(self.data)
        value = int.from_bytes(self.data[:n_bytes].ljust(n_bytes, b"\0"), "big")
        low = value - ((value - self.low) & MASK64)

        def first(n: int) -> int:
            unit: int = 256 ** (n_bytes - n)
            return (low + unit - 1) // unit * unit

        shorter_one = length > 0 and first(length - 1) < low + self.extent
        if length > n_bytes or value != first(length) or shorter_one:
            raise ValueError("a stream does not end as it should")

    def decode(self, table: Table, size: int) -> Ints:
        """The next symbols, given their table and number; zeros without a table."""
        if table is None:
            return np.zeros(size, np.int32)
        low, extent, point = self.low, self.extent, self.point
        cumulative = list(itertools.accumulate(table, initial=0))
        found = np.empty(size, np.int32)
        for i in range(size):
            scale = extent >> 24
            q = ((point - low) & MASK64) // scale
            if q >= 2**24:
                raise ValueError("a stream is damaged")
            s = bisect.bisect_right(cumulative, q) - 1
            low, extent = (low + scale * cumulative[s]) & MASK64, scale * table[s]
            if extent < 2**32:
                self.n_shifts += 1
                low, extent = (low << 32) & MASK64, extent << 32
                point = ((point << 32) & MASK64) + self.word(self.n_shifts + 1)
            found[i] = s - self.max_symbol
        self.low, self.extent, self.point = low, extent, point
        return found


def is_keyed(name: str) -> bool:
    """Whether a tensor of the stem is a motion, an offset, a grid or its details."""
    return name.startswith(("grid", "motion", "offset"))


def keys_of(file: File, shots: Sequence[int], name: str) -> list[int]:
    """Section 3: how many keys of such a tensor belong to each shot."""
    return n_keys(shots, 1 if name in ("motion", "offset") else file.grids[int(name[4]) - 1][1])


def groups(file: File, segment_index: int) -> list[tuple[str, Ints, int]]:
    """Sections "Tensors" and "Streams": name, symbols and step code of each group in coded
    order.
    """
    segment = file.segments[segment_index]
    found = []
    for (module, weights, biases), stream in zip(
        tensors(file, segment.shots), segment.streams, strict=True
    ):
        names = [name for name, _ in weights]
        shapes = [shape if is_keyed(name) else (math.prod(shape),) for name, shape in weights]
        if biases:
            names, shapes = (
                [*names, "biases"],
                [*shapes, (sum(math.prod(shape) for _, shape in biases),)],
            )
        highest = f"details{file.wavelet_levels}"
        followers = [
            i for i, name in enumerate(names) if "details" in name and not name.endswith(highest)
        ]
        decoded = decode_stream(
            stream,
            shapes,
            file.max_symbol,
            followers,
            [keys_of(file, segment.shots, name) for name in names if is_keyed(name)],
        )
        found += [(f"{module}.{name}", *group) for name, group in zip(names, decoded, strict=True)]
    return found


def symbols(file: File, segment_index: int) -> list[tuple[str, Ints]]:
    """Names and symbols of the groups in coded order."""
    return [(name, values) for name, values, _ in groups(file, segment_index)]


def step_codes(file: File, segment_index: int) -> list[int]:
    """Step codes of the groups in coded order, 0 for a group of which nothing is coded."""
    return [code for _, _, code in groups(file, segment_index)]


def times_step(multiples: Longs, step_code: int) -> Longs:
    """Sections 4.2 and 5.1: X, or about +-2^62 where it lies beyond.

    Only the sums of more keys than 2^15 lie there, and their values are clipped far below that.
    """
    step = (8 + step_code % 8) * 2 ** (step_code // 8 + 1)
    found: Longs = np.clip(multiples, -(2**62 // step), 2**62 // step) * step
    return found


def parameters(file: File, segment_index: int) -> dict[str, Longs]:
    """Sections 4.2 and 5.1: X of each tensor, by names such as block1.scrb1.dw.weight and
    head.conv.bias.
    """
    shots = file.segments[segment_index].shots
    modules = tensors(file, shots)
    values = {}
    for name, found, code in groups(file, segment_index):
        module, _, own_name = name.partition(".")
        multiples = found.astype(np.int64)
        if module == "stem" and is_keyed(own_name):
            keys = keys_of(file, shots, own_name)
            by_shot = np.split(multiples.reshape(sum(keys), -1), np.cumsum(keys)[:-1])
            multiples = np.concatenate([part.cumsum(0) for part in by_shot]).ravel()
        values[name] = times_step(multiples, code)
    tensor = {}
    for module, weights, biases in modules:
        for name, shape in weights:
            tensor[f"{module}.{name}.weight"] = values[f"{module}.{name}"].reshape(shape)
        at = 0
        for name, shape in biases:
            tensor[f"{module}.{name}.bias"] = values[f"{module}.biases"][at : at + shape[0]]
            at += shape[0]
    if file.header["prior"]:
        add_prior(file, tensor)
    return tensor


def add_prior(file: File, tensor: dict[str, Longs]) -> None:
    """Section 3.4: adds the weights of the prior to those of the file."""
    phases = PHASES[file.header["colorspace"]]
    floats = np.frombuffer(prior_bytes(file.header["prior"]), "<f2").astype(np.float64)
    weights, at = (floats * 2**24).astype(np.int64), 0  # all float16 are multiples of 2^-24
    for module, shapes_of_weights, shapes_of_biases in tensors(priors_own_network(), [1])[1:]:
        for end, shapes in (("weight", shapes_of_weights), ("bias", shapes_of_biases)):
            for name, shape in shapes:
                added = weights[at : at + math.prod(shape)].reshape(shape)
                at += added.size
                if module == "head":
                    plane_of = [p for p, (r, c) in enumerate(phases) for _ in range(r * c)]
                    rows = [phase if p == 0 else 3 + p for phase, p in enumerate(plane_of)]
                    added = added[rows]
                own = tensor[f"{module}.{name}.{end}"]
                number = len(file.blocks) if module == "head" else int(module[5:]) - 1
                before = file.blocks[number - 1][1] if number else 0
                if end == "bias":
                    own[: len(added)] += added
                    continue
                for column in range(added.shape[1]):
                    there = column if column < 16 else column - 16 + before
                    own[: len(added), there] += added[:, column]
    assert at == len(weights)


def priors_own_network() -> File:
    """Section 3.4: the network that prior 1 is of; its size does not matter."""
    header = {name: lowest for name, _, lowest, _ in HEADER}
    header |= {"stem": 1, "colorspace": 1, "parts": 15, "biases": 1}
    grids = [(channels, 1, level) for level, channels in enumerate(PRIOR_CHANNELS)]
    return File(header, grids, [(stride, PRIOR_WIDTH) for stride in PRIOR_STRIDES])
