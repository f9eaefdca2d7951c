"""What left the lab, as it left: releases with their files, where they were uploaded, and animals under embargo."""

import datajoint as dj

from pipeline.database import registry
from pipeline.schemas import data, subject  # noqa: F401 - parents of foreign keys

schema = registry.schema(__name__)


@schema
class Embargo(dj.Manual):
    definition = """
    # an animal that nothing leaves of yet
    -> subject.Subject
    ---
    embargo_until=null         : date            # first day on which it may be told of, UTC; null: until the row is deleted
    embargo_reason=""          : varchar(255)    # for the lab
    """


@schema
class Release(dj.Manual):
    definition = """
    # a frozen set of datasets; a row is never changed but for where and when it was published
    release                    : varchar(64)     # name
    release_version            : int16           # from 1
    ---
    release_title              : varchar(255)
    release_description=""     : varchar(1000)   # what it is, for the reader
    release_tag                : varchar(128)    # the tag whose datasets it froze
    release_license            : varchar(64)     # as SPDX names it
    release_authors            : json            # list of names: family name, given name
    release_publisher=""       : varchar(255)
    release_frozen             : datetime(6)     # UTC
    release_policy             : json            # the policy that was applied
    manifest_hash              : char(64)        # sha256 of manifest.tsv
    release_files              : int32           # how many datasets
    release_bytes              : int64           # byte
    previous_version=null      : int16           # the version that it follows
    release_published=null     : datetime(6)     # UTC; since then nothing of it can be changed
    release_doi=""             : varchar(128)
    """

    class Session(dj.Part):
        definition = """
        # a session, as the release tells of it
        -> master
        release_eid            : char(36)        # of the session
        ---
        release_lab            : varchar(32)
        release_subject        : varchar(64)     # or its pseudonym
        release_date           : date            # or the shifted one
        release_number         : int16
        release_protocol=""    : varchar(255)
        release_projects=""    : varchar(1000)   # names between commas
        """

    class File(dj.Part):
        definition = """
        # a file, as the release holds it
        -> master
        release_dataset        : char(36)        # dataset_id
        ---
        release_file_eid       : char(36)        # of its session
        release_path           : varchar(500)    # below the folder of the release
        release_rel_path       : varchar(255)    # below the session folder
        release_size           : int64           # byte
        release_md5            : char(32)
        release_sha256         : char(64)
        release_source_md5     : char(32)        # of the registered file; another one where the file had to be mended for the client
        release_default        : bool            # the version that is read when none is asked for
        release_qc             : varchar(16)
        """


@schema
class Upload(dj.Manual):
    definition = """
    # a place that a release was brought to
    -> Release
    upload_target              : varchar(255)    # as it was named, e.g. figshare, zenodo, s3://bucket/prefix
    ---
    upload_identifier=""       : varchar(64)     # of the article or deposition there
    upload_state               : enum('running', 'complete', 'published')
    upload_url=""              : varchar(500)    # where readers find it
    upload_time                : datetime(6)     # UTC, of the last change of this row
    """
