"""The calls of ONE light, as the papers that used it show them, on a release."""

from __future__ import annotations

import builtins
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from one_bridge.light import fetch, places
from one_bridge.light.manifest import File, Manifest, matches
from pipeline.alf import parquet
from pipeline.errors import AmbiguousError, NotFoundError, UserError

SUBFOLDER = re.compile(r"(?:^|/)#([^#/]*)#(?=/)")


class ONE:
    """A release, searched and loaded; files are downloaded when they are first asked for, and checked.

    Parameters
    ----------
    address : of the release, see `set_url`.
    download_dir : where files are kept; by default `~/.neurojoint/releases/<name>`.
    """

    def __init__(self, address: str | Path | None = None, download_dir: str | Path | None = None) -> None:
        self._folder = None if download_dir is None else Path(download_dir).expanduser()
        self._place: places.Place | None = None
        self._manifest: Manifest | None = None
        self._default: set[str] | None = None
        if address is not None:
            self.set_url(address)

    def set_url(self, address: str | Path) -> None:
        """Choose the release: a web address, a folder, a zip, an article of figshare or a record of Zenodo."""
        self._place = places.open_place(address)
        self._manifest, self._default = places.read_manifest(self._place, address), None

    set_figshare_url = set_url

    def set_download_dir(self, folder: str | Path) -> None:
        """Choose where files are kept."""
        self._folder = Path(folder).expanduser()

    @property
    def download_dir(self) -> Path:
        """Where files are kept."""
        return self._folder or Path("~/.neurojoint/releases").expanduser() / self._release.name

    def search(
        self,
        dataset_types: Sequence[str] | str = (),
        lab: str | None = None,
        subject: str | None = None,
        date: str | None = None,
        number: int | str | None = None,
    ) -> builtins.list[str]:
        """The sessions that have all these datasets, as paths lab/Subjects/subject/date/number.

        Parameters
        ----------
        dataset_types : dataset types, objects or patterns, e.g. `trials`, `spikes.times`.
        lab, subject, date, number : of the session.
        """
        wanted = [dataset_types] if isinstance(dataset_types, str) else list(dataset_types)
        have: dict[str, list[str]] = {}
        for item in self._release.choose(lab=lab, subject=subject, date=date):
            have.setdefault(item.session, []).append(item.rel_path)
        return [
            session
            for session, paths in sorted(have.items())
            if (number is None or int(session.rpartition("/")[2]) == int(number))
            and all(any(matches(path, what) for path in paths) for what in wanted)
        ]

    def list(self, session: str) -> builtins.list[str]:
        """The files of a session, below its folder."""
        return sorted(file.rel_path for file in self._files(session))

    def load_dataset(self, session: str, dataset_type: str, download_only: bool = False) -> Any:
        """What one dataset holds, or, with `download_only`, its file.

        Raises
        ------
        NotFoundError : the session has no such dataset.
        AmbiguousError : it has several.
        """
        from one.alf.io import load_file_content

        files = self._chosen(session, dataset_type)
        if len(files) > 1:
            raise AmbiguousError(
                f"{session} has {len(files)} datasets {dataset_type}",
                f"name one: {', '.join(item.rel_path for item in files)}",
            )
        (path,) = self._download(files)
        return path if download_only else load_file_content(path)

    def load_object(self, session: str, obj: str, download_only: bool = False) -> Any:
        """All attributes of an object, or, with `download_only`, their files.

        Parameters
        ----------
        obj : e.g. `trials`; with a folder where several have it, e.g. `alf/probe00/spikes`.

        Raises
        ------
        NotFoundError : the session has no such object.
        AmbiguousError : several folders have it.
        """
        import one.alf.io as alf_io

        folder, _, name = obj.rpartition("/")
        files = self._chosen(session, f"{folder}/*" if folder else name)
        files = [item for item in files if matches(item.rel_path.rpartition("/")[2], name)]
        collections = sorted({_collection(item) for item in files})
        if len(collections) > 1:
            raise AmbiguousError(
                f"{session} has {name} in {', '.join(collections)}", f"ask for {collections[0]}/{name}"
            )
        if not files:
            raise NotFoundError(f"{session} has no {obj}", f"it has {', '.join(self.list(session)[:10])}")
        paths = self._download(files)
        return paths if download_only else alf_io.load_object(paths)

    @property
    def _release(self) -> Manifest:
        if self._manifest is None:
            raise UserError("no release is chosen", "call set_url(address) first")
        return self._manifest

    def _files(self, session: str) -> builtins.list[File]:
        files = self._release.choose(session=str(session))
        if not files:
            raise NotFoundError(f"the release has no session {session}", "search() lists them")
        return files

    def _chosen(self, session: str, pattern: str) -> builtins.list[File]:
        """The default versions of datasets."""
        files = [file for file in self._files(session) if matches(file.rel_path, pattern)]
        defaults = self._defaults()
        files = [item for item in files if item.dataset in defaults] or files
        if not files:
            raise NotFoundError(f"{session} has no {pattern}", f"it has {', '.join(self.list(session)[:10])}")
        return files

    def _defaults(self) -> set[str]:
        if self._default is None:
            assert self._place is not None  # noqa: S101 - a release is chosen
            tables = self.download_dir / ".release"
            name = fetch.TABLES[1]
            if not (tables / name).exists():
                fetch.bring(self._place, name, tables / name, self._release.others[name])
            rows = parquet.read(tables / name, ["id", "default_revision"])
            pairs = zip(rows["id"].to_pylist(), rows["default_revision"].to_pylist(), strict=True)
            self._default = {identifier for identifier, default in pairs if default}
        return self._default

    def _download(self, files: Iterable[File]) -> builtins.list[Path]:
        assert self._place is not None  # noqa: S101 - a release is chosen
        chosen = list(files)
        fetch.fetch(self._place, self._release, chosen, self.download_dir)
        return [self.download_dir / item.path for item in chosen]


def _collection(file: File) -> str:
    """Folder below the session, without a revision.

    >>> _collection(File("l/Subjects/m/2020-01-01/001/alf/#a#/x.y.npy", 0, "", "", "", ""))
    'alf'
    """
    return SUBFOLDER.sub("", f"{file.rel_path.rpartition('/')[0]}/").strip("/")
