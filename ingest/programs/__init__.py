"""External programs in environments of their own: spike sorters."""
