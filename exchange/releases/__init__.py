"""Releases: freeze a tag, build folder and zips that load without us, upload them, check what lies there."""
