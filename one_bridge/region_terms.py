"""What lies in brain regions: search terms by acronym, id or part of the name in the Allen atlas."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import datajoint as dj

from one_bridge.matching import InvalidQuery, Reading, Term, one_of, values_of
from pipeline import atlas
from pipeline.database.registry import bind
from pipeline.errors import NeurojointError


def terms_by_region(place: Callable[[list[int]], Any]) -> dict[str, Term]:
    """Terms for what lies in brain regions, or anything within them, by acronym, id or part of the name in the Allen
    atlas; `place` restricts to such regions.
    """

    def term(ids: Callable[[list[Any]], list[int]]) -> Term:
        def restrictions(value: Any, reading: Reading, _: Any) -> Iterable[Any]:
            try:
                regions = ids(values_of(value, reading))
            except NeurojointError as error:
                raise InvalidQuery(error.message, error.remedy) from None
            return [place(regions) if regions else []]

        return restrictions

    return {
        "atlas_acronym": term(lambda values: atlas.region_ids(map(str, values))),
        "atlas_id": term(_numbered),
        "atlas_name": term(lambda values: [item for text in values for item in atlas.region_ids_named(str(text))]),
    }


def _numbered(values: list[Any]) -> list[int]:
    if not all(re.fullmatch(r"-?\d{1,18}", str(item).strip(), re.ASCII) for item in values):
        raise InvalidQuery(f"{values!r} are no ids of brain regions", "ids are those of the Allen atlas, e.g. 549")
    return atlas.region_ids(map(str, values))


def insertions_with_channels(regions: list[int]) -> list[dj.expression.QueryExpression]:
    """Insertions with a channel in a region, as files or a program state it."""
    stated = bind("histology").AlignedChannel & one_of("region_id", regions)
    from pipeline.queries.search import insertions_in  # start-up time

    choices = [insertions_in(regions)]
    return [*choices, stated.proj()] if stated else choices


def sessions_in(regions: list[int]) -> list[dj.expression.QueryExpression]:
    """Sessions with an insertion or a field of view in a region."""
    fields = fields_in(regions)
    return [*insertions_with_channels(regions), *([fields] if fields else [])]


def fields_in(regions: list[int]) -> dj.expression.QueryExpression:
    """Fields of view in a region."""
    return bind("imaging").located_in(regions).proj()
