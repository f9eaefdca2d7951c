"""Prediction of training time."""

from __future__ import annotations

from pathlib import Path

import click

import pipeline
from dashboard.figures import training_time as figures
from neurojoint.cli.group import main
from pipeline.queries import training_time


@main.command("predict")
@click.option(
    "--features", type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="CSV of daily summaries or of features, instead of the database.",
)  # fmt: skip
@click.option("--lab", help="Only the mice of this lab.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same numbers.")
@click.option(
    "--shuffles", type=click.IntRange(1), default=100, show_default=True, help="Permutations of the quartiles."
)
@click.option("--trees", type=click.IntRange(1), default=100, show_default=True, help="Of a forest.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Write the four panels there, as HTML.")
def predict(features: Path | None, lab: str | None, seed: int, shuffles: int, trees: int, out: Path | None) -> None:
    """Predict from five days of training how long mice take.

    A random forest tells the quartile of the training time from up to 20 features, judged by 10-fold cross-validation,
    as in a published figure, whose numbers are printed beside; and without its leaks.
    """
    if features is None:
        pipeline.connect(create=False)
        table = training_time.from_tables({"lab": lab} if lab else True)
    else:
        table = training_time.from_file(features)
    judged = training_time.judge(table, seed=seed, n_shuffles=shuffles, n_trees=trees)
    click.echo(training_time.report(table, judged))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        first = judged["leak-free"]
        for name, made in {
            "a_training_time": figures.histogram(table.training_time),
            "b_confusion": figures.confusion(first),
            "c_scores": figures.scores(judged),
            "d_importance": figures.importance(first),
        }.items():
            path = out / f"{name}.html"
            made.write_html(path, include_plotlyjs="directory")
            click.echo(path)
