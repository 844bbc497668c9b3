"""Files of networks with parameters that no encoder would choose, written with the tables of the
reference reader.
"""

import itertools
import math
import zlib
from collections.abc import Callable

import numpy as np
import reference_reader
from reference_streams import Shapes, is_keyed, keys_of, tensors

from nervcodec.coding.range_coder import Coded, Form, encode_symbols

Sections = list[tuple[int, bytes]]  # type and payload
# Symbols and step of a tensor of a module, given its shape and M.
Draw = Callable[[str, str, tuple[int, ...], int], Coded]

# Networks that the presets do not give, as header fields, grids and blocks.
DEFAULTS = {name: lowest for name, _, lowest, _ in reference_reader.HEADER} | {
    "matrix": 2,
    "primaries": 2,
    "transfer": 2,
}
NETWORKS: dict[str, tuple[dict[str, int], list[tuple[int, int, int]], list[tuple[int, int]]]] = {
    "mlp rgb all parts": (
        {
            "width": 19,
            "height": 13,
            "layout": 1,
            "colorspace": 0,
            "bits": 4,
            "parts": 15,
            "stem": 0,
            "stem_height": 3,
            "stem_width": 4,
            "stem_hidden": 16,
            "stem_channels": 6,
        },
        [],
        [(3, 5), (2, 4)],
    ),
    "grid yuv lean": (
        {
            "width": 21,
            "height": 15,
            "colorspace": 1,
            "bits": 10,
            "parts": 15,
            "biases": 1,
            "stem": 1,
            "stem_height": 2,
            "stem_width": 3,
        },
        [(2, 2, 0), (2, 4, 1), (3, 3, 0)],
        [(2, 6), (2, 3)],
    ),
    "grid rgb": (
        {
            "width": 20,
            "height": 10,
            "colorspace": 0,
            "bits": 2,
            "parts": 6,
            "biases": 1,
            "stem": 1,
            "stem_height": 2,
            "stem_width": 4,
        },
        [(1, 3, 2), (4, 1, 0), (1, 5, 0), (2, 60, 1)],
        [(1, 4), (5, 6)],
    ),
    "mlp yuv": (
        {
            "width": 13,
            "height": 11,
            "colorspace": 1,
            "bits": 7,
            "stem": 0,
            "stem_height": 1,
            "stem_width": 1,
            "stem_hidden": 9,
            "stem_channels": 4,
        },
        [],
        [(7, 6)],
    ),
    "moving grid yuv": (
        {
            "width": 46,
            "height": 30,
            "motion_height": 2,
            "motion_width": 3,
            "colorspace": 1,
            "bits": 9,
            "parts": 15,
            "biases": 1,
            "stem": 1,
            "stem_height": 3,
            "stem_width": 4,
        },
        [(2, 2, 0), (2, 3, 2), (1, 3, 1), (1, 3, 2)],
        [(3, 4), (2, 5)],
    ),
    "wavelets yuv": (
        {
            "width": 50,
            "height": 34,
            "motion_height": 2,
            "motion_width": 3,
            "wavelet_levels": 3,
            "colorspace": 1,
            "bits": 9,
            "parts": 15,
            "biases": 1,
            "stem": 1,
            "stem_height": 3,
            "stem_width": 5,
        },
        [(2, 2, 0), (2, 3, 2), (1, 3, 1), (1, 3, 2)],
        [(3, 4), (2, 5)],
    ),
    "one cell": (
        {
            "width": 29,
            "height": 27,
            "motion_height": 1,
            "motion_width": 1,
            "wavelet_levels": 4,
            "bit_depth": 2,
            "layout": 3,
            "colorspace": 3,
            "bits": 8,
            "parts": 11,
            "stem": 1,
            "stem_height": 1,
            "stem_width": 1,
        },
        [(3, 60, 0), (2, 60, 1), (1, 60, 2)],
        [(3, 5), (5, 4)],
    ),
    "fine motion": (
        {
            "width": 61,
            "height": 103,
            "motion_height": 19,
            "motion_width": 23,
            "wavelet_levels": 1,
            "bit_depth": 1,
            "layout": 2,
            "colorspace": 2,
            "bits": 7,
            "parts": 13,
            "stem": 1,
            "stem_height": 5,
            "stem_width": 3,
        },
        [(1, 1, 0), (2, 2, 1), (1, 2, 3)],
        [(1, 4), (11, 5), (1, 3)],
    ),
}
PRIOR_CRC = zlib.crc32(reference_reader.prior_bytes(1))
OF_PRIOR: dict[str, int] = {
    "width": 37,
    "height": 30,
    "motion_height": 2,
    "motion_width": 2,
    "wavelet_levels": 2,
    "bits": 9,
    "parts": 15,
    "biases": 1,
    "prior": 1,
    "prior_crc": PRIOR_CRC,
    "stem": 1,
    "stem_height": 2,
    "stem_width": 3,
}
GRIDS_OF_PRIOR = [(2, 1, 0), (2, 2, 1), (4, 4, 0), (3, 2, 2), (1, 2, 3)]
NETWORKS |= {
    f"prior {layout}": (
        OF_PRIOR | {"layout": number, "colorspace": colorspace},
        GRIDS_OF_PRIOR,
        [(2, width) for width in widths],
    )
    for layout, number, colorspace, widths in (
        ("yuv420", 0, 1, (16, 16, 16)),
        ("yuv420 wide", 0, 1, (24, 16, 19)),
        ("yuv422", 2, 2, (16, 20, 16)),
        ("yuv444", 3, 3, (17, 18, 19)),
        ("gray", 4, 4, (16, 16, 16)),
    )
}
SHOTS = [[7], [3, 1, 5], [1]]  # of each segment of the random networks
LENGTHS = [sum(shots) for shots in SHOTS]
FRACTION_BITS = [8, 10, 4]  # of each segment
# Step code, sign and fraction bits of files whose symbols are at their maxima.
EXTREMES = [(255, 1, 4), (255, 0, 10), (140, 0, 4)]


