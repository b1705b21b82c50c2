"""The type of a box, and what two of them have in common."""

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1, in pixels."""


def area(box: Box) -> float:
    """Return the area in square pixels."""
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def intersection(a: Box, b: Box) -> float:
    """Return the common area in square pixels."""
    return area((max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])))
