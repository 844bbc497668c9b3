"""Fuzzes the container: files, whole and damaged, and what is said of them; a fuzzer to run by
hand, with atheris.

    python tests/fuzz_targets.py FOLDER
    python tests/fuzz_parser.py FOLDER/parser -max_total_time=600 -max_len=4096

It ends after so many seconds, or with the bytes of which something else came than a BitstreamError.
"""

from __future__ import annotations

import sys


def main() -> None:
    import atheris

    with atheris.instrument_imports(include=["nervcodec"]):
        from fuzz_targets import parse
    atheris.Setup(sys.argv, parse)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
