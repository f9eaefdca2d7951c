"""What a row was made from: fingerprints, stale rows, audited deletes."""
