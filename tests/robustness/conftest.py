"""Folders and files that several tests harm."""

from __future__ import annotations

import pytest
from refusals import OLD
from shell import Shell, write_clip


@pytest.fixture
def replaceable(shell: Shell) -> Shell:
    """A folder with an earlier encode, which a new one may replace but must not harm when it
    fails.
    """
    (shell.folder / "out.nvpp").write_bytes(OLD)
    return shell


@pytest.fixture
def tiny_clip(shell: Shell) -> Shell:
    """A folder with in.y4m, 3 frames of 8 x 6."""
    write_clip(shell.folder / "in.y4m", 8, 6, 3)
    return shell


@pytest.fixture(scope="session")
def coded_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A whole .nvpp file of 3 frames of 8 x 6."""
    from nervcodec import EncodeOptions, encode, plan

    folder = tmp_path_factory.mktemp("coded")
    write_clip(folder / "in.y4m", 8, 6, 3)
    options = EncodeOptions(epochs=1, device="cpu", precision="float32")
    encode(plan(folder / "in.y4m", folder / "out.nvpp", options))
    return (folder / "out.nvpp").read_bytes()
