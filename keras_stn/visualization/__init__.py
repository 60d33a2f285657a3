"""Pictures of what spatial transformers do. Needs matplotlib: `pip install keras-stn[viz]`."""

from keras_stn.visualization.animation import animate_theta
from keras_stn.visualization.outlines import grid_outline
from keras_stn.visualization.plots import plot_sampling_grid, plot_transforms

__all__ = ["animate_theta", "grid_outline", "plot_sampling_grid", "plot_transforms"]
