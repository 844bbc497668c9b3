"""What a source is and what changes in it: one pass over its frames, kept beside a journal so that
an interrupted encode need not look again.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path

from nervcodec import __version__
from nervcodec.encoder.options import EncodeOptions
from nervcodec.errors import NervCodecError, VideoError
from nervcodec.util.records import from_json, to_json
from nervcodec.video.ffmpeg_decode import FFMPEG_VERSION
from nervcodec.video.first_pass import FirstPass, OnSurvey
from nervcodec.video.probe import ProbedSource, probe_source
from nervcodec.video.reader import source_files
from nervcodec.video.scenes import ContentChanges, changes
from nervcodec.video.selection import Part, Selection, select
from nervcodec.video.source import SourceOptions, is_spooled, shown


@dataclass(frozen=True)
class SurveyKey:
    """What a survey depends on.

    Attributes:
        versions: of nervcodec and of FFmpeg.
        path: of the source, absolute.
        files: SHA-256 of the names, sizes, times of change and inodes of the source's files.
        options: how the source is read.
        part: which part of it is coded.
        cfr: frames a second of a constant rate that it is brought to.
    """

    versions: tuple[str, str]
    path: str
    files: str
    options: SourceOptions
    part: Part
    cfr: Fraction | None


@dataclass(frozen=True)
class Survey:
    """What an encode learns of its source by reading it.

    Attributes:
        source: the video.
        key: what the survey depends on; None where the source will not be there again, as a pipe.
        probed: what the source is.
        content: what changes within the frames that are chosen of it, those that stand several
            times counted once.
        stored_digest: of the files, where an earlier encode has taken it.
    """

    source: str
    key: SurveyKey | None
    probed: ProbedSource
    content: ContentChanges
    stored_digest: str | None = None

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the source (digest_of); reads it once, at most.

        Raises:
            VideoError: it cannot be read any more.
        """
        return self.stored_digest or digest_of(Path(self.source))

    def as_bytes(self) -> bytes:
        """Return what read_survey() reads; takes the digest."""
        return json.dumps(to_json(replace(self, stored_digest=self.digest))).encode()


def read_survey(data: bytes | None) -> Survey | None:
    """Return the survey that as_bytes() has written; None for anything else."""
    if data is None:
        return None
    with suppress(ValueError, RecursionError, NervCodecError):
        return from_json(Survey, json.loads(data))
    return None


def survey_source(
    source: str | os.PathLike[str],
    options: EncodeOptions,
    *,
    kept: Survey | None = None,
    on_progress: OnSurvey | None = None,
) -> tuple[Survey, Selection]:
    """Read a source through once, and choose the frames that are shown.

    A second pass is made where the first one cannot tell what changes: at a constant rate that is
    asked for, which drops frames from between others, and where frames turn out to be coded as
    something else than the first one.

    Args:
        kept: an earlier survey, which is taken if it is one of this source and these options.
        on_progress: called with (frames read, frames expected or None).
    Raises:
        ConfigError: an option that does not go with this video.
        VideoError: the source cannot be read, or is none that this version supports.
    """
    name, wishes, part = os.fspath(source), options.source_options(), options.part()
    key = _key(name, options)
    if kept is not None and key is not None and kept.key == key:
        probed = kept.probed
        selection = select(probed.format, probed.times, part, options.cfr)
        return replace(kept, source=name), selection
    first_pass = FirstPass(
        wishes,
        part.frames[0],
        begins_anywhere=part.seek_s is not None,
        only_counts=options.cfr is not None,
        on_progress=on_progress,
    )
    probed = probe_source(name, wishes, n_frames=part.frames[1], first_pass=first_pass)
    selection = select(probed.format, probed.times, part, options.cfr)
    numbers = selection.distinct
    content = first_pass.changes(probed.format, numbers)
    if content is None:
        content = changes(Path(name), selection.format, wishes, numbers, on_progress)
    return Survey(name, key, probed, content), selection


def _key(source: str, options: EncodeOptions) -> SurveyKey | None:
    """Return what a survey depends on; None for a pipe, and for what cannot be read."""
    path = Path(source)
    digest = hashlib.sha256()
    try:
        if not source or is_spooled(path):
            return None
        for file in source_files(path):
            at = os.stat(file)
            numbers = (at.st_size, at.st_mtime_ns, at.st_ctime_ns, at.st_ino)
            digest.update(os.fsencode(file.name) + b"\0" + repr(numbers).encode())
    except (OSError, VideoError):
        return None
    return SurveyKey(
        (__version__, FFMPEG_VERSION),
        os.path.abspath(path),
        digest.hexdigest(),
        options.source_options(),
        options.part(),
        options.cfr,
    )


def digest_of(source: Path) -> str:
    """Return the SHA-256 of a file, or of the names and the bytes of a folder's PNG files.

    Raises:
        VideoError: they cannot be read any more.
    """
    digest = hashlib.sha256()
    try:
        for path in source_files(source):
            digest.update(os.fsencode(path.name) + b"\0" if path != source else b"")
            with open(path, "rb") as file:
                while chunk := file.read(1 << 20):
                    digest.update(chunk)
    except OSError as error:
        raise VideoError(f"cannot read {shown(source)}: {error.strerror or error}") from error
    return digest.hexdigest()
