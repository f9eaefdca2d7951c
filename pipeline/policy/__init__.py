"""What may leave the lab, decided in one place, which NWB files, releases, cache tables, site and copies ask."""

from pipeline.policy.policy import Policy, current

__all__ = ["Policy", "current"]
