"""Raw samples on the page of a unit, and what pages say of shanks, from a short recording."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import ingest
from dashboard import links
from dashboard.queries import cells as queries
from dashboard.queries import insertion as insertions
from dashboard.site import Site
from ingest.simulate import damage
from ingest.simulate.ephys import Unit, simulate_insertion, write_insertion, write_recording
from pipeline import ephys, settings
from pipeline.web.accounts import Users
from pipeline.web.threads import Database
from tests.dashboard.test_real_ephys import made
from tests.ephys import trees

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("server", ["postgresql"], indirect=True)]
PROBE = ("lab", "mouse", "2024-05-01", 1, "probe00")


@pytest.fixture
def site(database, tmp_path: Path) -> Iterator[Site]:
    units = [Unit(depth=20, lateral=43, rate=40, amplitude=400, amplitude_sd=0.02),
             Unit(depth=100, lateral=59, rate=30, amplitude=300, amplitude_sd=0.02)]  # fmt: skip
    insertion = simulate_insertion(units=units, duration=4.0, n_sites=16, n_silent=0, seed=1)
    session = tmp_path / trees.SESSION
    damage.write_valid(session)
    folder = write_insertion(session, insertion)
    places = insertion.objects["channels"]["localCoordinates"]
    shanks = (places[:, 1] > 60).astype(int)
    np.save(folder / "channels.shanks.npy", shanks)
    header = write_recording(session, insertion, 4.0, noise=2.0).with_suffix(".meta")
    entries = "".join(f"({shank}:{x:g}:{z:g}:1)" for shank, (x, z) in zip(shanks, places, strict=True))
    text = re.sub(r"~snsShankMap=.*", f"~snsGeomMap=(NP2013,2,0,70){entries}", header.read_text())
    header.write_text(text)  # it says the same
    ingest.register(tmp_path, processes=1)
    ephys.ClusterSet.populate()
    shared = Database(database)
    yield Site(shared, Users(tmp_path / "users.sqlite"), settings.settings())
    shared.close()


def test_raw_samples_around_a_spike(site):
    """Only where the address names a time; the spike is where the line is, on the channel of the unit."""
    page = made(site, links.cells(*PROBE, unit=0))
    assert "cells-raw" not in page and "Show them around a spike" in page and '"Shank"' in page
    at = re.search(r"[?&](?:amp;)?at=([\d.]+)", page)
    moment = float(at[1])
    page = made(site, links.cells(*PROBE, unit=0, at=at[1]))
    assert "cells-raw" in page and f"Raw samples at {moment:.4f} s" in page and "next spike" in page
    shown_insertion = insertions.insertion(ephys.ProbeInsertion().fetch1("KEY"))
    unit = queries.unit(shown_insertion, 0, "stim_on", "")
    raw = queries.raw_samples(shown_insertion, unit, moment)
    spike = raw.spikes[np.abs(raw.spikes - moment).argmin()]
    assert abs(spike - moment) < 1e-4
    near = np.abs(raw.times - spike) < 1e-3
    peak = ephys.ClusterSet.Cluster & {"cluster_id": 0}
    assert raw.channels[0] == peak.fetch1("cluster_channel")
    assert raw.volts[near, 0].min() < -150e-6, "the trough of 400 uV from trough to peak"
    assert np.abs(raw.volts[:, 0]).argmax() == np.flatnonzero(near)[raw.volts[near, 0].argmin()] or len(raw.spikes) > 1


def test_beyond_the_recording_and_without_it(site, tmp_path):
    assert "no samples at this time" in made(site, links.cells(*PROBE, unit=0, at="500"))
    assert "Show them around a spike" in made(site, links.cells(*PROBE, unit=0, at="1e99"))
    for path in (tmp_path / trees.SESSION / "raw_ephys_data").rglob("*.bin"):
        path.unlink()
    assert "The raw samples cannot be shown." in made(site, links.cells(*PROBE, unit=0, at="1"))
