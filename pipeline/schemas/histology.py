"""Where the recordings lie in the brain: the atlas, the tracks of the probes, the places of channels and units.

Coordinates are um from the origin of a `CoordinateSystem` (bregma): ML grows to the right, AP to the front, DV upwards.
"""

from typing import Any

import datajoint as dj
import numpy as np
import pyarrow as pa

from pipeline import atlas
from pipeline.alf.reasons import refuse
from pipeline.analysis import coordinates
from pipeline.database import registry
from pipeline.database.bulk import fetch_columns, insert_many, to_numpy
from pipeline.electrophysiology import channel_locations
from pipeline.provenance import fingerprints
from pipeline.schemas import acquisition, ephys
from pipeline.schemas.inputs import channel_files, recordings

schema = registry.schema(__name__)

_BREGMA = dict(zip(("origin_ml", "origin_ap", "origin_dv"), coordinates.BREGMA_CCF, strict=True)) | {"origin": "bregma"}


@schema
class BrainRegion(dj.Lookup):
    definition = """
    # a structure of the Allen mouse brain atlas (CCF 2017); what lies outside of the brain is no row
    region_id                  : int64           # as the Allen Institute numbers it
    ---
    acronym                    : varchar(16)     # upper and lower case differ: CM and cm are two structures
    region_name                : varchar(128)
    parent_region_id=null      : int64           # the structure that it is part of; null for the root
    region_depth               : int16           # steps from the root
    graph_order                : int16           # place in the order of the tree, from 0
    region_color               : varchar(8)      # as drawn in the atlas, e.g. #70ff71
    beryl_id                   : int64           # the structure that stands for it in the Beryl parcellation (997 for none)
    cosmos_id                  : int64           # the same in the Cosmos parcellation
    unique index (acronym)
    """

    class Ancestor(dj.Part):
        definition = """
        # a structure that another one is part of, itself included: one look-up finds all that is within a structure
        -> master
        ancestor_id                : int64           # region_id of the larger one
        ---
        ancestor_distance          : int16           # steps from one to the other; 0: itself
        index (ancestor_id)
        """

    constant = atlas.VERSION

    @classmethod
    def fill(cls) -> None:
        """Write the structures of `pipeline.atlas`, or bring them up to its version."""
        tree = atlas.regions()
        within, larger, steps = tree.closure
        rows = {
            "region_id": tree.ids,
            "acronym": tree.acronyms,
            "region_name": tree.names,
            "parent_region_id": [parent or None for parent in tree.parents.tolist()],
            "region_depth": tree.depths,
            "graph_order": tree.orders,
            "region_color": tree.colors,
            "beryl_id": tree.beryl,
            "cosmos_id": tree.cosmos,
        }
        pairs = {"region_id": within, "ancestor_id": larger, "ancestor_distance": steps}
        with cls().connection.transaction:
            insert_many(cls, rows, on_duplicate="update")
            insert_many(cls.Ancestor, pairs, on_duplicate="update")


@schema
class RegionDescription(dj.Manual):
    definition = """
    # what the labs write about a structure
    -> BrainRegion
    ---
    region_description         : varchar(4000)
    """


@schema
class CoordinateSystem(dj.Lookup):
    definition = """
    # from where coordinates count; ML grows to the right, AP to the front, DV upwards, all in um
    coordinate_system          : varchar(32)
    ---
    origin                     : varchar(32)     # landmark where all three are 0
    origin_ml                  : float64         # of it in the Allen CCF, um, the CCF's ML growing to the right
    origin_ap                  : float64         # um, the CCF's AP growing to the back
    origin_dv                  : float64         # um, the CCF's DV growing downwards
    system_description         : varchar(255)
    """
    contents = [
        {
            "coordinate_system": "IBL-Allen",
            "system_description": "the Allen CCF (2017), not stretched, moved so that bregma is the origin",
        }
        | _BREGMA,
        {
            "coordinate_system": "Needles-Allen",
            "system_description": "the Allen CCF stretched to a living brain, as used to plan insertions; bregma is the origin",
        }
        | _BREGMA,
    ]


@schema
class Provenance(dj.Lookup):
    definition = """
    # how the track of a probe is known
    provenance                 : varchar(32)
    ---
    provenance_rank            : int16           # of several tracks, the one with the highest counts; as Alyx numbers them
    provenance_description     : varchar(255)
    """
    contents = [
        {"provenance": "planned", "provenance_rank": 10, "provenance_description": "meant before the experiment"},
        {
            "provenance": "micro_manipulator",
            "provenance_rank": 30,
            "provenance_description": "read from the manipulator during the experiment",
        },
        {"provenance": "histology", "provenance_rank": 50, "provenance_description": "traced in the sliced brain"},
        {
            "provenance": "ephys_aligned",
            "provenance_rank": 70,
            "provenance_description": "traced, then shifted along the probe until the activity fits the atlas",
        },
    ]


