"""Releases: freeze, build, upload, get, verify."""

from __future__ import annotations

from pathlib import Path

import click

from exchange.releases import build, checks, frozen
from exchange.releases.uploads import upload
from neurojoint.cli.group import main
from neurojoint.cli.progress import advancing, size
from neurojoint.cli.transfers import connect
from one_bridge.light import fetch, places
from pipeline.schemas import publication


@main.group()
def release() -> None:
    """Freeze datasets and give them away."""


@release.command("create")
@click.argument("name")
@click.option("--tag", required=True, help="The tag whose datasets are frozen; it becomes protected and public.")
@click.option("--title", default="", help="For the reader.")
@click.option("--description", default="", help="For the reader.")
@click.option("--author", "authors", multiple=True, metavar="'FAMILY, GIVEN'", help="May be given several times.")
@click.option("--license", default="", help="As SPDX names it  [default: setting publication.license, CC-BY-4.0]")
def release_create(name: str, tag: str, title: str, description: str, authors: tuple[str, ...], license: str) -> None:
    """Freeze the datasets of a tag as the release NAME.

    Every file is read once. The same content gives the same release; another content, a new version.
    """
    connect()

    with advancing("reading") as progress:
        frozen_release, new = frozen.create(
            name, tag, title=title, description=description, authors=authors, license=license, progress=progress
        )
    row = frozen_release.row
    click.echo(
        f"{frozen_release.name} {'is frozen' if new else 'was frozen before'}: {row['release_files']:,} files, "
        f"{size(row['release_bytes'])}, manifest {row['manifest_hash'].strip()}"
    )
    if new:
        click.echo(f"next: neurojoint release build {frozen_release.name} OUT")


@release.command("list")
def release_list() -> None:
    """List the releases and where they are."""
    connect(create=False)

    uploads: dict[tuple, list[str]] = {}
    for row in publication.Upload().to_dicts(order_by="upload_target"):
        word = f"{row['upload_target']} ({row['upload_state']})"
        uploads.setdefault((row["release"], row["release_version"]), []).append(word)
    for row in publication.Release().to_dicts(order_by="release, release_version"):
        where = ", ".join(uploads.get((row["release"], row["release_version"]), []))
        click.echo(
            "  ".join(
                filter(
                    None,
                    [
                        f"{row['release']}-v{row['release_version']}",
                        f"{row['release_frozen']:%Y-%m-%d}",
                        f"{row['release_files']:,} files",
                        size(row["release_bytes"]),
                        row["release_doi"] or ("published" if row["release_published"] else ""),
                        where,
                    ],
                )
            )
        )


@release.command("build", short_help="Write a release as a folder and zip files.")
@click.argument("name")
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--form", type=click.Choice(["both", "folder", "zip"]), default="both", show_default=True)
@click.option("--zip-size", type=click.FloatRange(min=0.001), default=20.0, show_default=True, help="Of one zip, GB.")
def release_build(name: str, out: Path, form: str, zip_size: float) -> None:
    """Write folder and zips of the release NAME into OUT, the same to the byte each time.

    NAME is a release, for its newest version, or a version such as paper-v2.
    """
    connect(create=False)

    frozen_release = frozen.find(name)
    total = frozen_release.row["release_bytes"] * (2 if form == "both" else 1)
    with advancing("writing", total) as progress:
        built = build.build(
            frozen_release,
            out,
            folder=form != "zip",
            zips=form != "folder",
            zip_size=int(zip_size * 1e9),
            progress=progress,
        )
    for path in filter(None, [built.folder, *built.zips]):
        click.echo(path)


@release.command("get", short_help="Download what is asked for from a release.")
@click.argument("address", metavar="URL")
@click.argument("dest", type=click.Path(path_type=Path, file_okay=False))
@click.option("--lab", help="Names, separated by commas.")
@click.option("--subject", help="Names, separated by commas.")
@click.option("--date", help="Days, or their beginning: 2020-01.")
@click.option("--session", help="Experiment ids, or ends of paths: KS014/2020-01-01/001.")
@click.option("--datasets", multiple=True, help="Dataset types, objects or patterns: trials, spikes.times, '*.pqt'.")
def release_get(address: str, dest: Path, datasets: tuple[str, ...], **chosen: str | None) -> None:
    """Download from the release at URL into the folder DEST what is asked for.

    URL is a web address, a folder, a zip, or the page of an article of figshare or a record of Zenodo. Each file is
    checked. Stopped anywhere, the same command goes on. `One(cache_dir=DEST, mode="local")` loads what is there.
    """
    place = places.open_place(address)
    manifest = places.read_manifest(place, address)
    files = manifest.choose(datasets=[part.strip() for text in datasets for part in text.split(",")], **chosen)
    if not files:
        click.echo("nothing of the release is meant by that", err=True)
        raise SystemExit(1)
    with advancing("downloading", sum(file.size for file in files)) as progress:
        result = fetch.fetch(place, manifest, files, dest, progress)
    click.echo(
        f"{manifest.name}: {len(result.files):,} files, {size(result.size)}, downloaded and checked; "
        f"{result.present:,} were there"
    )


@release.command("verify")
@click.argument("address", metavar="URL")
@click.option("--manifest", "expected", help="SHA-256 that manifest.tsv must have.")
@click.option("--name", help="Compare with this release of the database.")
def release_verify(address: str, expected: str | None, name: str | None) -> None:
    """Read what lies at URL and compare it with the manifest.

    Without --manifest and --name, it is checked that the release is consistent with itself.
    """
    if name is not None:
        connect(create=False)

        expected = frozen.find(name).row["manifest_hash"].strip()
    with advancing("reading") as progress:
        report = checks.verify(address, expected, progress)
    for path, problem in list(report.problems.items())[:20]:
        click.echo(f"{path}: {problem}", err=True)
    click.echo(
        f"{report.release.name}: {report.files:,} files, {size(report.size)}, read; {len(report.problems):,} problems"
    )
    if report.problems:
        raise SystemExit(1)


@release.command("upload", short_help="Bring a release to TARGET; can be resumed.")
@click.argument("name")
@click.argument("target")
@click.option(
    "--from", "out", required=True, type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="The folder in which it was built.",
)  # fmt: skip
@click.option("--publish", is_flag=True, help="Let everybody see it; after that nothing of it can be changed.")
def release_upload(name: str, target: str, out: Path, publish: bool) -> None:
    """Bring the release NAME to TARGET; stopped anywhere, the same command goes on.

    TARGET is figshare, zenodo, s3://bucket/prefix, user@host:/folder (rsync), sftp://user@host/folder or a folder.
    Tokens come from NEUROJOINT_FIGSHARE_TOKEN and NEUROJOINT_ZENODO_TOKEN, or from files of mode 600: …_TOKEN_FILE.
    """
    connect(create=False)
    frozen_release = frozen.find(name)
    with advancing("uploading", frozen_release.row["release_bytes"]) as progress:
        where = upload(frozen_release, target, out, publish=publish, progress=progress)
    words = "is published" if publish else "is there, not yet published"
    click.echo(" ".join(filter(None, [f"{frozen_release.name} {words}", where.address, where.doi])))
