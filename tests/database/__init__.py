"""Tests of the database rooms, on real servers."""
