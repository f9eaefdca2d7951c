"""What follows from the sorted spikes: metrics of units, their responses, pictures of a whole insertion."""

from pipeline.database import registry
from pipeline.schemas import behavior, ephys  # noqa: F401 - parents of foreign keys

schema = registry.schema(__name__)
