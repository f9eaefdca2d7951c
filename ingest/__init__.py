"""From files to rows: scan of an ALF tree, registration, quarantine, refresh, and the simulated lab."""
