#!/usr/bin/python
"""Refuse a bad inventory and unfit machines in one pass; the work is done by the action plugin."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: preflight
short_description: Refuse a bad inventory and unfit machines, naming everything that is wrong
version_added: 0.1.0
author: the pyk8s authors
description:
  - Validates the inventory as a typed model and the probes of all machines, and fails once, with the whole list.
  - Nothing has been changed by then.
  - Machines that are down are left out, with a warning, where the cluster stands already and is whole enough.
options:
  probes:
    description: Name of the variable that pyk8s.node.probe was registered in.
    type: str
    required: true
  state:
    description:
      - C(fit) refuses what cannot become a cluster.
      - C(left_out) makes this host unreachable to all that follows, without asking it once more.
    type: str
    choices: [fit, left_out]
    default: fit
"""

EXAMPLES = r"""
- name: Refuse what cannot become a cluster
  pyk8s.node.preflight:
    probes: __preflight_probe
  run_once: true
"""

RETURN = r"""
ansible_facts:
  description: C(cluster), the keys of the cluster with their defaults filled in, for every host of the play.
  returned: success
  type: dict
"""
