"""Every error that nervcodec raises on purpose, and the exit code that each one means.

NervCodecError
|- ConfigError              an option or a combination that cannot work              exit 2
|- DependencyError          a missing optional package, with what installs it        exit 2
|- VideoError               unreadable or unsupported video                          exit 3
|- FitError                 a fit that kept diverging, or ended below a flat colour  exit 3
|- CommandFailed            a codec's command that did not do its work               exit 3
|- BitstreamError           a damaged or foreign .nvpp file                          exit 4
|  |- BadMagic              not a .nvpp file at all
|  |- UnsupportedVersion    a .nvpp file of another format version
|  |- UnknownPrior          weights that this version lacks
|  |- Truncated             the file ends before its data do
|  |- Checksum              the bytes are not those that were written
|  |- InvalidField          a field outside its legal range (field, value, allowed)
|  |- FramesDiffer          a whole file that decodes to other frames than its encoder saw
|  `- LimitExceeded         legal, but larger than we agree to decode                exit 5
|- ResourceError            more memory than this machine has or may use             exit 5
|  `- DeviceError           a CUDA device that is not there                          exit 2
|- OutputError              output that cannot be written: disk, permission, folder  exit 6
|  `- OutputExists          output that exists already, or is the input              exit 7
`- Interrupted              stopped from outside, with how to go on                  exit 8

The exit codes are those of docs/reference/exit-codes.md; 1 is a bug of ours.
"""

from __future__ import annotations


class NervCodecError(Exception):
    """Base of all: one line for the user, `exit_code` for the shell."""

    exit_code = 1


class ConfigError(NervCodecError):
    """An option or a combination of options that cannot work."""

    exit_code = 2


class DependencyError(NervCodecError):
    """An optional package that is not installed; the message says what installs it."""

    exit_code = 2


class VideoError(NervCodecError):
    """Video that cannot be read, or that this version does not support."""

    exit_code = 3


class FitError(NervCodecError):
    """A fit that kept diverging, or ended below a flat colour."""

    exit_code = 3


class CommandFailed(NervCodecError):
    """A codec's command, run by a benchmark, that did not do its work."""

    exit_code = 3


class BitstreamError(NervCodecError):
    """A damaged or foreign .nvpp file."""

    exit_code = 4


class BadMagic(BitstreamError):
    """A file that is no .nvpp file at all."""


class UnsupportedVersion(BitstreamError):
    """A .nvpp file of another version of the format."""


class UnknownPrior(BitstreamError):
    """The file's weights are differences to a prior that this version does not have."""


class Truncated(BitstreamError):
    """A file that ends before its data do."""


class Checksum(BitstreamError):
    """Bytes that are not those that were written."""


class InvalidField(BitstreamError):
    """A field of the file outside its legal range.

    Args:
        field: its name in docs/reference/nvpp-format.md.
        value: what the file says.
        allowed: what would be legal, in words.
    """

    def __init__(self, field: str, value: object, allowed: str) -> None:
        super().__init__(f"{field} is {value!r}; legal: {allowed}")
        self.field = field
        self.value = value
        self.allowed = allowed

    def __reduce__(self) -> tuple[type[InvalidField], tuple[str, object, str]]:
        """Have it come from another process as it was."""
        return InvalidField, (self.field, self.value, self.allowed)


class FramesDiffer(BitstreamError):
    """A whole file that decodes to other frames than its encoder saw."""


class LimitExceeded(BitstreamError):
    """A legal file that asks for more than we agree to decode."""

    exit_code = 5


class ResourceError(NervCodecError):
    """What this machine lacks, or may not use: memory, a device. It says nothing about a file."""

    exit_code = 5


class DeviceError(ResourceError):
    """A CUDA device that is not there; the message says what installs it."""

    exit_code = 2


class OutputError(NervCodecError):
    """Output that cannot be written."""

    exit_code = 6


class OutputExists(OutputError):
    """Output that exists already, is the input, or is being written by another encode."""

    exit_code = 7


class Interrupted(NervCodecError):
    """Work that was stopped from outside; the message says how to go on."""

    exit_code = 8
