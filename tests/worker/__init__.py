"""Tests of the workers, on tables of their own that can be slow, wrong or deadly on demand."""
