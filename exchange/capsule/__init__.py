"""The paper in a box: filtered tables, files, notebooks, environment, and a `run` that rebuilds the figures."""
