"""Where the recordings lie in the brain: the atlas, the tracks of the probes, the places of channels and units."""

from pipeline.database import registry
from pipeline.schemas import ephys  # noqa: F401 - parents of foreign keys

schema = registry.schema(__name__)
