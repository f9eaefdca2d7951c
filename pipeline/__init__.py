"""neurojoint pipeline."""
