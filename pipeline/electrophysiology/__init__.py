"""What stands behind the tables of sorted units: their files, which sorting is meant, their spikes, cached arrays."""
