"""Forms of coded groups that have no cuts."""

from collections.abc import Collection, Sequence

from nervcodec.coding.range_coder import Form


def forms(shapes: Sequence[tuple[int, ...]], followers: Collection[int] = ()) -> list[Form]:
    """Of groups of such shapes, with those that follow the one before; all keys of a grid belong to
    one shot.
    """
    return [
        Form(shape, shape[:1] if len(shape) == 4 else (), number in followers)
        for number, shape in enumerate(shapes)
    ]
