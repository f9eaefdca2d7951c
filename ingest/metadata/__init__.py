"""Metadata files that people write: labs, subjects, weights, water, trajectories."""
