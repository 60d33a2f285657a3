"""The tasks of the paper's experiments on distorted MNIST."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from distorted_mnist import thetas
from keras_stn.transforms import Affine, Projective, Transform


@dataclass(frozen=True)
class Task:
    """What is shown, and what is asked: the class of one digit, or the sum of several.

    Attributes:
        summary: str, for the command line's help.
        size: int, pixels a side of the canvas.
        draw: From a NumPy generator, a count and the size to thetas of the family, at random.
        family: The `Transform` that distorts digits.
        digits: int, how many digits are shown, each in a channel of its own.
        clutter: int, how many pieces of other digits lie about.
        pooled: bool. Whether a spatial transformer is followed by 2x2 average pooling, as in the
            paper where digits are smaller than the canvas.
    """

    summary: str
    size: int
    draw: Callable
    family: Transform = field(default_factory=Affine)
    digits: int = 1
    clutter: int = 0
    pooled: bool = False

    @property
    def classes(self):
        """How many answers there are."""
        return 9 * self.digits + 1


TASKS = {
    "R": Task("rotated", 28, thetas.rotated),
    "RTS": Task("rotated, scaled, translated", 42, thetas.rotated_scaled_translated, pooled=True),
    "P": Task("projective", 28, thetas.projected, Projective()),
    "E": Task("elastic", 28, thetas.bent, thetas.SPLINE),
    "TC": Task("translated in clutter", 60, thetas.translated, clutter=6, pooled=True),
    "addition": Task(
        "the sum of two digits", 42, thetas.rotated_scaled_translated, digits=2, pooled=True
    ),
}
