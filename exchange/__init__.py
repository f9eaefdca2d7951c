"""Everything that goes to or comes from another system: transfers, NWB files."""
