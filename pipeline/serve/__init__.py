"""Predictions over HTTP, from a bundle: `pipeline.serve.app.create_app`."""
