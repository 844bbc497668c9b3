"""Fuzzes what checksums guard: segments and their streams; a fuzzer to run by hand, with atheris.

    python tests/fuzz_targets.py FOLDER
    python tests/fuzz_sections.py FOLDER/sections -max_total_time=600 -max_len=4096

It ends after so many seconds, or with the bytes of which something else came than a BitstreamError.
"""

from __future__ import annotations

import sys


def main() -> None:
    import atheris

    with atheris.instrument_imports(include=["nervcodec"]):
        from fuzz_targets import decode_sections
    atheris.Setup(sys.argv, decode_sections)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
