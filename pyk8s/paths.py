"""Where things stand on the controller."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TEMPLATES = ROOT / "templates"
ROLES = ROOT / "roles"
DEFAULT_INVENTORY = ROOT / "inventory" / "lab"


def cache_dir() -> Path:
    """Return the folder of downloads and builds, ``$PYK8S_CACHE`` or ``~/.cache/pyk8s``; created when absent."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pyk8s"
    path = Path(os.environ.get("PYK8S_CACHE") or default)
    path.mkdir(parents=True, exist_ok=True)
    return path


def cluster_dir(name: str) -> Path:
    """Return ``clusters/<name>`` (admin.kubeconfig, pki/, reports/), mode 0700; created when absent."""
    path = ROOT / "clusters" / name
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.parent.chmod(0o700)
    path.chmod(0o700)
    return path
