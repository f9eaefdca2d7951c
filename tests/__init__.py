"""Tests: each file mirrors the module it protects."""
