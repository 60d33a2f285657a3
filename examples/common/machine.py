"""What a run is computed on, in words."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import keras

from common.errors import RunError

TRAINING_BACKENDS = ("tensorflow", "jax", "torch")


def device():
    """The device that the backend computes on, in its own words."""
    if keras.backend.backend() == "torch":
        import torch

        found = keras.ops.zeros(()).device
        name = f" ({torch.cuda.get_device_name(found)})" if found.type == "cuda" else ""
        return f"{found}{name}"
    found = keras.distribution.list_devices()[0]
    if keras.backend.backend() == "jax" and not found.startswith("cpu"):
        import jax

        return f"{found} ({jax.devices()[0].device_kind})"
    return found


def check_backend():
    """Raises `RunError` if the backend cannot train."""
    if keras.backend.backend() not in TRAINING_BACKENDS:
        raise RunError(
            f"The backend {keras.backend.backend()!r} has no gradients. Set the environment "
            f"variable KERAS_BACKEND to one of {', '.join(TRAINING_BACKENDS)}."
        )


def circumstances(precision):
    """What a measurement depends on, a dictionary."""
    return {
        "backend": keras.backend.backend(),
        "precision": precision,
        "machine": machine(),
        "keras": keras.version(),
    }


def machine():
    """The device, and the processor with its cores."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        name = models[0].partition(":")[2].strip() if models else name
    return f"{device()}; {name}, {os.cpu_count()} cores"