@schema
class Trajectory(dj.Manual):
    definition = """
    # the track of a probe
    -> ephys.ProbeInsertion
    -> Provenance
    ---
    -> CoordinateSystem
    entry_ml                   : float64         # where it enters the brain, um from bregma, right positive; Alyx: x
    entry_ap                   : float64         # um from bregma, anterior positive; Alyx: y
    entry_dv                   : float64         # um from bregma, dorsal positive; Alyx: z
    insertion_depth            : float64         # from there to the tip along the probe, um
    theta                      : float64         # angle between the probe and the vertical, deg
    phi                        : float64         # direction in which it leans, deg from the right (0) over the front (90)
    roll=null                  : float64         # about its own axis, deg
    trajectory_json=null       : json            # what other programs keep with it
    """


@schema
class AlignedChannel(dj.Manual):
    definition = """
    # a place of a channel along a track, as an alignment program stated it
    -> Trajectory
    aligned_channel            : int32           # in the order in which they were stated, from 0
    ---
    aligned_axial              : float64         # on the probe, um from the tip
    aligned_lateral            : float64         # on the probe, um from its left edge
    aligned_ml=null            : float64         # um from bregma, right positive
    aligned_ap=null            : float64         # um from bregma, anterior positive
    aligned_dv=null            : float64         # um from bregma, dorsal positive
    -> [nullable] BrainRegion
    aligned_name=""            : varchar(64)
    aligned_json=null          : json            # what other programs keep with it
    """


@schema
class ChannelLocation(dj.Imported):
    definition = """
    # where the channels of a probe are, from the ALF object `electrodeSites`, else `channels`
    -> ephys.ProbeInsertion
    ---
    -> CoordinateSystem
    locations_fingerprint      : char(32)        # of the files
    locations_object           : varchar(16)     # channels or electrodeSites
    locations_collection       : varchar(128)    # folder of the files below the session
    n_channels_located         : int32           # channels in a known region
    n_channels_outside         : int32           # channels outside of the brain (region 0 in the file)
    regions_refused            : json            # list of region ids that the atlas does not have; there the region is null
    locations_refused          : json            # attribute -> why it is not read; what it gives is null
    n_sides_differ             : int32           # channels whose region is of the other hemisphere than their ML says
    """
    fingerprint = "locations_fingerprint"

    class Channel(dj.Part):
        definition = """
        # one channel; null where the files do not say
        -> master
        channel                    : int32           # row in the files, from 0
        ---
        -> [nullable] BrainRegion
        raw_channel=null           : int32           # channel in the raw file, from 0
        channel_lateral=null       : float64         # on the probe, um from its left edge
        channel_axial=null         : float64         # on the probe, um from the tip
        channel_ml=null            : float64         # um from bregma, right positive
        channel_ap=null            : float64         # um from bregma, anterior positive
        channel_dv=null            : float64         # um from bregma, dorsal positive
        channel_hemisphere=null    : enum('left', 'right')  # by its ML, else by the sign of the region in the file
        """

    class Region(dj.Part):
        definition = """
        # a region that channels are in, itself and not those below it
        -> master
        -> BrainRegion
        ---
        region_channels            : int32           # how many
        """

    @property
    def key_source(self):
        """Insertions with files that say where channels are."""
        objects = channel_files.objects() & channel_files.SAYS_WHERE
        insertions = dj.U(*acquisition.Session.primary_key, "probe_label") & objects.proj(
            probe_label=channel_files.probe_label()
        )
        return ephys.ProbeInsertion.proj().restrict(insertions, semantic_check=False)

    def current_fingerprints(self, key: dict | None = None) -> pa.Table:
        """Key and fingerprint of every insertion (of `key`) that should have a row now."""
        names = ephys.ProbeInsertion.primary_key
        parts = ["object_collection", "object_name", "object_fingerprint"]
        objects = fetch_columns(
            (channel_files.objects() & channel_files.session_of(key)).proj(
                *parts[2:], probe_label=channel_files.probe_label()
            )
        )
        there = fetch_columns(self.key_source & (key or {}), *names)
        defaults = fetch_columns(channel_files.default_collections() & (key or {}), *names, "clustering_collection")
        rows = objects.join(there, names, join_type="inner").join(defaults, names, join_type="left outer")
        return fingerprints.combine(rows, names, [*parts, "clustering_collection"])

    def make(self, key):
        sources = channel_files.sources_of(key)
        source, contents = sources[0], channel_files.contents(key, sources)
        try:
            located = channel_locations.assemble(contents, recordings.channel_map(key))
        except ValueError as error:
            path = f"{source['object_collection']}/{source['object_name']}"
            raise refuse(path, "value_range", str(error)[:900]) from error
        self.insert1(
            key
            | {
                "coordinate_system": "IBL-Allen",
                self.fingerprint: self.current_fingerprints(key)["fingerprint"][0].as_py(),
                "locations_object": source["object_name"],
                "locations_collection": source["object_collection"],
                "n_channels_located": int(np.isfinite(located.regions).sum()),
                "n_channels_outside": located.n_outside,
                "regions_refused": located.unknown,
                "locations_refused": source["refused_columns"] | located.refused,
                "n_sides_differ": located.n_sides_differ,
            }
        )
        insert_many(self.Channel, key | located.columns())
        insert_many(self.Region, key | channel_locations.region_counts(located.regions, "region_channels"))


