"""Debian's archive through the machine's own apt configuration, without changing the machine's lists."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from pyk8s.errors import Pyk8sError

APT = Path("/etc/apt")
OS_RELEASE = Path("/etc/os-release")
Entry = dict[str, str]
"""One entry of apt's sources, in the fields of deb822 (sources.list(5))."""


def os_release(path: Path = OS_RELEASE) -> dict[str, str]:
    """Return the fields of os-release(5); empty when there is no such file."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {key: value.strip('"') for key, _, value in pairs}


def run(command: Sequence[str], cwd: Path, what: str) -> str:
    """Run a command and return its output; raises Pyk8sError with its last lines when it fails."""
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-10:])
        raise Pyk8sError(f"{what} failed", f"{shlex.join(command)} ended with {done.returncode}:\n{tail}")
    return done.stdout


def debian_entries(codename: str, apt: Path = APT) -> list[Entry]:
    """Return the entries of Debian's own archive among the machine's; third parties' are left out."""
    files = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]
    found: list[Entry] = []
    for path in files:
        if path.is_file() and path.suffix in (".list", ".sources"):
            text = path.read_text(encoding="utf-8")
            found += _deb822(text) if path.suffix == ".sources" else _one_line(text)
    suites = {f"{base}{pocket}" for base in (codename, "stable") for pocket in ("", "-updates", "-security")}
    return [entry for entry in found if _is_debian(entry, suites)]


def _is_debian(entry: Entry, suites: set[str]) -> bool:
    signed = entry.get("Signed-By", "debian-archive-keyring")
    ours = set(entry.get("Suites", "").split()) <= suites and "main" in entry.get("Components", "").split()
    return ours and "debian" in signed and entry.get("Enabled", "yes").lower() not in ("no", "false", "off")


def _deb822(text: str) -> Iterator[Entry]:
    text = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", text):
        fields = re.findall(r"^([A-Za-z-]+):[ \t]*(.*(?:\n[ \t]+.*)*)", stanza, re.MULTILINE)
        if fields:
            yield dict(fields)


def _one_line(text: str) -> Iterator[Entry]:
    for line in text.splitlines():
        found = re.match(r"deb(?:-src)?\s+(?:\[([^]]*)\]\s+)?(\S+)\s+(\S+)\s+([^#]+)", line.strip())
        if found:
            options = dict(pair.split("=", 1) for pair in (found[1] or "").split() if "=" in pair)
            entry = {"URIs": found[2], "Suites": found[3], "Components": found[4].strip()}
            names = {"signed-by": "Signed-By", "arch": "Architectures", "trusted": "Trusted"}
            yield entry | {names[key]: value for key, value in options.items() if key in names}


class Apt:
    """apt with lists of its own below ``work``: binary and source packages of Debian's archive."""

    def __init__(self, work: Path) -> None:
        self.work = work.resolve()
        sources = self.work / "debian.sources"
        self._options = [
            *("-o", f"Dir::Etc::sourcelist={sources}", "-o", "Dir::Etc::sourceparts=/dev/null"),
            *("-o", f"Dir::State::lists={self.work}/lists", "-o", f"Dir::Cache::archives={self.work}/archives"),
            *("-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache="),
            *("-o", "APT::Sandbox::User=root"),
        ]

    def update(self) -> None:
        """Fetch the package lists; raises Pyk8sError when the machine has no Debian entry, or none answers."""
        release = os_release()
        if release.get("ID") != "debian":
            raise Pyk8sError(
                "Debian's packages cannot be had here",
                f"this controller runs {release.get('PRETTY_NAME', 'something else')}",
                "use artifact_source upstream or mirror, or a controller with Debian 12",
            )
        entries = debian_entries(release.get("VERSION_CODENAME", ""))
        if not entries:
            raise Pyk8sError("apt has no entry of Debian's archive", f"none with main in {APT}", "add one")
        for folder in ("lists/partial", "archives/partial"):
            (self.work / folder).mkdir(parents=True, exist_ok=True)
        (self.work / "debian.sources").write_text("\n".join(map(_stanza, entries)), encoding="utf-8")
        run(["apt-get", *self._options, "update"], self.work, "reading Debian's package lists")

    def source_version(self, package: str) -> str:
        """Return the newest version of a source package; raises Pyk8sError when Debian has none."""
        text = run(["apt-cache", *self._options, "showsrc", package], self.work, f"looking for the source of {package}")
        versions = re.findall(r"^Version: (\S+)", text, re.MULTILINE)
        if not versions:
            raise Pyk8sError(f"this Debian has no source package {package}", "", "use artifact_source mirror")
        return str(versions[-1])

    def source(self, packages: Sequence[str], folder: Path) -> None:
        """Download source packages (apt checks signature and sums) into a folder."""
        command = ["apt-get", *self._options, "source", "--download-only", *packages]
        run(command, folder, f"downloading the source of {', '.join(packages)}")

    def candidates(self, packages: Sequence[str]) -> dict[str, str]:
        """Return the version of each package that ``download`` would bring; raises Pyk8sError when one is unknown."""
        text = run(["apt-cache", *self._options, "policy", *packages], self.work, "asking for package versions")
        found = dict(re.findall(r"^(\S+):\n(?:.*\n)??  Candidate: (\S+)", text, re.MULTILINE))
        absent = [name for name in packages if found.get(name, "(none)") == "(none)"]
        if absent:
            raise Pyk8sError(f"this Debian has no package {', '.join(absent)}", "", "use artifact_source mirror")
        return found

    def download(self, versions: Mapping[str, str], folder: Path) -> dict[str, Path]:
        """Download binary packages (apt checks signature and sums); returns the .deb by package."""
        wanted = [f"{name}={version}" for name, version in versions.items()]
        run(["apt-get", *self._options, "download", *wanted], folder, f"downloading {', '.join(versions)}")
        return {name: next(folder.glob(f"{name}_*.deb")) for name in versions}


def _stanza(entry: Entry) -> str:
    fields = {"Types": "deb deb-src"} | {key: value for key, value in entry.items() if key != "Types" and value}
    return "".join(f"{key}: {value}\n" for key, value in fields.items())


def upstream_version(debian: str) -> str:
    """Return upstream's x.y.z in a Debian version: 1.6.20 in ``1.6.20~ds1-1``, 1.20.2 in ``1.20.5+really1.20.2-1``."""
    found = re.search(r"really(\d+\.\d+\.\d+)", debian) or re.match(r"(?:\d+:)?(\d+\.\d+\.\d+)", debian)
    return found[1] if found else debian


def install_missing(packages: Sequence[str], why: str, say: Callable[[str], None]) -> None:
    """Have packages installed on this machine, as root; raises Pyk8sError naming them where that may not be done."""
    absent = [name for name in packages if not _installed(name)]
    if not absent:
        return
    names = " ".join(absent)
    if os.geteuid() != 0:
        raise Pyk8sError(f"{why} needs packages", f"{names} are not installed", f"as root: apt-get install {names}")
    say(f"installing {names} ({why})")
    root = Path("/")
    run(["apt-get", "update"], root, "reading the package lists")
    run(["apt-get", "install", "-y", "--no-install-recommends", *absent], root, f"installing {names}")


def _installed(package: str) -> bool:
    command = ["dpkg-query", "-W", "-f", "${db:Status-Status}", package]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout == "installed"
