"""Bring a release to where readers find it: figshare, Zenodo, a bucket, a folder, another computer. Never twice."""

from exchange.releases.uploads.run import upload

__all__ = ["upload"]