@schema
class ClusterLocation(dj.Computed):
    definition = """
    # where the clusters are: each is where its channel is
    -> ephys.ClusterSet
    -> ChannelLocation
    ---
    n_clusters_located         : int32           # clusters in a known region
    n_clusters_without_channel : int32           # their channel is not in the files, or none is given
    """

    class Cluster(dj.Part):
        definition = """
        # one cluster; null where its channel is not known or has no place
        -> master
        -> ephys.ClusterSet.Cluster
        ---
        -> [nullable] BrainRegion
        cluster_ml=null            : float64         # um from bregma, right positive
        cluster_ap=null            : float64         # um from bregma, anterior positive
        cluster_dv=null            : float64         # um from bregma, dorsal positive
        cluster_hemisphere=null    : enum('left', 'right')
        """

    class Region(dj.Part):
        definition = """
        # a region that clusters are in, itself and not those below it
        -> master
        -> BrainRegion
        ---
        region_clusters            : int32           # how many
        """

    def make(self, key):
        clusters = to_numpy(fetch_columns(ephys.ClusterSet.Cluster & key, "cluster_id", "cluster_channel"))
        channels = fetch_columns(ChannelLocation.Channel & key, order_by="channel")
        there = to_numpy(channels.drop_columns(["channel_hemisphere"]))
        rows = channel_files.rows_of_channels(key, clusters["cluster_channel"], there)
        has_channel = rows >= 0
        columns: dict[str, Any] = {
            "cluster_id": clusters["cluster_id"],
            "region_id": channel_locations.taken(there["region_id"], rows),
            **{
                f"cluster_{name}": channel_locations.taken(there[f"channel_{name}"], rows)
                for name in ("ml", "ap", "dv")
            },
            "cluster_hemisphere": [
                channels["channel_hemisphere"][row].as_py() if row >= 0 else None for row in rows.tolist()
            ],
        }
        self.insert1(
            key
            | {
                "n_clusters_located": int(np.isfinite(columns["region_id"]).sum()),
                "n_clusters_without_channel": int((~has_channel).sum()),
            }
        )
        insert_many(self.Cluster, key | columns)
        insert_many(self.Region, key | channel_locations.region_counts(columns["region_id"], "region_clusters"))


@schema
class ClusterVoxel(dj.Computed):
    definition = """
    # the voxels of the Allen CCF (2017) that clusters are in, counted from 0 at the corner of the volume
    -> ClusterLocation
    ---
    voxel_size                 : int16           # edge, um
    """

    class Cluster(dj.Part):
        definition = """
        # one cluster whose place is known
        -> master
        -> ClusterLocation.Cluster
        ---
        voxel_ap                   : int32           # from the front
        voxel_dv                   : int32           # from the top
        voxel_ml                   : int32           # from the left
        """

    def make(self, key):
        rows = to_numpy(fetch_columns(ClusterLocation.Cluster & key, "cluster_id", *_CLUSTER_PLACE))
        places = np.column_stack([rows[name] for name in _CLUSTER_PLACE])
        known = np.isfinite(places).all(axis=1)
        ml, ap, dv = coordinates.ccf_voxels(places[known], VOXEL_SIZE).T
        self.insert1(key | {"voxel_size": VOXEL_SIZE})
        columns = {"cluster_id": rows["cluster_id"][known], "voxel_ap": ap, "voxel_dv": dv, "voxel_ml": ml}
        if known.any():
            insert_many(self.Cluster, key | columns)


VOXEL_SIZE = 25  # um
_CLUSTER_PLACE = ("cluster_ml", "cluster_ap", "cluster_dv")
