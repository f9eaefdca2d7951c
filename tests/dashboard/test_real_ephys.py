"""The pages of a real recording, of which only times and clusters of spikes are known, on both databases."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import flask
import numpy as np
import plotly.utils
import pytest

from dashboard import links
from dashboard.server import app
from dashboard.site import PUBLIC, Site, Viewer
from pipeline import settings
from pipeline.web.accounts import Users
from pipeline.web.threads import Database
from tests.ephys import trees

pytestmark = pytest.mark.slow

MOUSE = ("lab", "mouse")
PROBE = (*MOUSE, "2024-05-01", 1, "probe00")


@pytest.fixture
def site(database, tmp_path, real_data) -> Iterator[Site]:
    """A site over the tables of the recording, with its 18 events as stimuli."""
    source = real_data / "ibllib_fixtures/Subjects/ephys_test/2020-02-01/001"
    shutil.copytree(source / "alf", tmp_path / trees.SESSION / "alf")
    np.save(tmp_path / trees.SESSION / "alf/_ibl_trials.stimOn_times.npy", np.load(source / "event_times.npy"))
    trees.bring_up_to_date(tmp_path)
    shared = Database(database)
    yield Site(shared, Users(tmp_path / "users.sqlite"), settings.settings(), public=True)
    shared.close()


def made(site: Site, address: str, viewer: Viewer = Viewer("mia", "member")) -> str:  # noqa: B008 - frozen
    """The content of a page as the browser is sent it."""
    path, _, search = address.partition("?")
    with flask.Flask("test").test_request_context():
        flask.g.viewer = viewer
        _, content = app.make_page(site, app.find_pages(), path, search)
    return json.dumps(content, cls=plotly.utils.PlotlyJSONEncoder)


def test_pages_of_a_real_recording(site):
    insertion = made(site, links.insertion(*PROBE))
    assert "124,905" in insertion and '"289"' in insertion and "insertion-firing_rate" in insertion
    assert "spikes without depths" in insertion
    cells = made(site, links.cells(*PROBE, sort="rate"))
    assert "1 of 289" in cells and "all trials (18)" in cells and "cells-correlogram" in cells
    assert "how large the spikes are" in cells, "amplitudes are not known"
    assert "289 of 289" in made(site, links.cells(*PROBE, sort="rate", unit=_last_by_rate()))
    assert "No probe has recorded here yet." in made(site, links.region("TH"))
    assert "ephys.ClusterSet" in made(site, links.health())
    for page in (insertion, cells):
        assert "an error in the program" not in page


def test_the_public_reaches_them_by_pseudonym(site):
    name = site.name(*MOUSE, PUBLIC)
    public = made(site, links.insertion(MOUSE[0], name, *PROBE[2:]), PUBLIC)
    assert "124,905" in public and MOUSE[1] not in public.replace(name, "").replace("/app/mouse/", "")
    assert "There is no mouse" in made(site, links.insertion(*PROBE), PUBLIC)


def _last_by_rate() -> int:
    from pipeline import ephys
    from pipeline.database.bulk import fetch_columns

    rows = fetch_columns(ephys.ClusterSet.Cluster, "cluster_id", "cluster_firing_rate").to_pylist()
    return max(rows, key=lambda row: (-row["cluster_firing_rate"], row["cluster_id"]))["cluster_id"]
