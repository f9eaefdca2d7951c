"""Buckets of S3 and of servers that speak its protocol. Credentials come from where boto3 looks: environment, ~/.aws.

An object counts as verified when it was read back and hashed. With the option `trust_checksums` a SHA-256 that the
service computed and stored is enough, provided that a probe shows that it refuses a wrong one.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import hashlib
import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import boto3
import botocore.exceptions
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

from exchange.transfers.backends import streams
from exchange.transfers.backends.folder import INCOMING
from exchange.transfers.backends.reading import CHUNK
from exchange.transfers.protocol import Found, Job, Outcome, Place, Progress, SourceChanged, Stat, Unavailable, inside
from exchange.transfers.throttle import Throttle, throttled
from pipeline.errors import NeurojointError

PART = 64 << 20  # byte; larger objects go in several parts
_REMEDIES = {
    "SlowDown": "it is too busy: run the transfer again later, or with a --bandwidth limit",
    "503": "it is too busy: run the transfer again later, or with a --bandwidth limit",
    "RequestTimeTooSkewed": "set the clock of this computer (`timedatectl`)",
    "QuotaExceeded": "make room in it, or let its quota be raised",
    "NoSuchUpload": "its parts were removed meanwhile: run the transfer again",
}
LEFT_OVER = datetime.timedelta(days=2)
"""Parts of an upload that was begun so long ago are removed: whoever sent them was killed, and they cost money."""
_GONE = {"404", "NoSuchKey", "NotFound"}


class S3:
    """A bucket, or a prefix in it: root `s3://bucket/prefix`. Options: `endpoint_url`, `region`, `profile`,
    `storage_class`, `trust_checksums`."""

    def __init__(self, place: Place) -> None:
        self.place = place
        bucket, _, prefix = place.root.removeprefix("s3://").partition("/")
        if not bucket:
            raise NeurojointError(f"{place.root!r} names no bucket", "write the root as s3://bucket/prefix")
        self.bucket, self.prefix = bucket, f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        session = boto3.Session(profile_name=place.options.get("profile"))
        self.client: Any = session.client(
            "s3",
            endpoint_url=place.options.get("endpoint_url"),
            region_name=place.options.get("region") or session.region_name or "us-east-1",
            config=Config(
                connect_timeout=15, read_timeout=60, retries={"max_attempts": 4, "mode": "standard"},
                request_checksum_calculation="when_required", response_checksum_validation="when_required",
                max_pool_connections=16,
            ),
        )  # fmt: skip
        self._checks: bool | None = None

    def check(self, writing: bool = False) -> None:
        """See `Backend.check`. A bucket cannot be an empty mount point: it has no marker."""
        with self._explained():
            self.client.head_bucket(Bucket=self.bucket)
        if writing:
            self._abort_left_over()

    def mark(self, token: str) -> None:
        """A bucket needs no marker."""

    def stat(self, paths: Sequence[str]) -> dict[str, Stat]:
        """See `Backend.stat`."""
        stats = {}
        for path in paths:
            if head := self._head(path):
                stats[path] = _stat(path, head)
        return stats

    def list(self, prefix: str = "") -> Iterator[Stat]:
        """See `Backend.list`."""
        start = f"{self.prefix}{inside(prefix.rstrip('/'))}/" if prefix else self.prefix
        with self._explained():
            for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=start):
                for item in page.get("Contents", ()):
                    path = item["Key"][len(self.prefix) :]
                    if not path.endswith("/") and not path.startswith("."):
                        yield Stat(path, item["Size"], int(item["LastModified"].timestamp() * 1e9))

    def send(self, jobs: Iterable[Job], progress: Progress) -> Iterator[Outcome]:
        """See `Backend.send`: an object is there as a whole or not at all."""
        throttle = Throttle(self.place.bandwidth)
        config = TransferConfig(
            multipart_threshold=PART, multipart_chunksize=PART, max_concurrency=4, use_threads=not self.place.bandwidth
        )
        return streams.one_by_one(
            jobs, lambda job: self._put(job, config, throttled(progress, throttle)), self._as_ours
        )

    def fetch(self, jobs: Iterable[Job], progress: Progress) -> Iterator[Outcome]:
        """See `Backend.fetch`."""
        throttle = Throttle(self.place.bandwidth)
        return streams.one_by_one(
            jobs, lambda job: streams.save(job.local, self._blocks(job.path), progress, throttle), self._as_ours
        )

    def read(self, paths: Sequence[str], progress: Progress) -> Iterator[tuple[str, Found | Exception]]:
        """See `Backend.read`."""
        for path in paths:
            try:
                yield path, self._stored(path) or self._read(path, progress)
            except Exception as error:
                yield path, self._as_ours(error, path)

    def delete(self, paths: Sequence[str]) -> None:
        """See `Backend.delete`."""
        with self._explained():
            for path in paths:
                self.client.delete_object(Bucket=self.bucket, Key=self._key(path))

    def close(self) -> None:
        """Give back the connections."""
        self.client.close()

    def _abort_left_over(self) -> None:
        """Remove the parts of uploads that nobody completes any more."""
        old = datetime.datetime.now(datetime.UTC) - LEFT_OVER
        with contextlib.suppress(botocore.exceptions.ClientError):  # not allowed, or unknown to the service
            for page in self.client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self.bucket, Prefix=self.prefix
            ):
                for upload in page.get("Uploads", ()):
                    if upload["Initiated"] < old:
                        self.client.abort_multipart_upload(
                            Bucket=self.bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                        )

    def _put(self, job: Job, config: TransferConfig, progress: Progress) -> None:
        extra: dict[str, Any] = {"Metadata": {"md5": job.md5}}
        if storage := self.place.options.get("storage_class"):
            extra["StorageClass"] = storage
        if job.size < PART and self._service_checks():
            content = job.local.read_bytes()
            if hashlib.md5(content, usedforsecurity=False).hexdigest() != job.md5:
                raise SourceChanged(f"{job.local} is not what was registered", "run `neurojoint ingest` on its folder")
            sha256 = base64.b64encode(hashlib.sha256(content).digest()).decode()
            extra["Metadata"]["sha256"] = sha256
            self.client.put_object(
                Bucket=self.bucket, Key=self._key(job.path), Body=content, ChecksumSHA256=sha256, **extra
            )
            progress(len(content))
            return
        self.client.upload_file(
            str(job.local), self.bucket, self._key(job.path), ExtraArgs=extra, Callback=progress, Config=config
        )

    def _stored(self, path: str) -> Found | None:
        """What the service says that it computed, where that may be trusted: it is the one that we computed."""
        if not self._service_checks():
            return None
        head = self.client.head_object(Bucket=self.bucket, Key=self._key(path), ChecksumMode="ENABLED")
        said, ours = head.get("ChecksumSHA256"), head["Metadata"]
        if not said or "-" in said or said != ours.get("sha256") or "md5" not in ours:
            return None
        stat = _stat(path, head)
        return Found(ours["md5"], stat.size, stat.modified_ns, "SHA-256 stored by the service")

    def _read(self, path: str, progress: Progress) -> Found:
        digest = streams.md5_and_size(self._blocks(path), progress)
        head = self._head(path)
        return Found(*digest, _stat(path, head).modified_ns if head else 0)

    def _blocks(self, path: str) -> Iterator[bytes]:
        body = self.client.get_object(Bucket=self.bucket, Key=self._key(path))["Body"]
        with contextlib.closing(body):
            yield from body.iter_chunks(CHUNK)

    def _service_checks(self) -> bool:
        """Whether checksums are to be trusted: the repository says so, and the service refuses a wrong one."""
        if not self.place.options.get("trust_checksums"):
            return False
        if self._checks is None:
            wrong = base64.b64encode(hashlib.sha256(b"another").digest()).decode()
            key = f"{self.prefix}{INCOMING}/probe-{uuid.uuid4().hex}"
            try:
                self.client.put_object(Bucket=self.bucket, Key=key, Body=b"probe", ChecksumSHA256=wrong)
                self._checks = False
                self.client.delete_object(Bucket=self.bucket, Key=key)
            except botocore.exceptions.ClientError as error:
                if error.response.get("Error", {}).get("Code") not in (
                    "BadDigest",
                    "InvalidDigest",
                    "XAmzContentChecksumMismatch",
                ):
                    raise
                self._checks = True
        return self._checks

    def _head(self, path: str) -> dict[str, Any] | None:
        try:
            return self.client.head_object(Bucket=self.bucket, Key=self._key(path))
        except botocore.exceptions.ClientError as error:
            if error.response.get("Error", {}).get("Code") in _GONE:
                return None
            raise self._as_ours(error) from error
        except botocore.exceptions.BotoCoreError as error:
            raise self._as_ours(error) from error

    def _key(self, path: str) -> str:
        return self.prefix + inside(path)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            raise self._as_ours(error) from error

    def _as_ours(self, error: Exception, path: str = "") -> Exception:
        cause = error.__context__
        if isinstance(error, boto3.exceptions.Boto3Error) and isinstance(cause, botocore.exceptions.ClientError):
            error = cause  # of an upload: boto3 wraps what the service answered
        if isinstance(error, botocore.exceptions.ClientError):
            code = error.response.get("Error", {}).get("Code", "")
            if code in _GONE and path:
                return FileNotFoundError(2, "No such object", f"{self.place.root}/{path}")
            if code in ("403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"):
                return Unavailable(
                    f"the bucket {self.bucket} refuses access ({code})", "check the credentials of boto3"
                )
            return Unavailable(
                f"the bucket {self.bucket} answers {code or error}",
                _REMEDIES.get(code, "check its name and the service"),
            )
        if isinstance(error, botocore.exceptions.BotoCoreError | boto3.exceptions.Boto3Error):
            return Unavailable(f"the bucket {self.bucket} cannot be reached ({error})"[:900], "check the network")
        return error


def _stat(path: str, head: dict[str, Any]) -> Stat:
    return Stat(path, head["ContentLength"], int(head["LastModified"].timestamp() * 1e9))
