"""The browsers that the tests of the page go through, and a page."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from browser import BROWSERS, Browse, browse

from nervcodec.player.server import PlayerServer

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(name="browse", params=BROWSERS)
def browse_in_each(request: pytest.FixtureRequest) -> Browse:
    """`browse` of each browser; a test is skipped where there is none."""
    return partial(browse, browser=request.param)


@pytest.fixture
def address() -> Iterator[str]:
    """Of a page that plays a golden file of seven frames in two segments."""
    with PlayerServer((DATA / "moving_yuv.nvpp").read_bytes(), "moving.nvpp") as server:
        yield server.url
