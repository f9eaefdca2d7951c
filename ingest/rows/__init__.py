"""Turns reports of session folders and metadata into rows."""
