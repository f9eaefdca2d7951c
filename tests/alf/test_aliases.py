"""Protects the names of other layouts: the same trials give the same columns under any of them, or say why not."""

import io

import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.alf import aliases, columns
from pipeline.alf.objects import assemble

N = 7
CHANCE = np.random.default_rng(3)
TRUTH = {
    "intervals": np.column_stack([np.arange(N) * 5.0, np.arange(N) * 5.0 + 4]),
    "stimOn_times": np.arange(N) * 5.0 + 1,
    "goCue_times": np.arange(N) * 5.0 + 1.2,
    "response_times": np.arange(N) * 5.0 + 2,
    "feedback_times": np.arange(N) * 5.0 + 2.1,
    "choice": CHANCE.choice([-1.0, 0.0, 1.0], N),
    "feedbackType": CHANCE.choice([-1.0, 1.0], N),
    "contrastLeft": CHANCE.choice([0, 0.25, 1], N),
    "contrastRight": CHANCE.choice([0, 0.5, 1], N),
    "included": np.ones(N, bool),
    "repNum": np.ones(N),
}
"""Attribute of the convention -> values."""


def npy(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


def names_in(layout: str) -> dict[str, aliases.Alias]:
    """Attribute of trials -> how a layout names it."""
    return {a.becomes[1]: a for a in aliases.ALIASES if a.layout == layout and a.becomes[0] == "trials"}


def as_plain(files: dict[str, bytes]) -> dict[str, list]:
    assembled = assemble("trials", files)
    assert not assembled.refusals, assembled.refusals
    return {name: values.tolist() for name, values in assembled.values.items()}


EXPECTED = as_plain({f"alf/trials.{name}.npy": npy(values) for name, values in TRUTH.items()})
FORMS = st.sampled_from(["npy", "column", "csv", "mat"])


def written(values: np.ndarray, form: str, attribute: str) -> tuple[str, bytes]:
    if form == "csv" and values.ndim == 1:
        lines = [attribute, *("" if np.isnan(value) else repr(float(value)) for value in values)]
        return "csv", "\n".join([*lines, ""]).encode()
    if form == "mat":
        buffer = io.BytesIO()
        scipy.io.savemat(buffer, {attribute: values if values.ndim == 2 else values[:, None]})
        return "mat", buffer.getvalue()
    return "npy", npy(values[:, None] if form == "column" and values.ndim == 1 else values)


@pytest.mark.slow
@given(
    layout=st.sampled_from([aliases.STEINMETZ, aliases.SIGNALS, ""]),
    namespace=st.sampled_from(["", "_ns_", "_ibl_"]),
    forms=st.lists(FORMS, min_size=len(TRUTH), max_size=len(TRUTH)),
)
@settings(deadline=None, max_examples=60)
def test_the_same_trials_under_any_layout_and_format_give_the_same_columns(layout, namespace, forms):
    names, files = names_in(layout), {}
    for (attribute, values), form in zip(TRUTH.items(), forms, strict=True):
        alf_object, name = "trials", attribute
        if alias := names.get(attribute):
            alf_object, name = alias.alf_object, alias.attribute
            if alias.codes:
                codes = {means: code for code, means in alias.codes.items()}
                values = np.array([codes[value] for value in values])
        extension, content = written(values, form, name)
        files[f"alf/{namespace}{alf_object}.{name}.{extension}"] = content
    assert as_plain(files) == EXPECTED


@given(st.sampled_from(["snake", "spaced", "camel", "upper"]), st.sampled_from(["csv", "tsv", "mat"]))
@settings(deadline=None)
def test_a_table_with_headings_in_another_spelling_gives_the_same_columns(spelling, extension):
    flat = {name: values for name, values in TRUTH.items() if values.ndim == 1}
    flat |= {f"intervals_{index}": TRUTH["intervals"][:, index] for index in (0, 1)}
    by_attribute = columns.columns_by_attribute("trials")
    spell = {
        "snake": lambda name: by_attribute[name][0].name,
        "spaced": lambda name: by_attribute[name][0].name.replace("_", " "),
        "camel": lambda name: name,
        "upper": lambda name: name.upper(),
    }[spelling]
    if extension == "mat":
        buffer = io.BytesIO()
        table = {spell(name).replace(" ", "_"): values for name, values in flat.items()}
        scipy.io.savemat(buffer, {"trials": table})
        content = buffer.getvalue()
    else:
        separator = {"csv": ",", "tsv": "\t"}[extension]
        rows = zip(*(map(float, values) for values in flat.values()), strict=True)
        lines = [separator.join(map(spell, flat)), *(separator.join(map(repr, row)) for row in rows), ""]
        content = "\n".join(lines).encode()
    assert as_plain({f"alf/_ibl_trials.table.{extension}": content}) == EXPECTED


def test_codes_that_the_layout_does_not_have_are_refused():
    assembled = assemble("trials", {"alf/cwResponse.choice.npy": npy(np.array([1.0, 2.0, 4.0]))})
    assert assembled.refused == {"choice": "value_range"}
    assert "row 2" in assembled.refusals[0].detail and "1, 2, 3" in assembled.refusals[0].detail


def test_a_name_of_a_layout_beside_that_of_the_convention_must_agree():
    files = {"alf/trials.choice.npy": npy(np.array([1, 1])), "alf/trials.response_choice.npy": npy(np.array([1, -1]))}
    assert assemble("trials", files).refused == {"choice": "duplicate_column"}


@pytest.mark.parametrize("alias", aliases.ALIASES, ids=lambda one: f"{one.alf_object}.{one.attribute}")
def test_every_alias_leads_to_something_known(alias):
    from pipeline.alf.dataset_types import describe

    assert describe(".".join(alias.becomes)) is not None
    assert aliases.object_of(alias.alf_object) == alias.becomes[0]


@given(st.binary(max_size=300))
@settings(deadline=None)
def test_no_bytes_break_the_reader_of_matlab_files(content):
    from pipeline.alf.reader import load
    from pipeline.errors import InvalidData

    try:
        load(b"MATLAB 5.0 MAT-file" + content, "trials.table.mat")
    except InvalidData as error:
        assert error.reason == "unreadable_file"
