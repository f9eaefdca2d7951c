"""Archives: publish raw files of sessions, discover what lies there already, and bring back what is asked for."""

from exchange.archive.discover import Discovery, discover
from exchange.archive.publish import publish

__all__ = ["Discovery", "discover", "publish"]
