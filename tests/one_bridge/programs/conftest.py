"""These run in environments of other programs: they are not imported here."""

collect_ignore_glob = ["in_*.py"]
