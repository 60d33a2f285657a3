"""What other libraries call the arguments of our layers."""

from __future__ import annotations

import inspect

FOREIGN_NAMES = {
    "localization_network": (
        "locnet",
        "loc_net",
        "localization",
        "localization_net",
        "localisation_net",
        "localisation_network",
        "localizer",
    ),
    "transform": ("family", "transformation", "transform_type"),
    "output_size": ("size", "out_size", "output_shape", "output_dims", "target_size"),
    "num_transforms": ("num_crops", "n_transforms"),
    "num_looks": ("num_steps", "steps", "n_looks"),
    "theta_gain": ("localization_step", "theta_scale"),
    "interpolation": ("mode", "order", "method", "interpolation_mode", "interpolation_order"),
    "fill_mode": ("mode", "padding", "padding_mode", "border_mode"),
    "fill_value": ("fill", "cval", "padding_value", "constant_values"),
    "align_corners": ("align_corner",),
    "antialias": ("anti_alias", "antialiasing", "anti_aliasing"),
    "theta_regularizer": ("regularizer", "theta_penalty"),
    "data_format": ("image_data_format",),
}


def refuse_foreign_names(layer, options):
    """Raises `ValueError` for options that the class `layer` knows by another name.

    Others are left to Keras.
    """
    known = inspect.signature(layer.__init__).parameters
    for name in options:
        ours = [own for own, foreign in FOREIGN_NAMES.items() if name in foreign and own in known]
        if ours:
            raise ValueError(
                f"`{layer.__name__}` must get its arguments by their names here. Received: "
                f"{name}={options[name]!r}. Pass {' or '.join(f'`{own}`' for own in ours)}."
            )
