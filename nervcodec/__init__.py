"""nervcodec, a standalone neural video codec: a small network fitted to a video, in a file that
decodes by itself.

Everything in __all__ is loaded when it is first used, so that importing the package costs nothing;
docs/guide/python-api.md shows how it is used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nervcodec import errors
    from nervcodec.decoder.decode import DecodeOptions, DecodeReport, decode
    from nervcodec.decoder.verify import SegmentVerdict, Verification, verify
    from nervcodec.encoder.encode import encode
    from nervcodec.encoder.options import EncodeOptions
    from nervcodec.encoder.plan import EncodePlan, plan
    from nervcodec.encoder.report import EncodeReport
    from nervcodec.encoder.target import Bitrate, BitsPerPixel, Crf, Lambda, Psnr, Size, Target
    from nervcodec.format.info import FileInfo, info
    from nervcodec.format.limits import Limits
    from nervcodec.quality.compare import Comparison, compare
    from nervcodec.quality.metrics import Quality
    from nervcodec.video.geometry import Crop
    from nervcodec.video.joining import JoinReport, concat, split

__version__ = "0.1.0"
__all__ = [
    "Bitrate",
    "BitsPerPixel",
    "Comparison",
    "Crf",
    "Crop",
    "DecodeOptions",
    "DecodeReport",
    "EncodeOptions",
    "EncodePlan",
    "EncodeReport",
    "FileInfo",
    "JoinReport",
    "Lambda",
    "Limits",
    "Psnr",
    "Quality",
    "SegmentVerdict",
    "Size",
    "Target",
    "Verification",
    "__version__",
    "compare",
    "concat",
    "decode",
    "encode",
    "errors",
    "info",
    "plan",
    "split",
    "verify",
]
_MODULES = {
    "decoder.decode": ("DecodeOptions", "DecodeReport", "decode"),
    "decoder.verify": ("SegmentVerdict", "Verification", "verify"),
    "encoder.encode": ("encode",),
    "encoder.options": ("EncodeOptions",),
    "encoder.plan": ("EncodePlan", "plan"),
    "encoder.report": ("EncodeReport",),
    "encoder.target": ("Bitrate", "BitsPerPixel", "Crf", "Lambda", "Psnr", "Size", "Target"),
    "format.info": ("FileInfo", "info"),
    "format.limits": ("Limits",),
    "quality.compare": ("Comparison", "compare"),
    "quality.metrics": ("Quality",),
    "video.geometry": ("Crop",),
    "video.joining": ("JoinReport", "concat", "split"),
}

if not TYPE_CHECKING:  # a checker would take every name for an export

    def __getattr__(name: str) -> Any:
        """Load the module of an exported name when that is first used."""
        from importlib import import_module

        if name == "errors":
            return import_module(".errors", __name__)
        for module, names in _MODULES.items():
            if name in names:
                return getattr(import_module(f".{module}", __name__), name)
        raise AttributeError(f"module 'nervcodec' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the exported names besides those that are loaded."""
    return sorted({*globals(), *__all__})
