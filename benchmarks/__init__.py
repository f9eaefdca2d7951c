"""One script for each claim of speed; each measures its peer in the same run and prints the ratio."""
