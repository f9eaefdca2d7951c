"""Mail through any SMTP server: one connection for a batch, and what the server said about each recipient."""

from __future__ import annotations

import smtplib
import socket
import ssl
from email.headerregistry import Address
from email.message import EmailMessage
from types import TracebackType
from urllib.parse import urlsplit

from pipeline.errors import OperatorError
from pipeline.settings import Settings, read_secret

TIMEOUT_S = 30.0


class Temporary(Exception):
    """The mail was not taken now: try again later."""


class Permanent(Exception):
    """The mail will never be taken as it is."""


class Sender:
    """An open connection to the mail server; use it as a context manager.

    Parameters
    ----------
    chosen : settings with `mail_server`.

    Raises
    ------
    OperatorError : the settings cannot be used.
    Temporary : the server cannot be reached or refuses the login.
    """

    def __init__(self, chosen: Settings) -> None:
        if not chosen.mail_server:
            raise OperatorError("no mail server is set", "set NEUROJOINT_MAIL_SERVER=smtp://host:587")
        self.address = urlsplit(chosen.mail_server)
        if self.address.scheme not in ("smtp", "smtps") or not self.address.hostname:
            raise OperatorError(
                f"{chosen.mail_server!r} is no mail server", "write smtp://host:587 or smtps://host:465"
            )
        self.chosen = chosen
        self._link: smtplib.SMTP | None = None

    def __enter__(self) -> Sender:
        host, secure = str(self.address.hostname), self.address.scheme == "smtps"
        port = self.address.port or (465 if secure else 587)
        context = ssl.create_default_context()
        try:
            if secure:
                link: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=TIMEOUT_S, context=context)
            else:
                link = smtplib.SMTP(host, port, timeout=TIMEOUT_S)
                link.ehlo()
                if link.has_extn("starttls"):
                    link.starttls(context=context)
                    link.ehlo()
            if self.chosen.mail_user:
                link.login(self.chosen.mail_user, self._password())
        except (OSError, smtplib.SMTPException) as error:
            raise Temporary(f"the mail server {host}:{port} cannot be used ({error})") from error
        self._link = link
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._link is not None:
            try:
                self._link.quit()
            except (OSError, smtplib.SMTPException):
                self._link.close()

    def send(self, message: EmailMessage) -> None:
        """Hand a mail to the server.

        Raises
        ------
        Permanent : the server refuses it for good (an answer of 5xx).
        Temporary : it may be taken later.
        """
        if self._link is None:
            raise RuntimeError("use the sender as a context manager")
        try:
            self._link.send_message(message)
        except smtplib.SMTPRecipientsRefused as error:
            code, said = next(iter(error.recipients.values()))
            raise _of(code, said) from error
        except smtplib.SMTPResponseException as error:
            raise _of(error.smtp_code, error.smtp_error) from error
        except (OSError, smtplib.SMTPException) as error:
            raise Temporary(str(error)) from error

    def _password(self) -> str:
        if self.chosen.mail_password is not None:
            return self.chosen.mail_password.get_secret_value()
        if self.chosen.mail_password_file is not None:
            return read_secret(self.chosen.mail_password_file)
        return ""


def compose(
    identifier: str, sender: str, recipient: str, name: str, title: str, body: str, site: str = ""
) -> EmailMessage:
    """A mail whose Message-ID follows from the identifier, so that one that is sent again is known to be the same."""
    message = EmailMessage()
    message["Message-ID"] = f"<{identifier}@{sender.rpartition('@')[2] or socket.getfqdn()}>"
    message["From"] = sender
    user, _, domain = recipient.rpartition("@")
    try:
        message["To"] = Address(name, user, domain)
    except ValueError as error:
        raise Permanent(f"{recipient!r} is no mail address ({error})") from None
    message["Subject"] = " ".join(title.split())
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    if site:
        message["List-Unsubscribe"] = f"<{site.rstrip('/')}/app/inbox>"
    message.set_content(body)
    return message


def _of(code: int, said: bytes | str) -> Permanent | Temporary:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return (Permanent if 500 <= code < 600 else Temporary)(f"{code} {text}")
