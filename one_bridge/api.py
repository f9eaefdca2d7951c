"""The client's class `One`, answered from the tables: `from one_bridge import ONE; one = ONE()`."""

from __future__ import annotations

import datetime
import logging
import warnings
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import datajoint as dj
import numpy as np
import one.alf.exceptions as alferr
import pandas as pd
from iblutil.util import Bunch
from one import util
from one.alf.path import ALFPath, get_session_path, rel_path_parts
from one.alf.spec import QC, is_session_path, is_uuid_string
from one.api import ONE as ClientONE
from one.api import One
from one.converters import recurse

from one_bridge import file_locations, frames, query, sessions_in_memory
from one_bridge.aggregates import Aggregates
from one_bridge.deprecated import OldCalls
from one_bridge.descriptions import Descriptions
from one_bridge.loading import Loading
from one_bridge.matching import by_ids, vocabulary
from one_bridge.sessions_in_memory import SessionsInMemory
from one_bridge.tables import Tables, can_be_unwrapped, join_database, uuids
from one_bridge.unchanged import Unchanged, question
from pipeline.errors import NeurojointError, NotFoundError
from pipeline.schemas import acquisition, data

if TYPE_CHECKING:
    from one_bridge.local_alyx import LocalAlyx

logger = logging.getLogger(__name__)

_MORE_TERMS = ("dataset", "dataset_types", "tag", "users", "location", "procedures", "qc", "type", "performance_gte",
               "performance_lte", "atlas_acronym", "atlas_id", "atlas_name")  # fmt: skip


_OF_THE_CLIENT = {"base_url", "username", "password", "token", "cache_rest", "tables_dir"}


