"""Section 5 of the format: the frames of a segment, in integer arithmetic.

A part of the reader that imports nothing of nervcodec. It holds each number to the bound that
section 5.1 states for it.
"""

import bisect
import functools
import itertools
import math
from collections.abc import Callable, Iterable
from fractions import Fraction

import numpy as np
import numpy.typing as npt
from reference_reader import PHASES, File, level_channels
from reference_streams import Longs, grid_sizes, is_keyed, n_keys, parameters

Planes = tuple[npt.NDArray[np.uint8 | np.uint16], ...]
R = 8191


def below(power: int, x: Longs) -> Longs:
    """The same, no element of which may reach that power of two."""
    assert not x.size or max(int(x.max()), -int(x.min())) < 2**power
    return x


def within_range(x: Longs) -> Longs:
    """The same, no element of which may leave -R..R."""
    assert not x.size or np.abs(x).max() <= R
    return x


def rs(v: Longs, n: int) -> Longs:
    """Section 5.1: shifted right and rounded."""
    return (v + (1 << (n - 1))) >> n if n > 0 else below(63 + n, v) * 2**-n


def clip(v: Longs, highest: int = R) -> Longs:
    """Section 5.1."""
    found: Longs = np.clip(v, -highest, highest)
    return found


def bilinear(x: Longs, i: Longs, a: Longs, j: Longs, b: Longs) -> Longs:
    """Section 5.1: x [C, rows, columns] at the rows i + a / 256 and the columns j + b / 256, times
    2^16; the four broadcast against each other.
    """
    below_i, right_j = np.minimum(i + 1, x.shape[1] - 1), np.minimum(j + 1, x.shape[2] - 1)
    above = (256 - b) * x[:, i, j] + b * x[:, i, right_j]
    beneath = (256 - b) * x[:, below_i, j] + b * x[:, below_i, right_j]
    return (256 - a) * above + a * beneath


def places(size: int, wanted: int) -> tuple[Longs, Longs]:
    """Section 5.1: p // (2 H) and f for each i of an axis of `size` cells resized to `wanted`."""
    p = np.maximum((2 * np.arange(wanted) + 1) * size - wanted, 0)
    return p // (2 * wanted), (256 * (p % (2 * wanted)) + wanted) // (2 * wanted)


def resized(x: Longs, height: int, width: int) -> Longs:
    """Section 5.1: of x [C, rows, columns], times 2^16."""
    (i, a), (j, b) = places(x.shape[1], height), places(x.shape[2], width)
    return bilinear(x, i[:, None], a[:, None], j, b)


def nearest(y: float) -> int:
    """Section 5.2: the nearest integer, halves up."""
    return math.floor(y + 0.5)


def gelu_entry(fraction_bits: int, v: int) -> float:
    """Section 5.2: gelu(v) before it is rounded."""
    return v * (1 + math.erf(v / 2**fraction_bits / math.sqrt(2))) / 2


def silu_entry(fraction_bits: int, v: int) -> float:
    """Section 5.2: silu(v) before it is rounded."""
    return v / (1 + math.exp(-v / 2**fraction_bits))


def sample_entry(bits: int, v: int) -> float:
    """Section 5.2: sample(v) of so many bits before it is rounded."""
    return ((1 << bits) - 1) * (math.tanh(v / (8 << bits)) + 1) / 2


@functools.lru_cache
def table(entry: Callable[[int, int], float], bits: int, highest: int) -> Longs:
    """The entries for -highest .. highest."""
    return np.array([nearest(entry(bits, v)) for v in range(-highest, highest + 1)])


def looked_up(entry: Callable[[int, int], float], bits: int, highest: int, v: Longs) -> Longs:
    """The entry for each of v, clipped."""
    return table(entry, bits, highest)[clip(v, highest) + highest]


