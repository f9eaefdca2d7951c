"""Pages of an insertion whose units lie on four shanks, beside the same units on one: no slower.

    python -m benchmarks.shank_pages [--units 300] [--minutes 20]

The same spikes are registered twice, with channels.shanks 0 to 3 and with 0 only. Prints the median time in which the
pages of insertion and cells are made, and the ratio.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

SESSIONS = {1: 1, 2: 4}
"""Number of the session -> shanks."""
MOST = 1.2
REPEATS = 15


def write(root: Path, number: int, n_shanks: int, n_units: int, minutes: float) -> None:
    """Sorted spikes of units all along a probe, and trials."""
    from ingest.simulate.ephys import simulate_insertion, write_insertion

    session = root / f"lab/Subjects/mouse/2024-05-01/{number:03d}"
    insertion = simulate_insertion(n_units=n_units, seed=1, duration=60 * minutes)
    folder = write_insertion(session, insertion)
    n_channels = len(insertion.objects["channels"]["localCoordinates"])
    np.save(folder / "channels.shanks.npy", np.arange(n_channels) % n_shanks)
    moments = np.arange(5.0, 60 * minutes - 5, 6.0)
    chance = np.random.default_rng(0)
    columns = {
        "stimOn_times": moments, "goCue_times": moments, "response_times": moments + 0.5,
        "feedback_times": moments + 0.5, "choice": chance.choice([-1, 1], len(moments)),
        "feedbackType": chance.choice([-1, 1], len(moments)), "contrastLeft": np.full(len(moments), np.nan),
        "contrastRight": np.ones(len(moments)), "probabilityLeft": np.full(len(moments), 0.5),
        "intervals": np.column_stack([moments - 1, moments + 4]),
    }  # fmt: skip
    for name, values in columns.items():
        np.save(session / f"alf/_ibl_trials.{name}.npy", values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--units", type=int, default=300)
    parser.add_argument("--minutes", type=float, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)  # the server of the database may run as another account
        import datajoint as dj
        import flask
        import plotly.utils

        import ingest
        import pipeline
        from dashboard import links
        from dashboard.server import app
        from dashboard.site import Site, Viewer
        from pipeline import settings, worker
        from pipeline.database import embedded, registry
        from pipeline.settings import override
        from pipeline.web.accounts import Users
        from pipeline.web.threads import Database

        with override(home=Path(place) / "home", prefix="bench_"):
            pipeline.connect()
            for number, n_shanks in SESSIONS.items():
                write(Path(place) / "data", number, n_shanks, options.units, options.minutes)
            ingest.register(Path(place) / "data", processes=1)
            worker.drain(registry.populated_tables())
            shared = Database(dj.conn())
            site = Site(shared, Users(Path(place) / "users.sqlite"), settings.settings())

            def seconds(address: str) -> float:
                with flask.Flask("benchmark").test_request_context():
                    flask.g.viewer = Viewer("ada", "member")
                    path, _, search = address.partition("?")
                    start = time.perf_counter()
                    _, content = app.make_page(site, app.find_pages(), path, search)
                    text = json.dumps(content, cls=plotly.utils.PlotlyJSONEncoder)
                    spent = time.perf_counter() - start
                assert "an error in the program" not in text
                return spent

            for page in (links.insertion, links.cells):
                addresses = {n: page("lab", "mouse", "2024-05-01", number, "probe00") for number, n in SESSIONS.items()}
                spent: dict[int, list[float]] = {n: [] for n in addresses}
                for _ in range(REPEATS):
                    for n, address in addresses.items():
                        spent[n].append(seconds(address))
                one, four = (statistics.median(spent[n][2:]) for n in (1, 4))
                print(
                    f"{page.__name__}: four shanks {four * 1e3:.0f} ms, one {one * 1e3:.0f} ms, ratio {four / one:.2f}"
                )
                assert four < MOST * one, (four, one)
            shared.close()
            embedded.stop(Path(place) / "home")


if __name__ == "__main__":
    main()
