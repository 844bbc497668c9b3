"""Where the cases of an experiment are measured: clips, results, device and threads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nervcodec.bench.datasets import CLIPS, make_video
from nervcodec.errors import ConfigError

Options = Mapping[str, Any]


@dataclass(frozen=True)
class Place:
    """Where cases are measured.

    Attributes:
        clips: folder with the clips, by the file names of datasets.CLIPS.
        out: folder for results and for the videos that are made from clips.
        device: of fits and decodes, as choose_device takes it.
        n_threads: CPU threads of a case.
        videos: how to make the videos that are not clips, by their names (datasets.make_video).
    """

    clips: Path
    out: Path
    device: str = "cpu"
    n_threads: int = 1
    videos: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def source(self, name: str) -> Path:
        """Return the path of a clip, of a video, which is made if need be, or of another file.

        Raises:
            ConfigError: it is not there.
        """
        if name in self.videos:
            path = self.out / "videos" / f"{name.replace(' ', '_')}.y4m"
            if not path.exists():
                path.parent.mkdir(exist_ok=True)
                make_video(path, self.videos[name], self.source)
            return path
        path = self.clips / CLIPS.get(name, name)
        if not path.exists():
            raise ConfigError(f"{name!r} is not in {self.clips}; legal: --clips FOLDER has it")
        return path
