"""What the paper reports: errors in percent on the tasks of distorted MNIST.

Jaderberg et al., 2015, Spatial Transformer Networks, table 1 and the appendix; means of 3 seeds.
"""

from distorted_mnist.networks import TRANSFORMS

_TABLE_1 = {
    ("fcn", ""): (2.1, 5.2, 3.1, 3.2),
    ("cnn", ""): (1.2, 0.8, 1.5, 1.4),
    ("st-fcn", "affine"): (1.2, 0.8, 1.5, 2.7),
    ("st-fcn", "projective"): (1.3, 0.9, 1.4, 2.6),
    ("st-fcn", "thin_plate_spline"): (1.1, 0.8, 1.4, 2.4),
    ("st-cnn", "affine"): (0.7, 0.5, 0.8, 1.2),
    ("st-cnn", "projective"): (0.8, 0.6, 0.8, 1.3),
    ("st-cnn", "thin_plate_spline"): (0.7, 0.5, 0.8, 1.1),
}
_CLUTTER = {
    ("fcn", ""): 13.2,
    ("cnn", ""): 3.5,
    ("st-fcn", "affine"): 2.0,
    ("st-cnn", "affine"): 1.7,
}
# With two transformers side by side, as here.
_ADDITION = {
    ("fcn", ""): 47.7,
    ("cnn", ""): 14.7,
    ("st-fcn", "affine"): 9.0,
    ("st-fcn", "projective"): 5.9,
    ("st-fcn", "thin_plate_spline"): 5.8,
}

# (task, model, transform) to percent.
ERRORS = {
    **{
        (task, *row): percent
        for row, found in _TABLE_1.items()
        for task, percent in zip(("R", "RTS", "P", "E"), found, strict=True)
    },
    **{("TC", *row): percent for row, percent in _CLUTTER.items()},
    **{("addition", *row): percent for row, percent in _ADDITION.items()},
}
ROWS = [("fcn", ""), ("cnn", "")] + [
    (model, transform) for model in ("st-fcn", "st-cnn") for transform in TRANSFORMS
]