def packed(table: list[reference_reader.Field], values: dict[str, int]) -> bytes:
    return b"".join(values[name].to_bytes(size, "little") for name, size, _, _ in table)


def checked(data: bytes) -> bytes:
    return data + zlib.crc32(data).to_bytes(4, "little")


def assemble(fields: bytes, sections: list[tuple[int, bytes]]) -> bytes:
    """A file of these header fields and sections."""
    heads = [bytes([kind]) + len(payload).to_bytes(4, "little") for kind, payload in sections]
    data = checked(reference_reader.MAGIC + b"\1\0" + len(fields).to_bytes(2, "little") + fields)
    entries = [
        head + (payload[:4] or b"\1\0\0\0" if kind == 1 else b"")
        for head, (kind, payload) in zip(heads, sections, strict=True)
    ]
    data += checked(len(heads).to_bytes(4, "little") + b"".join(entries))
    return data + b"".join(
        checked(head + payload) for head, (_, payload) in zip(heads, sections, strict=True)
    )


def header_fields(
    header: dict[str, int], grids: list[tuple[int, int, int]], blocks: list[tuple[int, int]]
) -> bytes:
    of_grids = (
        bytes([channels]) + interval.to_bytes(2, "little") + bytes([level])
        for channels, interval, level in grids
    )
    of_blocks = (bytes([stride]) + width.to_bytes(2, "little") for stride, width in blocks)
    return packed(reference_reader.HEADER, header) + b"".join([*of_grids, *of_blocks])


def network(name: str) -> reference_reader.File:
    """The header, grids and blocks of one of NETWORKS, without segments."""
    changes, grids, blocks = NETWORKS[name]
    counts = {"n_frames": sum(LENGTHS), "n_grids": len(grids), "n_blocks": len(blocks)}
    return reference_reader.File(DEFAULTS | changes | counts, grids, blocks)


