"""Analyses as pure functions on arrays: no database, no files."""
