"""Copies of files where the policies want them: planned, carried over, verified by reading them there, and freed."""
