"""The Allen mouse brain atlas as a tree: structures, what lies within what, and the coarser Beryl and Cosmos names.

The table `allen_regions.csv` is read when it is first asked for. No volumes: what is at a place is for `iblatlas`.
"""

from __future__ import annotations

import csv
import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np

from pipeline.errors import NotFoundError

__all__ = ["VERSION", "Regions", "region_ids", "region_ids_named", "regions", "unsigned"]

VERSION = "Allen CCF 2017, as in iblatlas 1.3"
"""Changes with the table, so that databases take over the new one."""

_TABLE = Path(__file__).with_name("allen_regions.csv")


@dataclass(frozen=True)
class Regions:
    """The structures, in the order of the tree (from parents to children).

    Attributes
    ----------
    ids : (n,) int64, as the Allen Institute numbers them
    acronyms, names : of length n
    parents : (n,) int64; 0 for the root
    depths : (n,) int16 steps from the root
    orders : (n,) int16 place in the order of the tree
    colors : of length n, e.g. `#70ff71`
    beryl, cosmos : (n,) int64 ids of the structures that stand for them in the coarser parcellations
    """

    ids: np.ndarray
    acronyms: tuple[str, ...]
    names: tuple[str, ...]
    parents: np.ndarray
    depths: np.ndarray
    orders: np.ndarray
    colors: tuple[str, ...]
    beryl: np.ndarray
    cosmos: np.ndarray

    @cached_property
    def index(self) -> dict[int, int]:
        """Id -> row."""
        return {one: row for row, one in enumerate(self.ids.tolist())}

    @cached_property
    def by_acronym(self) -> dict[str, int]:
        """Acronym -> id; upper and lower case differ."""
        return dict(zip(self.acronyms, self.ids.tolist(), strict=True))

    @cached_property
    def closure(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Every pair of a structure and one that it lies within: its id, the larger one's id, the steps between them.

        Each structure lies within itself, at 0 steps. Sorted by the order of the first.
        """
        above: dict[int, list[int]] = {0: []}
        for one, parent in zip(self.ids.tolist(), self.parents.tolist(), strict=True):
            above[one] = [one, *above[parent]]
        pairs = [(value, other, steps) for value in self.ids.tolist() for steps, other in enumerate(above[value])]
        closure = np.array(pairs, np.int64)
        return closure[:, 0], closure[:, 1], closure[:, 2].astype(np.int16)

    def descendants(self, ids: Iterable[int]) -> np.ndarray:
        """Ids of these structures and all within them, in the order of the tree.

        >>> regions().descendants([549]).size  # the thalamus
        74
        """
        within, larger, _ = self.closure
        return self.ids[np.isin(self.ids, within[np.isin(larger, list(ids))])]

    def ancestors(self, ids: Iterable[int]) -> np.ndarray:
        """Ids of these structures and all that they lie within, in the order of the tree."""
        within, larger, _ = self.closure
        return self.ids[np.isin(self.ids, larger[np.isin(within, list(ids))])]

    def known(self, ids: np.ndarray) -> np.ndarray:
        """Which of some ids are structures, as bool of the same shape."""
        return np.isin(ids, self.ids)


@cache
def regions() -> Regions:
    """All structures.

    >>> len(regions().ids), regions().acronyms[:3]
    (1327, ('root', 'grey', 'CH'))
    """
    with _TABLE.open(newline="", encoding="utf-8") as file:
        columns = dict(zip(next(rows := csv.reader(file)), zip(*rows, strict=True), strict=True))

    def numbers(name: str, kind: type = np.int64) -> np.ndarray:
        return np.array([int(item or 0) for item in columns[name]], kind)

    return Regions(
        numbers("id"), columns["acronym"], columns["name"], numbers("parent"), numbers("depth", np.int16),
        numbers("order", np.int16), columns["color"], numbers("beryl"), numbers("cosmos"),
    )  # fmt: skip


def region_ids(wanted: str | int | Iterable[str | int], descendants: bool = True) -> list[int]:
    """Ids of structures, and of all that lies within them.

    Parameters
    ----------
    wanted : acronyms (upper and lower case differ) or ids, one or several; several may stand in one text, separated
        by commas.
    descendants : with all that lies within them.

    Returns
    -------
    The ids, each once, in the order of the tree.

    Raises
    ------
    NotFoundError : the atlas has no such structure; the message names those that are written nearly so.

    Examples
    --------
    >>> region_ids("CA1", descendants=False), region_ids(["CM", "cm"], descendants=False)
    ([382], [599, 967])
    >>> region_ids("VISp")
    [385, 593, 821, 721, 778, 33, 305]
    >>> region_ids("VISpp")
    Traceback (most recent call last):
    pipeline.errors.NotFoundError: the atlas has no region VISpp: did you mean VISp, VISpm or VISpl?
    """
    tree = regions()
    chosen = [_one(str(part).strip(), tree) for item in _listed(wanted) for part in str(item).split(",")]
    if descendants:
        return tree.descendants(chosen).tolist()
    return sorted(set(chosen), key=tree.index.__getitem__)


def region_ids_named(text: str) -> list[int]:
    """Ids of the structures whose full name contains a text in upper or lower case, and of all within them.

    >>> region_ids_named("trochlear NUCLEUS"), region_ids_named("no such thing")
    ([115, 606826663], [])
    """
    tree = regions()
    low = text.strip().lower()
    ids = [one for one, name in zip(tree.ids.tolist(), tree.names, strict=True) if low and low in name.lower()]
    return tree.descendants(ids).tolist()


def unsigned(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ids without the sign by which `iblatlas` says that a place is in the left hemisphere.

    Returns
    -------
    The absolute ids, and -1 where the sign says left, 0 where it says nothing (plain ids do not tell the side).

    >>> [part.tolist() for part in unsigned(np.array([-733, 733, 0]))]
    [[733, 733, 0], [-1, 0, 0]]
    """
    ids = np.asarray(ids)
    return np.abs(ids), np.where(ids < 0, -1, 0).astype(np.int8)


def count_regions(ids: np.ndarray) -> tuple[dict[int, int], int, list[int]]:
    """How often each structure is among the places of pixels or cells.

    Parameters
    ----------
    ids : array of int, of any shape
        Of the structures, with or without the sign of the hemisphere; 0 outside of the brain.

    Returns
    -------
    counts : dict
        Id of a structure -> number of places in it.
    n_outside : int
        Places outside of the brain.
    unknown : list of int
        Ids that the atlas does not have.

    Examples
    --------
    >>> count_regions(np.array([[385, -385], [0, 123456789]]))
    ({385: 2}, 1, [123456789])
    """
    values, numbers = np.unique(unsigned(ids)[0], return_counts=True)
    known = regions().known(values)
    counts = dict(zip(values[known].tolist(), numbers[known].tolist(), strict=True))
    return counts, int(numbers[values == 0].sum()), values[~known & (values != 0)].tolist()


def _listed(wanted: str | int | Iterable[str | int]) -> Iterable[str | int]:
    return [wanted] if isinstance(wanted, str | int | np.integer) else wanted


def _one(text: str, tree: Regions) -> int:
    region_id = tree.by_acronym.get(text)
    if region_id is not None:
        return region_id
    if text.lstrip("-").isdecimal() and abs(int(text)) in tree.index:
        return abs(int(text))
    raise NotFoundError(f"the atlas has no region {text}", _near(text, tree))


def _near(text: str, tree: Regions) -> str:
    low = text.lower()
    near = [acronym for acronym in tree.acronyms if acronym.lower() == low]
    near += [one for one, name in zip(tree.acronyms, tree.names, strict=True) if low == name.lower()]
    near += [
        get_close_match
        for get_close_match in difflib.get_close_matches(text, tree.acronyms, 3, 0.7)
        if get_close_match not in near
    ]
    if not near:
        near = [one for one, name in zip(tree.acronyms, tree.names, strict=True) if low and low in name.lower()][:3]
    if not near:
        return "acronyms are those of the Allen atlas, e.g. TH, CA1, VISp (upper and lower case differ)"
    near = near[:3]
    return f"did you mean {', '.join(near[:-1])}{' or ' if len(near) > 1 else ''}{near[-1]}?"
