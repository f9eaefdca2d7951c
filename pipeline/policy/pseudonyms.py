"""Names and dates that stand for real ones: the same each time, and not to be undone without the site's secret."""

from __future__ import annotations

import base64
import hashlib
import hmac
import uuid
from pathlib import Path

from pipeline.policy import secret
from pipeline.settings import settings

LENGTH = 10
"""Letters and digits, 5 bits each, behind the prefix."""
MOST_DAYS = 365


def subject(lab: str, name: str, folder: Path | None = None) -> str:
    """What an animal is called outside.

    A pseudonym is the same as long as the file with the secret is there. It has 50 bits: among 10,000 mice two share
    one with a probability of 4e-8.

    Parameters
    ----------
    folder : that holds the secret; by default that of the site of this computer.
    """
    return f"mouse-{_letters(_digest(folder, lab, name))}"


def person(user: str) -> str:
    """What a person is called outside."""
    return f"person-{_letters(_digest(None, 'person', user))}"


def identifier(text: str) -> str:
    """A uuid that stands for another identifier; of version 4, since the ONE client refuses others."""
    return str(uuid.UUID(bytes=_digest(None, "identifier", text)[:16], version=4))


def days(lab: str, name: str) -> int:
    """By how many days the dates of an animal are moved back, 1 to 365: intervals between its days stay."""
    return 1 + int.from_bytes(_digest(None, "days", lab, name)[:4]) % MOST_DAYS


def _digest(folder: Path | None, *words: str) -> bytes:
    key = secret.of(folder or settings().home / "dashboard")
    return hmac.new(key, "\0".join(words).encode(), hashlib.sha256).digest()


def _letters(digest: bytes) -> str:
    return base64.b32encode(digest).decode()[:LENGTH].lower()
