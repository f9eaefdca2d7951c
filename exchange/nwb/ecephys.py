"""What was recorded with probes: electrodes and units, in the order in which they refer to each other."""

from __future__ import annotations

from exchange.nwb import electrodes, sortings, units
from exchange.nwb.containers import Builder
from exchange.nwb.electrodes import Probe
from exchange.nwb.source import AlfObject


def add_all(builder: Builder, objects: list[AlfObject]) -> tuple[list[AlfObject], list[Probe]]:
    """Write probes, electrodes and units; returns the objects that are something else, and the probes."""
    probes = electrodes.add_probes(builder, objects)
    used = {id(probe.channels) for probe in probes if probe.channels is not None}
    electrodes.add_table(builder, probes)
    all_sortings = sortings.find(builder, objects)
    main = [item for item in all_sortings if item.is_main]
    if main:
        builder.nwbfile.units = units.table_of(builder, "units", main, probes)
    for item in all_sortings:
        used |= {id(part) for part in (item.spikes, item.clusters) if part is not None}
        if not item.is_main:
            name = builder.free_name(f"units_{item.collection.removeprefix('alf/').replace('/', '_')}")
            builder.module("ecephys").add(units.table_of(builder, name, [item], probes))
    return [object_ for object_ in objects if id(object_) not in used], probes
