"""What is set right in Debian's Kubernetes 1.20.2 before it is built: faults of 1.20.2 that upstream mended later."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

from pyk8s.errors import Pyk8sError


@dataclasses.dataclass(frozen=True)
class Correction:
    """A passage that stands once in a file of the source tree, what it becomes, and why (with upstream's own fix)."""

    path: str
    before: str
    after: str
    why: str


CORRECTIONS = (
    Correction(
        path="staging/src/k8s.io/apiserver/pkg/registry/generic/registry/decorated_watcher.go",
        before="if !ok {\n\t\t\t\td.cancel()\n",
        after="if !ok {\n\t\t\t\tclose(d.resultCh)\n\t\t\t\td.cancel()\n",
        why="A watch of Services that the apiserver ends, as it does when an etcd member stops in good order, was not"
        " ended for the client: endpoint controllers and kube-proxies heard nothing until their own timeout of 5 to 10"
        " minutes (measured). Upstream: kubernetes/kubernetes#102539, in 1.20.10.",
    ),
)


def identity(corrections: tuple[Correction, ...] = CORRECTIONS) -> str:
    """Return eight hexadecimal digits that change with what is corrected: a build without them is another build."""
    text = "\0".join(part for one in corrections for part in (one.path, one.before, one.after))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def correct(tree: Path, corrections: tuple[Correction, ...] = CORRECTIONS) -> None:
    """Correct an unpacked source tree; raises Pyk8sError, naming the file, when a passage is not there just once."""
    for one in corrections:
        file = tree / one.path
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
        if text.count(one.before) != 1:
            raise Pyk8sError(
                f"{one.path} of Debian's Kubernetes is not as it was",
                f"the passage to correct is there {text.count(one.before)} times. Why it is corrected: {one.why}",
                "if Debian corrects it now, take it out of pyk8s/artifacts/sources/corrections.py",
            )
        file.write_text(text.replace(one.before, one.after), encoding="utf-8")
