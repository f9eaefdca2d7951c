"""Two-photon imaging: the fields of view of a session, the stacks that they form, and where they lie in the brain."""

import datetime

import datajoint as dj
import numpy as np
import pyarrow as pa

from pipeline import atlas
from pipeline.alf.reasons import refuse
from pipeline.database import registry
from pipeline.database.bulk import fetch_columns, insert_many
from pipeline.provenance import fingerprints
from pipeline.schemas import acquisition, data, histology  # noqa: F401 - parents of foreign keys
from pipeline.schemas.inputs import field_places, files, rois

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
    location_of_files=0        : bool            # the files of its folder said it, and nobody has entered it
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
        images = _of_folders("mpciMeanImage")  # corners, also where the regions are those of cells
        of_cells = self._objects() & {"object_name": "mpciROIs"}
        objects = [fetch_columns(item & session, *names, *parts) for item in (images, of_cells)]
        settings = data.Dataset & session & {"default_dataset": True} & f"rel_path LIKE '%%/{field_places.META}'"
        stated = fetch_columns(settings, *names[:-1], "rel_path", "dataset_hash").rename_columns([*names[:-1], *parts])
        objects.append(stated.join(there, names[:-1], join_type="inner").select([*names, *parts]))
        objects = [item.cast(objects[0].schema) for item in objects]
        found = pa.concat_tables(objects).join(there, names, join_type="inner")
        return fingerprints.combine(found, names, parts)

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
        _enter(key, field_places.read(key, ids.shape if name == "mpciMeanImage" else ()), attribute, list(counts))

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


@schema
class RoiSet(dj.Imported):
    definition = """
    # the regions of interest (ROI) of a field of view, from the ALF object `mpciROIs`
    -> FieldOfView
    ---
    roi_fingerprint            : char(32)        # of the files
    n_rois                     : int32           # all of them, also those that are no cells
    n_rois_located             : int32           # in a known region
    n_rois_outside             : int32           # outside of the brain (region 0 in the file)
    roi_estimate=null          : bool            # places and regions are from before histology; null without either
    roi_regions_refused        : json            # list of region ids that the atlas does not have; there the region is null
    """
    fingerprint = "roi_fingerprint"

    class Roi(dj.Part):
        definition = """
        # one region of interest; null where the files do not say
        -> master
        roi                        : int32           # row in the files, from 0
        ---
        -> [nullable] histology.BrainRegion
        roi_uuid=null              : char(36)        # as the files say
        roi_type=""                : varchar(32)     # e.g. cell; its number where no file names the types
        cell_probability=null      : float64         # that it is a cell, 0-1
        roi_x=null                 : float64         # px, column in the mean image, from 0
        roi_y=null                 : float64         # px, row in the mean image, from 0
        roi_plane=null             : float64         # px of the stack in depth (its plane), from 0
        roi_ml=null                : float64         # um from bregma, right positive
        roi_ap=null                : float64         # um from bregma, anterior positive
        roi_dv=null                : float64         # um from bregma, dorsal positive
        roi_hemisphere=null        : enum('left', 'right')  # by its ML, else by the sign of the region in the file
        """

    @property
    def key_source(self) -> dj.expression.QueryExpression:
        """Fields of view with files of regions of interest."""
        places = dj.U(*FieldOfView.primary_key) & _of_folders(rois.OBJECT)
        return FieldOfView.proj().restrict(places, semantic_check=False)

    def current_fingerprints(self, key: dict | None = None) -> pa.Table:
        """Key and fingerprint of every field of view (of `key`) that should have a row now."""
        names, parts = FieldOfView.primary_key, ["object_name", "object_fingerprint"]
        there = fetch_columns(self.key_source & (key or {}), *names)
        session = {name: value for name, value in (key or {}).items() if name in acquisition.Session.primary_key}
        objects = fetch_columns(_of_folders(rois.OBJECT, rois.TYPES) & session, *names, *parts)
        return fingerprints.combine(objects.join(there, names, join_type="inner"), names, parts)

    def make(self, key):
        collection = f"alf/{key['fov_name']}"
        session = {name: key[name] for name in acquisition.Session.primary_key}
        there = {
            row["object_name"]: row["accepted_columns"].split(",")
            for row in (data.AlfObject & session & {"object_collection": collection}).to_dicts()
        }
        found = rois.read(key, collection, there[rois.OBJECT], "names" in there.get(rois.TYPES, ()))
        self.insert1(
            key
            | {
                self.fingerprint: self.current_fingerprints(key)["fingerprint"][0].as_py(),
                "n_rois": len(found),
                "n_rois_located": found.n_located,
                "n_rois_outside": found.n_outside,
                "roi_estimate": found.is_estimate,
                "roi_regions_refused": found.unknown,
            }
        )
        insert_many(self.Roi, key | found.columns)


def _of_folders(*names: str) -> dj.expression.QueryExpression:
    """ALF objects with these names in folders of fields of view."""
    objects = data.AlfObject & [{"object_name": name} for name in names]
    objects &= "object_collection LIKE 'alf/%%' AND object_collection NOT LIKE 'alf/%%/%%'"
    return objects.proj("object_fingerprint", fov_name="SUBSTRING(object_collection, 5)")


def _enter(key: dict, place: field_places.Place, attribute: str, regions: list[int]) -> None:
    """Say in `FieldLocation`, too, where the files see a field of view, unless somebody has said it.

    It is the place that searches look at unless another one was made that.
    """
    provenance = "estimate" if attribute.endswith(rois.ESTIMATE) else "histology"
    known = (FieldLocation & key).to_dicts()
    own = next((row for row in known if row["fov_provenance"] == provenance), None)
    if own is not None and not own["location_of_files"]:
        return
    others = [row for row in known if row is not own]
    is_default = all(row["location_of_files"] for row in others if row["default_location"])
    for row in others if is_default else ():
        FieldLocation.update1({name: row[name] for name in FieldLocation.primary_key} | {"default_location": False})
    names = FieldOfView.primary_key
    row = {name: key[name] for name in names} | {
        "fov_provenance": provenance,
        "fov_location_uuid": own["fov_location_uuid"] if own else place.uuid(key, provenance),
        "default_location": is_default,
        "coordinate_system": "IBL-Allen",
        "corners_ml": place.corners[0],
        "corners_ap": place.corners[1],
        "corners_dv": place.corners[2],
        "n_pixels": place.n_pixels,
        "location_changed": datetime.datetime.now(datetime.UTC).replace(tzinfo=None),
        "location_of_files": True,
    }
    where = {name: row[name] for name in FieldLocation.primary_key}
    covered = sorted((FieldLocation.Region & where).to_arrays("region_id").tolist()) if own else None
    same = own is not None and all(own[name] == value for name, value in row.items() if name != "location_changed")
    if same and covered == sorted(regions):
        return
    if own is None:
        FieldLocation.insert1(row)
    else:
        FieldLocation.update1(row)
        (FieldLocation.Region & where).delete_quick()
    if regions:
        insert_many(FieldLocation.Region, where | {"region_id": regions})


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
