"""One file over HTTP: resumed after a break, checked before anybody sees it, no half of it left behind."""

from __future__ import annotations

import threading
from pathlib import Path

import httpx

from pyk8s.artifacts.progress import Reporter
from pyk8s.artifacts.store import DiskFullError, room, sha256_of
from pyk8s.errors import Pyk8sError

CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
ATTEMPTS = 4
HEADWAY = 1 << 20
"""An attempt that brought more bytes than this does not count as failed."""


class UnreachableError(Pyk8sError):
    """A source that does not answer, or breaks off again and again."""


class AbsentError(Pyk8sError):
    """A source that answers, but has no such file."""


class ChecksumError(Pyk8sError):
    """A download that is not what it should be. It has been removed."""


class Web:
    """An HTTP client that retries; ``pause`` is the wait before the first retry, in seconds."""

    def __init__(self, pause: float = 1.0) -> None:
        timeout = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
        self._client = httpx.Client(timeout=timeout, follow_redirects=True)
        self._pause = pause
        self._stop = threading.Event()

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def stop(self) -> None:
        """Make every fetch under way end at its next piece; what has come so far stays, to be resumed."""
        self._stop.set()

    def status(self, url: str) -> int:
        """Return the status of a HEAD request, 0 when there is no answer."""
        try:
            return self._client.head(url).status_code
        except httpx.HTTPError:
            return 0

    def text(self, url: str) -> str | None:
        """Return a small file; None when the server has none; raises UnreachableError."""
        reason = ""
        for attempt in range(ATTEMPTS):
            self._wait(attempt)
            try:
                response = self._client.get(url)
            except httpx.HTTPError as error:
                reason = _word(error)
                continue
            if response.is_success:
                return response.text
            if response.status_code in (403, 404, 410):
                return None
            reason = f"it answers {response.status_code}"
        raise _unreachable(url, reason)

    def fetch(self, url: str, target: Path, sha256: str, title: str, reporter: Reporter) -> None:
        """Bring ``url`` to ``target``, resuming ``<target>.part`` where there is one.

        Raises AbsentError, UnreachableError, ChecksumError (the part is removed) or DiskFullError (likewise).
        """
        part = target.with_name(f"{target.name}.part")
        try:
            with room(target.parent):
                target.parent.mkdir(parents=True, exist_ok=True)
                self._complete(url, part, title, reporter)
        except DiskFullError:
            part.unlink(missing_ok=True)
            raise
        found = sha256_of(part)
        if found != sha256:
            size = part.stat().st_size
            part.unlink()
            raise ChecksumError(
                f"{url} is not what it should be",
                f"sha256 {found} ({size} bytes) came, {sha256} was expected; it was thrown away",
                "run it again; if it comes back, something on the way changes downloads, or the mirror holds a build "
                "of its own (put a .sha256 file beside it there)",
            )
        part.replace(target)

    def _complete(self, url: str, part: Path, title: str, reporter: Reporter) -> None:
        reason = ""
        attempt = 0
        while attempt < ATTEMPTS:
            self._wait(attempt)
            before = part.stat().st_size if part.exists() else 0
            try:
                if self._pull(url, part, title, reporter):
                    return
                reason = "the file is shorter than the server says"
            except httpx.HTTPError as error:
                reason = _word(error)
            came = (part.stat().st_size if part.exists() else 0) - before
            attempt = 1 if came > HEADWAY else attempt + 1
        raise _unreachable(url, f"it broke off {ATTEMPTS} times: {reason}")

    def _pull(self, url: str, part: Path, title: str, reporter: Reporter) -> bool:
        """Append to the part what is still missing; True when it is as long as the server says."""
        begin = part.stat().st_size if part.exists() else 0
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={begin}-"} if begin else {})
        with self._client.stream("GET", url, headers=headers) as response:
            if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                return True  # nothing is missing, or the part is of another file: the checksum tells
            if response.status_code in (403, 404, 410):
                raise AbsentError(f"{url} is not there", f"the server answers {response.status_code}")
            response.raise_for_status()
            resumed = response.status_code == httpx.codes.PARTIAL_CONTENT
            wanted = int(response.headers.get("Content-Length", 0)) + (begin if resumed else 0)
            with part.open("ab" if resumed else "wb") as stream, reporter.step(title, wanted or None, "MB") as advance:
                advance(begin if resumed else 0)
                for chunk in response.iter_raw():
                    stream.write(chunk)
                    advance(len(chunk))
                    if self._stop.is_set():
                        raise UnreachableError(f"{url} was stopped", "another download failed")
        return part.stat().st_size >= wanted

    def _wait(self, attempt: int) -> None:
        if attempt:
            self._stop.wait(self._pause * 2 ** (attempt - 1))


def _word(error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        return f"it answers {error.response.status_code}"
    return f"{error or type(error).__name__}"


def _unreachable(url: str, reason: str) -> UnreachableError:
    return UnreachableError(
        f"{url} cannot be had",
        reason,
        "look at the network and the proxy settings, then run it again: what came so far is kept; on a closed machine "
        "use artifact_source mirror or debian",
    )
