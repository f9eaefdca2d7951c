"""What is looked at before an NWB file is read: that it is whole, of a known version, and stays within itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py

from pipeline.errors import InvalidData

GIBIBYTE = 1 << 30
LARGEST_RATIO = 200
"""How many times larger than its bytes on the disk a dataset beyond a gibibyte may claim to be."""
LARGEST_CHUNK = GIBIBYTE
MOST_OBJECTS = 500_000
DEEPEST = 64
MOST_REFERENCES = 100_000


def check(path: Path) -> str:
    """Refuse a file that cannot be read safely; returns its version of NWB.

    Raises
    ------
    InvalidData : no HDF5 file, cut short, no NWB file, another major version of NWB, links or data outside of the
        file, a dataset that claims far more than it holds, references that lead nowhere.
    """
    if not path.exists():
        raise _refuse(path, "vanished", "the file does not exist", "check the path")
    if path.is_dir():
        if not (path / ".zgroup").is_file():
            raise _refuse(path, "unreadable_file", "a folder, and no Zarr store", "give NWB files")
        return "2"
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        text = str(error)
        if "truncated" in text or "eof" in text.lower() or "addr overflow" in text:
            raise _refuse(path, "truncated", "the file is cut short", "copy it again from where it came from") from None
        if path.stat().st_size == 0:
            raise _refuse(path, "empty_file", "0 bytes", "copy it again from where it came from") from None
        raise _refuse(path, "unreadable_file", "it is not an HDF5 file", "give NWB files (.nwb)") from None
    with file:
        try:
            version = _version(path, file)
            for name, thing in _walk(path, file):
                if isinstance(thing, h5py.Dataset):
                    _check_dataset(path, name, thing)
                _check_references(path, file, name, thing)
        except (OSError, RuntimeError, KeyError) as error:
            raise _refuse(
                path, "unreadable_file", f"it is damaged ({_short(error)})", "copy it again from where it came from"
            ) from error
    return version


def _version(path: Path, file: h5py.File) -> str:
    version = file.attrs.get("nwb_version")
    if version is None and "nwb_version" in file:
        version = file["nwb_version"][()]  # as NWB 1 has it
    version = version.decode(errors="replace") if isinstance(version, bytes) else str(version or "")
    if not version:
        raise _refuse(path, "unreadable_file", "an HDF5 file that states no version of NWB", "give NWB files")
    major = version.upper().removeprefix("NWB-").split(".")[0]
    if major != "2":
        raise _refuse(
            path, "unreadable_file", f"it is NWB {version[:32]}; only version 2 is read",
            "convert it to NWB 2 with the tools of the lab that made it",
        )  # fmt: skip
    return version


def _walk(path: Path, file: h5py.File) -> Iterator[tuple[str, Any]]:
    """All groups and datasets, each once, with hard links only; a link that leaves the file is refused."""
    seen: set[Any] = set()
    open_groups: list[tuple[str, h5py.Group, int]] = [("", file, 0)]
    count = 0
    yield "/", file
    while open_groups:
        place, group, depth = open_groups.pop()
        if depth > DEEPEST:
            raise _refuse(path, "unreadable_file", f"groups are nested deeper than {DEEPEST}: {place[:80]}", "mend it")
        for name in group:
            where = f"{place}/{name}"
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                raise _refuse(
                    path, "symlink_outside", f"{where} is a link to another file, {link.filename[:120]}",
                    "copy what it points to into the file (h5repack, or pynwb's export)",
                )  # fmt: skip
            if isinstance(link, h5py.SoftLink):
                if group.get(name) is None:
                    raise _refuse(
                        path,
                        "unreadable_file",
                        f"{where} is a link to {link.path[:120]}, which is not there",
                        "mend it",
                    )
                continue
            thing = group[name]
            identity = h5py.h5o.get_info(thing.id)
            if (identity.fileno, identity.addr) in seen:
                continue
            seen.add((identity.fileno, identity.addr))
            count += 1
            if count > MOST_OBJECTS:
                raise _refuse(path, "unreadable_file", f"more than {MOST_OBJECTS} objects", "split the file")
            if isinstance(thing, h5py.Group):
                open_groups.append((where, thing, depth + 1))
            yield where, thing


def _check_dataset(path: Path, name: str, dataset: h5py.Dataset) -> None:
    if dataset.is_virtual or dataset.external:
        raise _refuse(
            path, "symlink_outside", f"the values of {name} lie in another file",
            "copy them into the file (h5repack, or pynwb's export)",
        )  # fmt: skip
    size = dataset.size * dataset.dtype.itemsize if dataset.size else 0
    chunk = dataset.dtype.itemsize
    for length in dataset.chunks or ():
        chunk *= length
    stored = dataset.id.get_storage_size()
    if (size > GIBIBYTE and size > LARGEST_RATIO * stored) or (dataset.chunks and chunk > LARGEST_CHUNK):
        raise _refuse(
            path, "unreadable_file",
            f"{name} claims {size / GIBIBYTE:.1f} GiB and holds {stored / (1 << 20):.1f} MiB",
            "write it without the padding, or leave it out",
        )  # fmt: skip


def _check_references(path: Path, file: h5py.File, name: str, thing: Any) -> None:
    """That object references lead somewhere."""
    attributes = [(f"{name}@{key}", thing.attrs.get(key)) for key in thing.attrs if _is_reference(thing, key)]
    references: list[tuple[str, Any]] = [(where, one) for where, one in attributes if isinstance(one, h5py.Reference)]
    if isinstance(thing, h5py.Dataset) and h5py.check_ref_dtype(thing.dtype) is h5py.Reference:
        values = thing[:MOST_REFERENCES].ravel() if thing.shape else [thing[()]]
        references += [(name, value) for value in values]
    for where, reference in references:
        try:
            there = bool(reference) and file[reference].name is not None  # what was unlinked has no name
        except (ValueError, KeyError, OSError, RuntimeError):
            there = False
        if not there:
            raise _refuse(path, "unreadable_file", f"{where} refers to an object that is not there", "mend it")


def _is_reference(thing: Any, key: str) -> bool:
    kind = thing.attrs.get_id(key).dtype
    return h5py.check_ref_dtype(kind) is not None


def _refuse(path: Path, reason: str, detail: str, remedy: str) -> InvalidData:
    return InvalidData(str(path), reason, detail, remedy)


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:160]
