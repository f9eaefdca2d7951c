"""The kinds of repositories, each a module, whose libraries are imported when the first of the kind is opened."""

from __future__ import annotations

from exchange.transfers.backends.folder import Folder
from exchange.transfers.protocol import Backend, CannotDo, Place

BACKENDS = {
    "local": "folder:Folder",
    "ssh": "ssh:Ssh",
    "s3": "s3:S3",
    "sftp": "sftp:Sftp",
    "http": "http:Http",
    "globus": "globus:Collection",
}
"""Kind of a repository -> module and class of its backend."""


def open_backend(place: Place) -> Backend:
    """The backend of a repository; connects when it is first used.

    Raises
    ------
    CannotDo : a kind that this version does not know, or whose library is not installed.
    """
    import importlib

    if place.kind not in BACKENDS:
        known = ", ".join(BACKENDS)
        raise CannotDo(f"the repository {place.name} has the kind {place.kind!r}", f"known kinds are {known}")
    module, name = BACKENDS[place.kind].split(":")
    try:
        return getattr(importlib.import_module(f"{__name__}.{module}"), name)(place)
    except ModuleNotFoundError as error:
        extra = {"boto3": "s3", "botocore": "s3", "paramiko": "sftp", "globus_sdk": "globus"}.get(error.name or "")
        if extra is None:
            raise
        raise CannotDo(
            f"repositories of the kind {place.kind} need the library {error.name}", f"pip install 'neurojoint[{extra}]'"
        ) from None


__all__ = ["BACKENDS", "Folder", "open_backend"]