class ONE(OldCalls, Descriptions, Aggregates, Tables, Loading):
    """Search and load data as with `one.api.One`; the answers come from the database, the data from where they lie.

    Parameters
    ----------
    cache_dir : a folder that mirrors the data repositories and is looked in first; by default files are read from the
        repositories' own folders.
    wildcards : text in filters of datasets is a shell pattern; otherwise a regular expression.
    mode : `local` or `remote`, as the client's; both are answered by the database.
    silent : nothing is asked for here; the client has this argument.

    With `base_url` (or a user name, password or token) this is `one.api.ONE`: the plain client of that server; with
    `tables_dir` that of those cache tables.

    Raises
    ------
    NeurojointError : the database cannot be reached or has no tables; it is joined here, and nothing is loaded.
    ValueError : no such mode.
    """

    version = ClientONE.version

    def __new__(cls, *args: Any, **options: Any) -> Any:
        if _OF_THE_CLIENT & options.keys():
            return ClientONE(*args, **options)
        return super().__new__(cls)

    @staticmethod
    def cache_clear() -> None:
        """Forget the client that `ONE(base_url=…)` made last, as `one.api.ONE.cache_clear` does."""
        ClientONE.cache_clear()

    @staticmethod
    def setup(*args: Any, **options: Any) -> Any:
        """As `one.api.ONE.setup` for a server (`base_url`), as `one.api.One.setup` for a folder (`cache_dir`)."""
        return ClientONE.setup(**options) if "base_url" in options else One.setup(*args, **options)

    def __init__(
        self, cache_dir: str | Path | None = None, wildcards: bool = True, mode: str = "local", silent: bool = True
    ) -> None:
        if mode not in ("local", "remote"):
            raise ValueError(f"Mode {mode!r} not recognized")
        join_database()
        self.tag: str | None = None
        self._mirror = None if cache_dir is None else Path(cache_dir)
        roots = file_locations.local_roots()
        # In its local mode the parent would load tables from files.
        super().__init__(self._mirror or next(iter(roots.values()), None) or Path.cwd(), "remote", wildcards)
        self.mode = "local"

    def __repr__(self) -> str:
        return f"ONE (tables, {self.cache_dir})"

    @cached_property
    def alyx(self) -> LocalAlyx:
        """Lists and records of the REST interface, e.g. `one.alyx.rest("sessions", "list", subject="KS014")`."""
        from one_bridge.local_alyx import LocalAlyx  # start-up time

        return LocalAlyx(acquisition.Session().connection)

    @cached_property
    def _unchanged(self) -> Unchanged:
        return Unchanged(acquisition.Session().connection)

    # --- searching

    def search_terms(self, query_type: str | None = None, endpoint: str | None = None) -> tuple[str, ...]:
        """The terms of `search`; with endpoint `insertions`, those of `search_insertions`."""
        terms = (*self._search_terms, *_MORE_TERMS)
        return tuple(dict.fromkeys((*terms, *query.INSERTION_TERMS))) if endpoint == "insertions" else terms

    def search(self, details: bool = False, query_type: str | None = None, **kwargs: Any) -> Any:
        """Sessions that match all terms, newest first: as `One.search`, and with the terms of `search_terms()`.

        Returns
        -------
        list of eids; with `details` also a list of records (None where there is no session).

        Raises
        ------
        ValueError : unknown or ambiguous term, or a value that it cannot have.
        """
        django, limit = kwargs.pop("django", None), kwargs.pop("limit", None)
        terms = {self._full_term(name, _MORE_TERMS): value for name, value in kwargs.items()}
        if not details:
            asked = question("search", terms, django, self._reading.style, self._reading.wildcards, self.tag)
            return self._found(asked, terms, django)[:limit]
        rows = query.session_rows(self._sessions(terms, django)).slice(0, limit)
        if not rows.num_rows:
            return [], None
        return uuids(rows["eid"].to_pylist()), list(map(Bunch, rows.drop_columns("eid").to_pylist()))

    def _found(self, asked: Any, terms: dict[str, Any], django: Any) -> list[UUID]:
        def from_database() -> list[UUID]:
            return uuids(query.eids(self._sessions(terms, django)))

        if django or self.tag is not None or not terms.keys() <= sessions_in_memory.TERMS:
            return self._unchanged.get(asked, from_database)
        return self._unchanged.get_from(
            asked, lambda: SessionsInMemory(uuids), lambda held: held.search(terms, self._reading), from_database
        )

    def _sessions(self, terms: dict[str, Any], django: Any) -> Any:
        sessions = query.sessions(terms, self._reading)
        return self.alyx.restrict("sessions", sessions, django) if django else sessions

    def search_insertions(self, details: bool = False, query_type: str | None = None, **kwargs: Any) -> Any:
        """Probe insertions that match all terms: name, model, serial, dataset (part of a file name), session, and the
        terms of `search`, which the session must match.

        Returns
        -------
        list of pids; with `details` also a list of records (None where there is no insertion).
        """
        django, limit = kwargs.pop("django", None), kwargs.pop("limit", None)
        own = dict.fromkeys((*query.INSERTION_TERMS, *_MORE_TERMS, "session"))
        terms = {self._full_term(name, own): value for name, value in kwargs.items()}
        insertions = query.insertions(terms, self._reading)
        if django:
            insertions = self.alyx.restrict("insertions", insertions, django)
        rows = self._insertions(insertions)
        if not rows.num_rows:
            return ([], None) if details else []
        down = [(name, "descending") for name in ("date", "subject", "number", "name")]
        rows = rows.sort_by([*down, ("id", "ascending")])
        rows = rows.slice(0, limit)
        pids = uuids(rows["id"].to_pylist())
        return (pids, list(map(Bunch, rows.to_pylist()))) if details else pids

    def list_subjects(self) -> list[str]:
        """The subjects that have sessions, sorted."""
        return vocabulary(query.sessions(reading=self._reading), "subject")

    # --- what a session has

    def list_datasets(
        self, eid=None, filename=None, collection=None, revision=None, qc=QC.FAIL, ignore_qc_not_set=False,
        details=False, query_type=None, default_revisions_only=False, keep_eid_index=False,
    ) -> Any:  # fmt: skip
        """As `One.list_datasets`."""
        filters = {
            "filename": filename, "collection": collection, "revision": revision, "qc": qc,
            "ignore_qc_not_set": ignore_qc_not_set, "wildcards": self.wildcards,
            "revision_last_before": False, "assert_unique": False,
        }  # fmt: skip
        wanted = {"default": True} if default_revisions_only else {}
        if not eid:
            paths = util.filter_datasets(self._paths(wanted), **filters)["rel_path"].unique().tolist()
            if not details:
                return paths
            selected = query.datasets(wanted, self._reading) & query.one_of("rel_path", paths)
            return util.filter_datasets(frames.frame("datasets", query.dataset_rows(selected)), **filters)
        eid = self.to_eid(eid)
        if not eid:
            return self._dataset_frame([])
        selected = query.datasets(wanted, self._reading) & (acquisition.Session() & by_ids("eid", [eid])).proj()
        if not details:
            asked = question("list_datasets", eid, filters | wanted, self.tag)
            if (paths := self._unchanged.get(asked, lambda: _filtered_paths(selected, filters))) is not None:
                return list(paths)
        rows = frames.frame("datasets", query.dataset_rows(selected))
        if rows.empty:
            return rows
        datasets = util.filter_datasets(rows.droplevel("eid"), **filters)
        return pd.concat({eid: datasets}, names=["eid"]) if keep_eid_index else datasets

    def list_collections(
        self, eid=None, filename=None, collection=None, revision=None, details=False, query_type=None
    ) -> Any:
        """As `One.list_collections`."""
        if eid or details:
            return super().list_collections(eid, filename, collection, revision, details, query_type)
        filters = {"filename": filename, "collection": collection, "revision": revision, "wildcards": self.wildcards}
        datasets = util.filter_datasets(self._paths({}), **filters, revision_last_before=False, assert_unique=False)
        return list(dict.fromkeys(rel_path_parts(path, assert_valid=False)[0] or "" for path in datasets["rel_path"]))

    def list_revisions(
        self, eid=None, filename=None, collection=None, revision=None, details=False, query_type=None
    ) -> Any:
        """As `One.list_revisions`."""
        if eid or details:
            return super().list_revisions(eid, filename, collection, revision, details, query_type)
        filters = {"filename": filename, "collection": collection, "revision": revision, "wildcards": self.wildcards}
        datasets = util.filter_datasets(self._paths({}), **filters, revision_last_before=False, assert_unique=False)
        names = (rel_path_parts(path, assert_valid=False)[1] or "" for path in datasets["rel_path"])
        return list(dict.fromkeys(name.strip("#") for name in names))

    def get_details(self, eid: Any, full: bool = False, query_type: str | None = None) -> Any:
        """The record of a session as a Series (with `full`, a frame of its datasets too); of a list, a list.

        Raises
        ------
        one.alf.exceptions.ALFObjectNotFound : no such session.
        """
        eid = self.to_eid(eid)
        if eid is None:
            raise ValueError("Cannot parse session ID (session may not exist)")
        if isinstance(eid, list | tuple | util.LazyId):
            return [self.get_details(item, full) for item in eid]
        frame = self._session_frame([eid])
        if frame.empty:
            raise alferr.ALFObjectNotFound(eid)
        if not full:
            return frame.iloc[0]
        own = query.datasets(reading=self._reading) & (acquisition.Session() & by_ids("eid", [eid])).proj()
        joined = frames.frame("datasets", query.dataset_rows(own)).join(frame, on="eid", how="right")
        if "eid" in joined:  # what pandas makes of a session without datasets
            index = pd.MultiIndex.from_arrays([[eid], pd.Index([np.nan], dtype=object)], names=["eid", "id"])
            joined = joined.drop(columns="eid").set_index(index)
        return joined

    # --- from one identifier to another

    @can_be_unwrapped
    def eid2path(self, eid: Any, query_type: str | None = None) -> Any:
        """The folder of a session, where its files lie; None for an unknown session. Of a list, a list."""
        if isinstance(eid, list | tuple | util.LazyId | np.ndarray | pd.Series):
            return self._session_paths(list(eid))
        return self._session_paths([eid])[0]

    @recurse
    def path2eid(self, path_obj: Any, query_type: str | None = None) -> UUID | None:
        """The session that a path lies in; None where there is none. Of a list, a list."""
        folder = get_session_path(path_obj)
        if folder is None:
            return None
        named = dict(zip(("subject", "session_date", "session_number"), folder.parts[-3:], strict=True))
        named["session_date"] = datetime.date.fromisoformat(named["session_date"])
        named["session_number"] = int(named["session_number"])
        rows = (query.sessions(reading=self._reading) & named).proj("eid").to_dicts()
        if len(rows) > 1 and folder.parts[-4:-3] == ("Subjects",):
            rows = [row for row in rows if row["lab"] == folder.parts[-5]]
        if len(rows) > 1:
            raise alferr.ALFMultipleObjectsFound(*[row["lab"] for row in rows])
        return UUID(rows[0]["eid"]) if rows else None

    def path2url(self, filepath: Any, query_type: str | None = None) -> Any:
        """Not here, as `record2url`.

        Raises
        ------
        NeurojointError : always.
        """
        return self.record2url(filepath)

    def record2url(self, record: Any) -> Any:
        """Not here: addresses are those of a server.

        Raises
        ------
        NeurojointError : always.
        """
        raise NeurojointError("this class reads the tables and has no server", "use one.api.ONE(base_url=…) for urls")

    @recurse
    def path2record(self, path: Any) -> pd.Series | None:
        """The record of the session or dataset at a path; None where there is none. Of a list, a list."""
        path = ALFPath(path)
        if is_session_path(path):
            eid = self.path2eid(path)
            return None if eid is None else self.get_details(eid)
        if is_uuid_string(given := path.stem.split(".")[-1]):
            frame = self._dataset_frame([given])
            return None if frame.empty else frame.iloc[0]
        eid = self.path2eid(path)
        if eid is None:
            return None
        frame = self.list_datasets(eid, qc=QC.CRITICAL, details=True, keep_eid_index=True)
        frame = frame[frame["rel_path"] == path.relative_to_session().as_posix()]
        return None if frame.empty else frame.iloc[0]

    def eid2pid(self, eid: Any, query_type: str | None = None, details: bool = False, **kwargs: Any) -> Any:
        """The probe insertions of a session: pids and labels, and records with `details`; None where there are none."""
        eid = self.to_eid(eid)
        rows = None
        if eid:
            terms = {"session": str(eid), **kwargs}
            rows = self._insertions(query.insertions(terms, self._reading)).sort_by("name")
        if not rows or not rows.num_rows:
            return (None,) * (3 if details else 2)
        pids, names = uuids(rows["id"].to_pylist()), rows["name"].to_pylist()
        return (pids, names, rows.to_pylist()) if details else (pids, names)

    def pid2eid(self, pid: Any, query_type: str | None = None) -> tuple[UUID | None, str | None]:
        """The session and the label of a probe insertion; (None, None) where there is none."""
        rows = query.insertion_rows(query.insertions({"pid": pid}, self._reading)).to_pylist()
        return (UUID(rows[0]["eid"]), rows[0]["name"]) if rows else (None, None)

    # --- the parent's tables, and sets of datasets

    def load_cache(self, tables_dir=None, clobber=False, tag: str | None = None) -> datetime.datetime:
        """From now on see only the datasets of a tag, and their sessions; without one, what is seen stays.

        Raises
        ------
        NeurojointError : no such tag, or a folder of tables, which `one.api.One(tables_dir=…)` reads.
        """
        if tables_dir is not None:
            raise NeurojointError(
                "this class reads the database, not files of tables", "use one.api.One(tables_dir=…) for those"
            )
        if tag is not None and not (data.Tag() & {"tag": tag}):
            known = ", ".join(vocabulary(data.Tag, "tag")) or "none"
            raise NotFoundError(f"there is no tag {tag!r}", f"tags are: {known}")
        self.tag = tag or self.tag
        self._cache["_meta"]["loaded_time"] = now = datetime.datetime.now()
        return now

    def save_cache(self, save_dir: str | Path | None = None, clobber: bool = False) -> None:
        """Write the client's cache tables to a folder; without one nothing is done, for nothing is held here."""
        if save_dir is not None:
            from one_bridge import cache  # start-up time

            cache.export(save_dir, self.tag)

    def save_loaded_ids(self, sessions_only: bool = False, clear_list: bool = True) -> tuple[Any, Path | None]:
        """As `One.save_loaded_ids`; the file is written to the current folder."""
        cache: Any = self._cache
        if cache.get("_loaded_datasets", np.array([])).size == 0:
            warnings.warn('No datasets loaded; check "record_datasets" attribute is True', stacklevel=2)
            return [], None
        name, ids = "dataset_uuid", self._cache["_loaded_datasets"]
        if sessions_only:
            name, ids = "session_uuid", self._dataset_frame(ids).index.unique("eid").values
        file = Path.cwd() / f"{datetime.datetime.now():%Y-%m-%dT%H-%M-%S}_loaded_{name}s.csv"
        pd.DataFrame(ids, columns=[name]).to_csv(file, index=False)
        if clear_list:
            cache["_loaded_datasets"] = np.array([])
        return ids, file


def _filtered_paths(datasets: dj.Table, filters: Mapping[str, Any]) -> list[str] | None:
    """The paths of the datasets of a session that pass the client's filters, sorted; None if it has no datasets."""
    paths = frames.paths(query.fetch_columns(datasets, "rel_path", "dataset_qc"))
    return sorted(util.filter_datasets(paths, **filters)["rel_path"]) if len(paths) else None