def encoding_entries(t: int, n_frames: int) -> list[float]:
    """Section 5.4: the 80 sines and cosines of frame t.

    Whole turns are taken off exactly: the last angles are so large that float64 would err by 1e-11.
    """
    turns = [Fraction(t * 5**i, n_frames * 4**i) % 2 for i in range(40)]
    return [function(math.pi * float(u)) for function in (math.sin, math.cos) for u in turns]


def layer_bits(
    weight: Longs, bias: Longs | None, fraction_bits: int, is_head: bool
) -> tuple[int, Longs, Longs]:
    """Section 5.2: k, W and B of a layer, given X of its parameters."""

    def greatest(limit: int) -> tuple[int, Longs, Longs]:
        for k in itertools.count(12, -1):
            w = rs(weight, 24 - k)
            b = np.zeros(len(w), np.int64) if bias is None else rs(bias, 24 - fraction_bits - k)
            sums = below(52, np.abs(w).reshape(len(w), -1).sum(1))
            bound = max(abs(int(one)) + R * int(total) for one, total in zip(b, sums, strict=True))
            assert bound < 2**64
            if bound <= limit:
                return k, w, b
        raise AssertionError

    found = greatest(15 * 2**20)
    return greatest(2**29) if found[0] < 8 or is_head else found


def lifted(p: Longs, x: Longs, y: Longs, z: Longs) -> Longs:
    """Section 5.6: one step of a wavelet, from keys [K, G, rows, columns] to twice as many rows and
    columns.
    """
    found = np.empty((*p.shape[:2], 2 * p.shape[2], 2 * p.shape[3]), np.int64)
    found[:, :, 0::2, 0::2] = clip(rs(p + x + y + z, 1))
    found[:, :, 0::2, 1::2] = clip(rs(p - x + y - z, 1))
    found[:, :, 1::2, 0::2] = clip(rs(p + x - y - z, 1))
    found[:, :, 1::2, 1::2] = clip(rs(p - x - y + z, 1))
    return found


