"""Two-photon imaging: the fields of view of a session, the stacks that they form, and where they lie in the brain."""

import datajoint as dj

from pipeline.database import registry
from pipeline.schemas import acquisition, histology  # noqa: F401 - parents of foreign keys

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


def located_in(regions: list[int]) -> dj.expression.QueryExpression:
    """The fields of view whose default location covers one of these regions.

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
    return FieldOfView() & (default & within.proj()).proj()


def of_session(key: dict) -> dj.expression.QueryExpression:
    """The fields of view of sessions."""
    return FieldOfView & (acquisition.Session & key).proj()
