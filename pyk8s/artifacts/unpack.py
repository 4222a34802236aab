"""The executables out of a download."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path

from pyk8s.artifacts.catalog import Download
from pyk8s.artifacts.model import Artifact
from pyk8s.artifacts.store import gather
from pyk8s.errors import Pyk8sError


def unpack(download: Download, source: Path, folder: Path, keep: bool) -> Artifact:
    """Put the executables of a downloaded file into ``folder``; the file itself is moved unless it is to be kept.

    Raises Pyk8sError when the archive cannot be read or lacks an executable.
    """
    if download.is_archive:
        members = _extract(download, source, folder)
    else:
        members = dict(download.members)
        for name in members:
            if keep:
                shutil.copyfile(source, folder / name)
            else:
                source.replace(folder / name)
    return Artifact(download.component, download.version, gather(folder), archive_members=members)


def _extract(download: Download, source: Path, folder: Path) -> dict[str, str]:
    try:
        with tarfile.open(source) as archive:
            wanted = _choose(download, {member.name: member for member in archive.getmembers()})
            for name, member in wanted.items():
                stream = archive.extractfile(member)
                if stream is None:
                    raise Pyk8sError(f"{member.name} in {source.name} is no file")
                with stream, (folder / name).open("wb") as target:
                    shutil.copyfileobj(stream, target, 1 << 20)
    except (tarfile.TarError, EOFError) as error:
        raise Pyk8sError(f"{source.name} cannot be unpacked", str(error)) from error
    return {name: member.name.removeprefix("./") for name, member in wanted.items()}


def _choose(download: Download, there: Mapping[str, tarfile.TarInfo]) -> dict[str, tarfile.TarInfo]:
    if not download.members:
        return {Path(name).name: member for name, member in there.items() if member.isfile() and member.mode & 0o100}
    found = {}
    for name, path in download.members.items():
        member = there.get(path) or there.get(f"./{path}")
        if member is None and name not in download.optional:
            raise Pyk8sError(f"{download.component} {download.version}: {path} is missing from the archive")
        if member is not None:
            found[name] = member
    return found
