"""The labs' time zones, as they are stored: one that is unknown costs the times that need it, and nothing else."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from pipeline.database.bulk import fetch_columns
from pipeline.entry.parse import zone_of
from pipeline.schemas import lab


def of_labs() -> dict[str, str]:
    """Lab -> name of its time zone, whether or not there is such a zone."""
    table = fetch_columns(lab.Lab, "lab", "time_zone")
    return dict(zip(table["lab"].to_pylist(), table["time_zone"].to_pylist(), strict=True))


def local_date(when: datetime.datetime, zones: Mapping[str, str], lab_name: str) -> datetime.date:
    """The day on which something happened in a lab; the day in UTC where the zone of the lab is unknown."""
    try:
        zone = zone_of(zones.get(lab_name, "UTC"))
    except ValueError:
        return when.date()
    return when.replace(tzinfo=datetime.UTC).astimezone(zone).date()
