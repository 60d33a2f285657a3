"""What ails a localizer, in plain words, and what to do."""

from __future__ import annotations

import numpy as np

# Parameters that spread less than this, in units of their own size, are the same but for float32's
# rounding. No more: those that start at 0 tell a slow localizer from a dead one.
SAME = 3e-7


def diagnose(layer, report, *, ndim, moved, max_zoom, max_outside):
    """What is wrong with a localizer: from the kinds of illness to what to say.

    Args:
        layer: The `SpatialTransformer`.
        report: Its `LocalizerReport`.
        ndim: Spatial axes.
        moved: Whether theta is elsewhere than an epoch ago; None if that is not known.
        max_zoom: As in `LocalizerMonitor`.
        max_outside: As in `LocalizerMonitor`.
    """
    if not np.isfinite(report.theta_mean).all():
        return {
            "not finite": "theta is NaN or infinite, and the model cannot recover from that. Start "
            "again from the last good weights, with a lower learning rate, with gradient clipping "
            "(`clipnorm` of the optimizer), or with `bounds` on theta."
        }
    found = {}
    if layer.trainable_variables:  # a frozen one has a right to stand still
        found["dead"] = _why_dead(layer, report, moved)
    found["collapsing"] = _why_collapsing(report, ndim, max_zoom)
    if report.outside.max() > max_outside and not found["collapsing"]:
        found["leaving the image"] = (
            f"{_which(report.outside > max_outside)} {report.outside.max():.0%} of its samples "
            f"outside the image, more than {max_outside:.0%}: there it sees nothing and learns "
            "nothing. Add theta_regularizer=keras_stn.regularizers.OutsideImage(), limit theta "
            "with bounds='default', or lower `theta_gain` or the learning rate."
        )
    return {kind: text for kind, text in found.items() if text}


def _why_dead(layer, report, moved):
    same = bool((report.theta_spread <= SAME * np.abs(report.theta_mean)).all())
    no_gradient = report.gradient == 0 and report.rest_gradient > 0
    if not same and not no_gradient:
        return None
    facts = []
    if same:
        how = {True: ", and moves for all of them alike", False: ", and it does not move"}
        facts.append("theta is the same for all images" + how.get(moved, ""))
    if no_gradient:
        facts.append(
            "the gradient of the loss to the localizer is zero, so that no step can move it"
        )
    return "; ".join(facts) + ". " + _cure(layer)


def _cure(layer):
    if layer.interpolation == "nearest":
        return (
            "That is because of interpolation='nearest', which has no gradient to theta: train "
            "with 'bilinear'."
        )
    return (
        "Look inside the localization network for a layer whose kernel starts at zero (the head "
        "that the spatial transformer adds starts there already, no other layer may), and for "
        "ReLUs that have died: then start again with a lower learning rate or with another "
        "activation, such as 'tanh'. If theta stands at its `bounds`, widen these."
    )


def _why_collapsing(report, ndim, max_zoom):
    small, large = report.area.min(), report.area.max()
    zoom = max_zoom**ndim  # of areas or volumes, not of sides
    if small < 1 / zoom:
        return (
            f"{_which(report.area < 1 / zoom)} {small:.2g} of the image's area, less than "
            f"1/{max_zoom:g} a side (it shrinks to a point). {_LIMIT_ZOOM}"
        )
    if large > zoom:
        return (
            f"{_which(report.area > zoom)} {large:.2g} times the image's area, more than "
            f"{max_zoom:g} a side (the image is a dot in it). {_LIMIT_ZOOM}"
        )
    return None


_LIMIT_ZOOM = (
    "Add theta_regularizer=keras_stn.regularizers.LogScale(), limit theta with "
    "bounds={'zoom': 4.0}, or lower `theta_gain` or the learning rate."
)


def _which(ill):
    """The subject of a sentence, with its verb: the crop, or the worst of several."""
    if len(ill) == 1:
        return "the crop has"
    numbers = [str(k) for k in np.flatnonzero(ill)]
    worst = "" if len(numbers) == 1 else "the worst of "
    return f"{worst}crop {' and '.join(numbers)} (of 0 to {len(ill) - 1}) has"
