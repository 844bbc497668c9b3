"""nervcodec, a standalone neural video codec: a small network fitted to a video, in a file that
decodes by itself.

Public functions (loaded when first used, so that importing the package costs nothing):
    plan_encode: see nervcodec.encoder.plan; Goal: see nervcodec.encoder.target.
    encode: see nervcodec.encoder.encode; decode: see nervcodec.decoder.decode.
    info: see nervcodec.format.info.
"""

from typing import Any

__version__ = "0.1.0"
_HOMES = {
    "decode": "decoder.decode",
    "encode": "encoder.encode",
    "info": "format.info",
    "plan_encode": "encoder.plan",
    "Goal": "encoder.target",
}
__all__ = ["Goal", "__version__", "decode", "encode", "info", "plan_encode"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'nervcodec' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
