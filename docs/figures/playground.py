"""Writes the playground's traffic sign: `python docs/figures/playground.py`."""

import base64
import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "examples" / "gtsrb" / "sample.zip"
SIGN = "GTSRB/Final_Training/Images/00014/00013_00005.webp"
SCRIPT = ROOT / "docs" / "playground" / "sign.js"


def sign():
    """A real stop sign of those bundled with the GTSRB example, (height, width, 3), uint8."""
    with zipfile.ZipFile(SAMPLE) as sample, Image.open(io.BytesIO(sample.read(SIGN))) as image:
        return np.asarray(image.convert("RGB"))


def script():
    """The sign as JavaScript."""
    image = sign()
    shape = "height: {}, width: {}, channels: {}".format(*image.shape)
    data = base64.b64encode(image.tobytes()).decode()
    return (
        f"// By docs/figures/playground.py: {SIGN} of GTSRB, bytes row by row.\n"
        f'const SIGN = {{ {shape}, data: "{data}" }};\n'
    )


if __name__ == "__main__":
    SCRIPT.write_text(script(), "utf-8")
