"""Tests of the package `neurojoint`: the public API and the command line."""
