"""What a `make` reads from lower tables and from registered files."""
