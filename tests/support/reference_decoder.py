"""The reference reader as a decoder: `python reference_decoder.py INPUT.nvpp OUTPUT.raw`.

It writes the planes of all shown frames as section 6.2 of the format hashes them, and exits with 4
where the file is illegal. It has no limits (section 6.4), and needs NumPy alone.
"""

import hashlib
import sys
from pathlib import Path

import reference_reader
from reference_network import frames


def decoded(data: bytes) -> bytes:
    """The planes of all shown frames, of RGB in the order G, B, R.

    Raises:
        ValueError: the file is illegal.
    """
    file = reference_reader.read(data)
    order = (1, 2, 0) if file.header["colorspace"] == 0 else (0, 1, 2)
    shown = iter(file.shown_times)
    raw = []
    for number, segment in enumerate(file.segments):
        made = frames(file, number, range(segment.n_frames))
        if segment.md5 not in (None, reference_reader.md5(file, made)):
            raise ValueError(f"the frames of segment {number} have another MD5")
        for planes in made:
            ordered = (planes[k] for k in order[: len(planes)])
            frame = b"".join(plane.astype(f"<u{plane.itemsize}").tobytes() for plane in ordered)
            raw += [frame] * next(shown)
    return b"".join(raw)


def md5_of(raw: bytes) -> str:
    """The MD5 of planes, 32 hexadecimal digits."""
    return hashlib.md5(raw, usedforsecurity=False).hexdigest()


def main() -> None:
    """Decode the file that the command line names."""
    source, destination = sys.argv[1:]
    try:
        data = decoded(Path(source).read_bytes())
    except ValueError as error:
        print(error, file=sys.stderr)
        sys.exit(4)
    Path(destination).write_bytes(data)


if __name__ == "__main__":
    main()
