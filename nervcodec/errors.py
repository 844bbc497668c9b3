"""Every error nervcodec raises on purpose, and the exit code each one means.

NervCodecError
|- ConfigError              an option or a combination that cannot work            exit 2
|- VideoError               unreadable or unsupported video                        exit 3
|- FitError                 a fit that kept diverging                              exit 3
|- CommandFailed            a codec's command that did not do its work             exit 3
|- BitstreamError           damaged or foreign .nvpp                               exit 4
|  |- BadMagic              not a .nvpp file at all
|  |- UnsupportedVersion    a .nvpp of another format version
|  |- Truncated             the file ends before its data do
|  |- Checksum              the bytes are not those that were written
|  |- InvalidField          a field outside its legal range (field, value, allowed)
|  |- FramesDiffer          a whole file that decodes to other frames than its encoder saw
|  `- LimitExceeded         legal, but larger than we agree to decode              exit 5
|- OutputError              output cannot be written: disk, permission, folder     exit 6
|  `- OutputExists          output exists already, or is the input                 exit 7
|- Interrupted              stopped from outside, with how to go on                exit 8
`- BackendError             missing device or optional part, with what installs it exit 2

The exit codes are those of docs/usage.md; 1 is our own bug.
"""


class NervCodecError(Exception):
    """Base of all: one line for the user, `exit_code` for the shell."""

    exit_code = 1


class ConfigError(NervCodecError):
    exit_code = 2


class VideoError(NervCodecError):
    exit_code = 3


class FitError(NervCodecError):
    exit_code = 3


class CommandFailed(NervCodecError):
    exit_code = 3


class BitstreamError(NervCodecError):
    exit_code = 4


class BadMagic(BitstreamError):
    pass


class UnsupportedVersion(BitstreamError):
    pass


class Truncated(BitstreamError):
    pass


class Checksum(BitstreamError):
    pass


class InvalidField(BitstreamError):
    """A field of the file outside its legal range.

    Args:
        field: its name in docs/reference/nvpp-format.md.
        value: what the file says.
        allowed: what would be legal, in words.
    """

    def __init__(self, field: str, value: object, allowed: str) -> None:
        super().__init__(f"{field} is {value!r}; legal: {allowed}")
        self.field, self.value, self.allowed = field, value, allowed


class FramesDiffer(BitstreamError):
    pass


class LimitExceeded(BitstreamError):
    exit_code = 5


class OutputError(NervCodecError):
    exit_code = 6


class OutputExists(OutputError):
    exit_code = 7


class Interrupted(NervCodecError):
    exit_code = 8


class BackendError(NervCodecError):
    exit_code = 2