def key_frames(n_frames: int, n_keys: int) -> list[int]:
    """Section 5.5: the frames of a shot that its keys stand on."""
    return [((2 * k + 1) * n_frames) // (2 * n_keys) for k in range(n_keys)]


def blend_weight(t: int, stands: list[int]) -> tuple[int, int]:
    """Section 5.5: a and w of frame t, where keys stand on these frames."""
    a = max(bisect.bisect_right(stands, t) - 1, 0)
    if t <= stands[a] or a + 1 == len(stands):
        return a, 0
    d = stands[a + 1] - stands[a]
    return a, (256 * (t - stands[a]) + d // 2) // d


def displacement(m: Longs, o: Longs, n: int, n_keys: int, n_frames: int) -> Longs:
    """Section 5.7: P of a motion and an offset, n frames from the key."""
    if n == 0:
        return np.zeros_like(m)
    product = below(53, 8 * m * (n * n_keys) + 2 * o * n_frames + 8 * n_frames)
    return clip(product // (16 * n_frames), 2**20)


def moved(key: Longs, p: Longs, strides_below: int, strides: int) -> Longs:
    """Section 5.7: a key [G, H, W] moved by P [2, rows, columns], given S_l and S."""
    _, height, width = key.shape
    v = rs(resized(p, height, width), 16)
    d = (2 * v * strides_below + strides) // (2 * strides)
    y = np.clip(256 * np.arange(height)[:, None] + d[1], 0, 256 * (height - 1))
    x = np.clip(256 * np.arange(width) + d[0], 0, 256 * (width - 1))
    return rs(below(30, bilinear(key, y // 256, y % 256, x // 256, x % 256)), 16)


class Network:
    """Section 5: the network of one segment."""

    def __init__(self, file: File, segment_index: int) -> None:
        segment = file.segments[segment_index]
        self.file, self.header, self.shots = file, file.header, segment.shots
        self.fraction_bits = segment.fraction_bits
        self.sample_bits = (8, 10, 12)[file.header["bit_depth"]]
        self.x_of = parameters(file, segment_index)
        self.layers = {}
        for tensor, x in self.x_of.items():
            name, _, kind = tensor.rpartition(".")
            if kind == "weight" and not is_keyed(name.removeprefix("stem.")):
                bias = self.x_of.get(f"{name}.bias")
                self.layers[name] = layer_bits(x, bias, self.fraction_bits, name == "head.conv")
        self.keys = [self.keys_of_grid(g) for g in range(len(file.grids))]

    def gelu(self, v: Longs) -> Longs:
        return looked_up(gelu_entry, self.fraction_bits, R, v)

    def silu(self, v: Longs) -> Longs:
        return looked_up(silu_entry, self.fraction_bits, R, v)

    def linear(self, name: str, x: Longs) -> Longs:
        """Section 5.2: a linear layer of x [inputs]."""
        k, weight, bias = self.layers[name]
        return rs(below(30, bias + weight @ within_range(x)), k)

    def sums(self, name: str, x: Longs) -> Longs:
        """Section 5.2: B and the sum of the products of a convolution of x [C, rows, columns]."""
        _, weight, bias = self.layers[name]
        size, (height, width) = weight.shape[-1], x.shape[1:]
        e = size // 2
        padded = np.pad(within_range(x), ((0, 0), (e, e), (e, e)))
        found = np.zeros((len(weight), height, width), np.int64) + bias[:, None, None]
        for a, b in itertools.product(range(size), repeat=2):
            part = padded[:, a : a + height, b : b + width]
            if name.endswith(".dw"):
                found += weight[:, 0, a, b, None, None] * part
            else:
                found += np.tensordot(weight[:, :, a, b], part, 1)
        return below(30, found)

    def conv(self, name: str, x: Longs) -> Longs:
        """Section 5.2: a convolution of x [C, rows, columns]."""
        return rs(self.sums(name, x), self.layers[name][0])

    def stem(self, t: int) -> Longs:
        """Sections 5.4 and 5.5: [C, h, w] of frame t of the segment."""
        if self.header["stem"] == 1:
            return self.blend(t, 0)
        entries = encoding_entries(t, sum(self.shots))
        e = np.array([nearest(2**self.fraction_bits * entry) for entry in entries])
        x = self.silu(self.linear("stem.linear2", self.silu(self.linear("stem.linear1", e))))
        return x.reshape(
            self.header["stem_channels"], self.header["stem_height"], self.header["stem_width"]
        )

    def keys_of_grid(self, g: int) -> Longs:
        """Section 5.6: the keys [K, G, R_0, C_0] of grid g, from 0, in all shots."""
        sizes = grid_sizes(self.file, self.file.grids[g][2])
        name, drop = f"stem.grid{g + 1}", 24 - self.fraction_bits
        keys = clip(rs(self.x_of[f"{name}.weight"], drop))
        for j in range(len(sizes) - 1, 0, -1):
            details = clip(rs(self.x_of[f"{name}_details{j}.weight"], drop))
            rows, columns = sizes[j - 1]
            keys = lifted(keys, *np.split(details, 3, axis=1))[:, :, :rows, :columns]
        return keys

    def blend(self, t: int, level: int) -> Longs:
        """Section 5.5: the channels of the grids of a level, which has some, in frame t of the
        segment.
        """
        found, ends = [], list(itertools.accumulate(self.shots))
        shot = bisect.bisect_right(ends, t)
        first = ends[shot] - self.shots[shot]
        for g, (_, interval, grid_level) in enumerate(self.file.grids):
            if grid_level != level:
                continue
            n = n_keys(self.shots, interval)
            keys = self.keys[g][sum(n[:shot]) : sum(n[: shot + 1])]
            stands = key_frames(self.shots[shot], len(keys))
            a, w = blend_weight(t - first, stands)
            value = (256 - w) * self.shown(keys, a, t, first, self.shots[shot], level)
            if w:
                value = value + w * self.shown(keys, a + 1, t, first, self.shots[shot], level)
            found.append(rs(below(22, value), 8))
        return np.concatenate(found)

    def shown(self, keys: Longs, k: int, t: int, first: int, n_frames: int, level: int) -> Longs:
        """Sections 5.5 and 5.7: key k of keys [K, G, H, W] of a shot of so many frames, of which
        `first` is the first, as frame t of the segment shows it.
        """
        if level == 0 or self.file.motion is None:
            key: Longs = keys[k]
            return key
        m, o = (
            clip(rs(self.x_of[f"stem.{name}.weight"][t], 12), 2**24)
            for name in ("motion", "offset")
        )
        n = t - first - key_frames(n_frames, len(keys))[k]
        strides = [stride for stride, _ in self.file.blocks]
        p = displacement(m, o, n, len(keys), n_frames)
        return moved(keys[k], p, math.prod(strides[:level]), math.prod(strides))

    def scrb(self, name: str, x: Longs) -> Longs:
        """Section 5.8."""
        hidden = self.gelu(self.conv(f"{name}.pw1", clip(self.conv(f"{name}.dw", x))))
        return clip(x + self.conv(f"{name}.pw2", hidden))

    def block(self, i: int, x: Longs) -> Longs:
        """Section 5.8: block i, from 1, of x [V_(i-1), rows, columns]."""
        name, parts, (stride, wide) = f"block{i}", self.header["parts"], self.file.blocks[i - 1]
        _, rows, columns = x.shape
        if parts & 1:
            x = clip(self.conv(f"{name}.pw", x))
        z = rs(below(30, resized(x, stride * rows, stride * columns)), 16) if parts & 8 else None
        if parts & 2:
            x = self.scrb(f"{name}.scrb1", x)
        y = self.silu(self.conv(f"{name}.ub", x)).reshape(wide, stride, stride, rows, columns)
        x = y.transpose(0, 3, 1, 4, 2).reshape(wide, stride * rows, stride * columns)
        if parts & 4:
            x = self.scrb(f"{name}.scrb2", x)
        return x if z is None else clip(x + z)

    def head(self, x: Longs) -> Longs:
        """Section 5.9: the samples [planes, rows, columns] of all phases."""
        f = self.sample_bits + 3
        y = rs(self.sums("head.conv", x), self.fraction_bits + self.layers["head.conv"][0] - f)
        return looked_up(sample_entry, self.sample_bits, 8 << f, y)

    def frame(self, t: int) -> Planes:
        """Section 5.3: the planes of frame t of the segment."""
        x = self.stem(t)
        for i in range(1, len(self.file.blocks) + 1):
            x = self.block(i, x)
            if level_channels(self.file, i):
                x = np.concatenate([x, self.blend(t, i)])
        planes = planes_of(self.head(x), self.header)
        dtype = np.uint8 if self.sample_bits == 8 else np.uint16
        return tuple(plane.astype(dtype) for plane in planes)


def planes_of(samples: Longs, header: dict[str, int]) -> list[Longs]:
    """Section 5.10: the planes of a frame, of its phases [planes of the head, rows, columns]."""
    planes, first = [], 0
    for r, c in PHASES[header["colorspace"]]:
        rows, columns = samples.shape[1:]
        plane = np.empty((r * rows, c * columns), np.int64)
        for i, j in itertools.product(range(r), range(c)):
            plane[i::r, j::c] = samples[first + i * c + j]
        first += r * c
        # A plane with one row of phases beside luma with two is chroma of half the rows.
        half_rows, half_columns = (header["colorspace"] > 0 and phases == 1 for phases in (r, c))
        planes.append(
            plane[
                : (header["height"] + half_rows) >> half_rows,
                : (header["width"] + half_columns) >> half_columns,
            ]
        )
    return planes


def frames(file: File, segment_index: int, numbers: Iterable[int]) -> list[Planes]:
    """Section 5: the planes of the segment's frames with these numbers, counted from 0."""
    network = Network(file, segment_index)
    return [network.frame(number) for number in numbers]
