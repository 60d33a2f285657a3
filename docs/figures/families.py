"""Draws docs/images/families.png: every family on one real traffic sign.

python docs/figures/families.py
"""

import io
import pathlib
import zipfile

import keras
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from keras_stn import ops, transforms

ROOT = pathlib.Path(__file__).parents[2]
SIGN = "GTSRB/Final_Training/Images/00014/"  # stop
LINES = 9  # of the drawn lattice, a side


def load_sign():
    """The largest stop sign of the bundled sample, (height, width, 3) in [0, 1]."""
    with zipfile.ZipFile(ROOT / "examples" / "gtsrb" / "sample.zip") as archive:
        names = [n for n in archive.namelist() if n.startswith(SIGN) and n.endswith(".webp")]
        images = [np.asarray(Image.open(io.BytesIO(archive.read(name)))) for name in names]
    return max(images, key=lambda image: image.size).astype("float32") / 255


def examples():
    """(title, family, theta): one typical transform of each family."""
    rng = np.random.default_rng(0)
    spline, flow = transforms.ThinPlateSpline(4), transforms.Displacement(8)
    smooth = transforms.Diffeomorphic(5)
    return [
        ("Translation", transforms.Translation(), [0.35, -0.25]),
        ("Rotation", transforms.Rotation(), [0.5]),
        ("Attention", transforms.Attention(), [0.6, 0.1, 0.15]),
        ("Similarity", transforms.Similarity(), [0.75, -0.4, 0.05, 0.05]),
        ("Affine", transforms.Affine(), [0.8, 0.3, 0.0, -0.1, 0.7, 0.05]),
        ("Projective", transforms.Projective(), [0.75, 0.1, 0.05, 0.0, 0.8, 0.05, 0.2, 0.15]),
        ("ThinPlateSpline(4)", spline, spline.identity() + rng.normal(0, 0.1, 32)),
        ("Displacement(8)", flow, rng.normal(0, 0.05, 128)),
        ("Diffeomorphic(5)", smooth, rng.normal(0, 0.25, 50)),
    ]


def draw(path):
    """Three families a row; of each the grid on the image, and what comes out."""
    sign = load_sign()
    size = sign.shape[:2]
    found = examples()
    columns = 3
    rows = -(-len(found) // columns)
    figure = Figure(figsize=(4.2 * columns, 2.3 * rows), layout="constrained")
    panels = figure.subplots(rows, 2 * columns)
    for place, (title, family, theta) in enumerate(found):
        row, column = divmod(place, columns)
        before, after = panels[row, 2 * column], panels[row, 2 * column + 1]
        theta = np.asarray(theta, "float32")[None]
        family = family.with_extent([side - 1 for side in size])
        lattice = ops.normalized_to_pixels(family.grid(theta, (LINES, LINES)), size)
        lattice = keras.ops.convert_to_numpy(lattice)[0]
        before.imshow(sign)
        for line in (*lattice, *lattice.swapaxes(0, 1)):
            before.plot(*line.T, color="#00e5ff", linewidth=0.8)
        # The top edge, so that flips and turns show.
        before.plot(*lattice[0].T, color="#ff2d78", linewidth=2.0)
        warped = ops.grid_sample(sign[None], family.grid(theta, size), data_format="channels_last")
        after.imshow(keras.ops.convert_to_numpy(warped)[0].clip(0, 1))
        before.set_title(title, fontsize=14, loc="left")
        for panel in (before, after):
            panel.set_xticks([])
            panel.set_yticks([])
    figure.savefig(path, dpi=90)


if __name__ == "__main__":
    draw(ROOT / "docs" / "images" / "families.png")
