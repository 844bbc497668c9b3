"""nervcodec, a standalone neural video codec: a small network fitted to a video, in a file that decodes by itself.

Public functions (loaded when first used, so that importing the package costs nothing):
    plan_encode, encode, decode: see nervcodec.codec.
    info: see nervcodec.fileinfo.
"""

from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "decode", "encode", "info", "plan_encode"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'nervcodec' has no attribute {name!r}")
    if name == "info":
        from .fileinfo import info
        return info
    from . import codec
    return getattr(codec, name)
