"""The marker file below the root of a repository: an empty mount point, or another disk, is not taken for it."""

from __future__ import annotations

from exchange.transfers.protocol import Place, Unavailable

MARKER = ".neurojoint-repository"
"""Below the root: holds the token of the repository."""


def check(place: Place, said: str, *, writing: bool) -> None:
    """Compare the token of a repository with what its marker file says, "" where there is none.

    Without either, a folder may be read.

    Raises
    ------
    Unavailable : they differ.
    """
    said = said.strip()
    if said == place.token or not (writing or place.token or said):
        return
    what = "belongs to another repository" if said else "has no marker file"
    of = f" of {place.host}" if place.host else ""
    raise Unavailable(
        f"the folder {place.root}{of} {what}, so it is not taken for the repository {place.name}",
        f"mount its disk; or, if this is it, `neurojoint transfer repository {place.name}`",
    )
