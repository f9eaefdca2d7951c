"""Two-photon imaging: the fields of view of a session, the stacks that they form, and where they lie in the brain."""

import datajoint as dj
import numpy as np
import pyarrow as pa

from pipeline import atlas
from pipeline.alf.reasons import refuse
from pipeline.database import registry
from pipeline.database.bulk import fetch_columns, insert_many
from pipeline.provenance import fingerprints
from pipeline.schemas import acquisition, data, histology  # noqa: F401 - parents of foreign keys
from pipeline.schemas.inputs import files

REGIONS = "brainLocationIds_ccf_2017"
"""ALF attribute with the region of each pixel or cell; those estimated before histology end in `_estimate`."""
_SOURCES = tuple((name, f"{REGIONS}{end}") for end in ("", "_estimate") for name in ("mpciMeanImage", "mpciROIs"))
"""Object and attribute of the files that say it, the one to read first."""

schema = registry.schema(__name__)


@schema
class ImagingType(dj.Lookup):
    definition = """
    # how images are taken
    imaging_type               : varchar(64)     # name
    """
    contents = [{"imaging_type": name} for name in ("mesoscope", "two-photon", "widefield")]


@schema
class ImagingStack(dj.Manual):
    definition = """
    # fields of view of one session above each other
    stack_id                   : char(36)        # given, or drawn when it is entered
    ---
    stack_name=""              : varchar(128)    # name
    stack_json=null            : json            # what other programs keep with it
    """


@schema
class FieldOfView(dj.Manual):
    definition = """
    # one field of view of an imaging session
    -> acquisition.Session
    fov_name                   : varchar(64)     # as the folder, e.g. FOV_00
    ---
    fov_uuid                   : char(36)        # given, or derived from the path
    -> [nullable] ImagingType
    -> [nullable] ImagingStack
    fov_json=null              : json            # what other programs keep with it
    unique index (fov_uuid)
    """


@schema
class FieldLocation(dj.Manual):
    definition = """
    # where a field of view lies, as one method found it
    -> FieldOfView
    fov_provenance             : varchar(16)     # estimate, functional, landmark, histology
    ---
    fov_location_uuid          : char(36)        # given, or drawn when it is entered
    default_location=0         : bool            # the one that searches by region look at: one of a field of view
    -> histology.CoordinateSystem
    corners_ml                 : json            # of the corner pixels, um from bregma, right positive; 4 numbers, 8 of a volume
    corners_ap                 : json            # um from bregma, anterior positive
    corners_dv                 : json            # um from bregma, dorsal positive
    n_pixels                   : json            # along the three axes
    location_json=null         : json            # what other programs keep with it
    location_changed           : datetime(6)     # UTC
    unique index (fov_location_uuid)
    """

    class Region(dj.Part):
        definition = """
        # a region that the field of view covers
        -> master
        -> histology.BrainRegion
        """


@schema
class FileLocation(dj.Imported):
    definition = """
    # where a field of view lies, as the files of its folder say for each pixel, else for each cell
    -> FieldOfView
    ---
    fov_location_fingerprint   : char(32)        # of the files
    fov_location_object        : varchar(16)     # mpciMeanImage (pixels) or mpciROIs (cells)
    fov_location_estimate      : bool            # estimated before histology
    n_fov_located              : int32           # pixels or cells in a known region
    n_fov_outside              : int32           # pixels or cells outside of the brain (region 0 in the file)
    fov_regions_refused        : json            # list of region ids that the atlas does not have; nothing is said there
    """
    fingerprint = "fov_location_fingerprint"

    class Region(dj.Part):
        definition = """
        # a region that pixels or cells are in, itself and not those below it
        -> master
        -> histology.BrainRegion
        ---
        n_fov_in_region            : int32           # pixels or cells
        """

    @property
    def key_source(self) -> dj.expression.QueryExpression:
        """Fields of view with a file of regions."""
        places = dj.U(*FieldOfView.primary_key) & self._objects()
        return FieldOfView.proj().restrict(places, semantic_check=False)

    def current_fingerprints(self, key: dict | None = None) -> pa.Table:
        """Key and fingerprint of every field of view (of `key`) that should have a row now."""
        names, parts = FieldOfView.primary_key, ["object_name", "object_fingerprint"]
        there = fetch_columns(self.key_source & (key or {}), *names)
        session = {name: value for name, value in (key or {}).items() if name in acquisition.Session.primary_key}
        objects = fetch_columns(self._objects() & session, *names, *parts)
        return fingerprints.combine(objects.join(there, names, join_type="inner"), names, parts)

    def make(self, key):
        collection = f"alf/{key['fov_name']}"
        session = {name: key[name] for name in acquisition.Session.primary_key}
        rows = (data.AlfObject & session & {"object_collection": collection}).to_dicts()
        accepted = {row["object_name"]: row["accepted_columns"].split(",") for row in rows}
        name, attribute = next(item for item in _SOURCES if item[1] in accepted.get(item[0], ()))
        ids = np.asarray(files.read_attribute(key, name, attribute, collection))
        if ids.dtype.kind not in "iu" and not (ids.dtype.kind == "f" and np.all(ids == np.rint(ids))):
            raise refuse(f"{collection}/{name}.{attribute}.npy", "value_range", "ids of regions are whole numbers")
        counts, n_outside, unknown = atlas.count_regions(ids.astype(np.int64))
        self.insert1(
            key
            | {
                self.fingerprint: self.current_fingerprints(key)["fingerprint"][0].as_py(),
                "fov_location_object": name,
                "fov_location_estimate": attribute.endswith("_estimate"),
                "n_fov_located": sum(counts.values()),
                "n_fov_outside": n_outside,
                "fov_regions_refused": unknown,
            }
        )
        if counts:
            insert_many(self.Region, key | {"region_id": list(counts), "n_fov_in_region": list(counts.values())})

    @staticmethod
    def _objects() -> dj.expression.QueryExpression:
        """The ALF objects with regions, with the last folder of their collection as the name of the field of view."""
        objects = (
            data.AlfObject
            & [{"object_name": name} for name in dict.fromkeys(name for name, _ in _SOURCES)]
            & f"accepted_columns LIKE '%%,{REGIONS},%%' OR accepted_columns LIKE '%%,{REGIONS}_estimate,%%'"
            & "object_collection LIKE 'alf/%%'"
            & "object_collection NOT LIKE 'alf/%%/%%'"
        )
        return objects.proj("object_fingerprint", fov_name="SUBSTRING(object_collection, 5)")


def located_in(regions: list[int]) -> dj.expression.QueryExpression:
    """The fields of view whose default location covers one of these regions, or whose files say so if none was entered.

    Parameters
    ----------
    regions : list of int
        Ids of the Allen atlas, with those of the structures below them.

    Returns
    -------
    FieldOfView, restricted.
    """
    if not regions:
        return FieldOfView() & "1=0"
    default = FieldLocation & {"default_location": True}
    within = FieldLocation.Region & f"region_id IN ({', '.join(str(int(region)) for region in regions)})"
    entered = (default & within.proj()).proj()
    read = (FileLocation.Region & f"region_id IN ({', '.join(str(int(region)) for region in regions)})").proj()
    return FieldOfView() & [FieldOfView().proj() & entered, (FieldOfView().proj() - default.proj()) & read]


def of_session(key: dict) -> dj.expression.QueryExpression:
    """The fields of view of sessions."""
    return FieldOfView & (acquisition.Session & key).proj()
