"""What the commands `ingest` and `compress` display."""
