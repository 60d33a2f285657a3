"""Callbacks that watch spatial transformers while they learn."""

from keras_stn.callbacks.gallery import TransformerGallery
from keras_stn.callbacks.monitor import LocalizerMonitor, LocalizerReport, LocalizerWarning

__all__ = ["LocalizerMonitor", "LocalizerReport", "LocalizerWarning", "TransformerGallery"]
