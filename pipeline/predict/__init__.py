"""Predictions on new clips, from a bundle: `load_bundle(folder).predict(paths)`."""

from pipeline.predict.predictor import Predictor, load_bundle

__all__ = ["Predictor", "load_bundle"]
