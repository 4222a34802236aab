#!/usr/bin/python
"""Bring the wanted binaries to the controller's cache; the work is done by the action plugin."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: artifacts
short_description: Bring the pinned binaries of this cluster to the controller's cache
version_added: 0.1.0
author: the pyk8s authors
description:
  - Fetches or builds what C(kubernetes_version) and C(artifact_source) ask for, checks every sum, and keeps it
    in the cache.
options: {}
"""

EXAMPLES = r"""
- name: Bring the pinned binaries to the controller
  pyk8s.node.artifacts:
  run_once: true
"""

RETURN = r"""
"""
