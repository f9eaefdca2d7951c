"""Lossless compression of raw electrophysiology."""
