"""Where the recordings lie in the brain: the atlas, the tracks of the probes, the places of channels and units.

Coordinates are um from the origin of a `CoordinateSystem` (bregma): ML grows to the right, AP to the front, DV upwards.
"""

import datajoint as dj

from pipeline import atlas
from pipeline.analysis import coordinates
from pipeline.database import registry
from pipeline.database.bulk import insert_many
from pipeline.schemas import ephys  # noqa: F401 - parents of foreign keys

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
