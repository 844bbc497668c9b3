"""A damaged file is refused: cut at every byte, with every bit flipped, with more bytes at its end."""

import pytest

from nervcodec.bitstream import Segment, read_file
from nervcodec.errors import BadMagic, BitstreamError, InvalidField, Truncated
from nervcodec.segment import decode_symbols_of


def test_the_whole_file_is_accepted(small_file: bytes) -> None:
    """The file that is damaged below is a good one of one segment and a few hundred bytes."""
    file = read_file(small_file)
    assert len(file.segments) == 1 and len(small_file) < 600
    assert len(decode_symbols_of(file.segments[0], file.header.model)) > 10


def test_a_cut_is_noticed_at_every_byte(small_file: bytes) -> None:
    """A file that ends early is refused, wherever: as truncated if anything of it is there."""
    for n_bytes in range(len(small_file)):
        with pytest.raises(Truncated if n_bytes else BadMagic):
            read_file(small_file[:n_bytes])


def test_every_flipped_bit_is_noticed(small_file: bytes) -> None:
    """A single wrong bit is a BitstreamError, wherever it is."""
    for at in range(len(small_file)):
        for bit in range(8):
            damaged = bytearray(small_file)
            damaged[at] ^= 1 << bit
            with pytest.raises(BitstreamError):
                read_file(bytes(damaged))


@pytest.mark.parametrize("extra", [b"\0", b"\n", b"\xff" * 4, bytes(1000)])
def test_extra_bytes_are_refused(small_file: bytes, extra: bytes) -> None:
    """Nothing may follow the last section, not even a line end."""
    with pytest.raises(InvalidField, match="length of file"):
        read_file(small_file + extra)


def test_two_files_in_a_row_are_refused(small_file: bytes) -> None:
    """A file appended to itself is no file."""
    with pytest.raises(InvalidField, match="length of file"):
        read_file(small_file * 2)


def test_damaged_streams_give_symbols_or_an_error(small_file: bytes) -> None:
    """Where a checksum was forged, wrong streams decode to symbols within range or to a BitstreamError."""
    file = read_file(small_file)
    streams, n_refused = file.segments[0].streams, 0
    for i, stream in enumerate(streams):
        for at in range(len(stream)):
            for change in (0x01, 0x80, 0xFF):
                wrong = stream[:at] + bytes([stream[at] ^ change]) + stream[at + 1:]
                segment = Segment(file.segments[0].n_frames, (*streams[:i], wrong, *streams[i + 1:]))
                try:
                    coded = decode_symbols_of(segment, file.header.model)
                except BitstreamError:
                    n_refused += 1
                else:
                    assert max(abs(group.symbols).max() for group in coded) <= file.header.model.max_symbol
    assert n_refused > 0
