"""The lab server's program: it finds session folders, claims their tasks, works them off, and registers the outputs."""