def random_draw(
    file: reference_reader.File,
    rng: np.random.Generator,
    zero: tuple[str, str] | None = None,
    gain: float = 1,
) -> Draw:
    """Random parameters with which values keep their size from layer to layer at a gain of 1, and
    zeros for the module and tensor `zero`. The head takes back what is not clipped of a gain.
    """

    def draw(module: str, tensor: str, shape: tuple[int, ...], max_symbol: int) -> Coded:
        keyed = is_keyed(tensor)
        fan_in = 1 if keyed else 4 if tensor == "biases" else math.prod(shape[1:])
        symbols = np.rint(rng.laplace(0, max_symbol / 3, math.prod(shape)))
        symbols = np.clip(symbols, -max_symbol, max_symbol).astype(np.int32)
        if tensor in ("motion", "offset"):  # some samples a frame
            symbols = np.rint(symbols / 8).astype(np.int32)
        size = 0.5 / min(gain, 100) if module == "head" else 0.7 if keyed else 0.7 * gain
        step = size / math.sqrt(fan_in * (1 + np.mean(symbols**2)))
        if file.header["prior"] and not keyed:  # or the head saturates
            step /= 16
        if (module, tensor) == zero:
            symbols[:] = 0
        return Coded(symbols, max(int(8 * (math.log2(step) + 20)), 0))

    return draw


def extreme_draw(step_code: int, sign: int) -> Draw:
    """All symbols at their maxima: all positive for sign 1, all negative for -1, in turns for 0."""

    def draw(module: str, tensor: str, shape: tuple[int, ...], max_symbol: int) -> Coded:
        symbols = np.full(math.prod(shape), max_symbol, np.int32)
        symbols *= sign or (-1) ** np.arange(symbols.size)
        return Coded(symbols.astype(np.int32), step_code)

    return draw


def extreme_file(name: str, step_code: int, sign: int, fraction_bits: int) -> bytes:
    """A file of a network of NETWORKS with such parameters, of 12 bits."""
    return short_file(name, extreme_draw(step_code, sign), fraction_bits)


def loud_file(name: str, gain: float) -> bytes:
    """A file of a network of NETWORKS in which most values are clipped, and samples differ."""
    return short_file(name, random_draw(network(name), np.random.default_rng(1), gain=gain), 4)


def short_file(name: str, draw: Draw, fraction_bits: int) -> bytes:
    """A file of one segment of 5 frames with parameters of 12 bits."""
    file = network(name)
    file.header |= {"n_frames": 5, "bits": 12}
    fields = header_fields(file.header, file.grids, file.blocks)
    return assemble(fields, [segment_section(file, [2, 3], fraction_bits, draw)])


def coded_stream(
    file: reference_reader.File, shots: list[int], module: tuple[str, Shapes, Shapes], draw: Draw
) -> bytes:
    """The stream of a module of a segment with these shots."""
    name, weights, biases = module
    groups = list(weights)
    if biases:
        groups.append(("biases", (sum(shape[0] for _, shape in biases),)))
    coded, forms = [], []
    for number, (tensor, shape) in enumerate(groups):
        coded.append(draw(name, tensor, shape, file.max_symbol))
        keyed = is_keyed(tensor)
        follows = "details" in tensor and "details" in groups[number - 1][0]
        keys = tuple(keys_of(file, shots, tensor)) if keyed else ()
        forms.append(Form(shape if keyed else (math.prod(shape),), keys, follows))
    return encode_symbols(coded, forms, file.max_symbol)


def segment_section(
    file: reference_reader.File, shots: list[int], fraction_bits: int, draw: Draw
) -> tuple[int, bytes]:
    """A section of type 1; what it says of digest and quality is 0."""
    table = reference_reader.SEGMENT + reference_reader.QUALITY
    values = dict.fromkeys((name for name, *_ in table), 0) | {
        "segment_n_frames": sum(shots),
        "n_cuts": len(shots) - 1,
        "fraction_bits": fraction_bits,
    }
    payload = packed(table, values)
    for cut in itertools.accumulate(shots[:-1]):
        payload += cut.to_bytes(4, "little")
    for module in tensors(file, shots):
        stream = coded_stream(file, shots, module, draw)
        payload += len(stream).to_bytes(4, "little") + stream
    return 1, payload


def random_file(name: str) -> tuple[bytes, Sections]:
    """Header fields and sections of a network of NETWORKS with random parameters."""
    file = network(name)
    zero = ("block1", "ub") if name == "mlp yuv" else None
    draw = random_draw(file, np.random.default_rng(len(name)), zero)
    sections = [(129, bytes(32)), (200, b"skip me")]
    for shots, fraction_bits in zip(SHOTS, FRACTION_BITS, strict=True):
        sections.append(segment_section(file, shots, fraction_bits, draw))
    return header_fields(file.header, file.grids, file.blocks), sections
