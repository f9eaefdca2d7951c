"""Electrophysiology below the tables: sortings and their files, spikes, cached arrays, channel locations."""
