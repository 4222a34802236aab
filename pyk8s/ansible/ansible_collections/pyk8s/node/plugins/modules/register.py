#!/usr/bin/python
"""Register the nodes with the API; the work is done by the action plugin."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: register
short_description: Create the Node objects of the inventory and learn their pod ranges
version_added: 0.1.0
author: the pyk8s authors
description:
  - Creates the Node object of each machine that will run a kubelet, where it does not exist, with a free pod range, so
    that it is known before the kubelet starts; control planes that are not workers are tainted.
  - Keeps the role labels, which a kubelet may not set for itself (NodeRestriction).
options: {}
attributes:
  check_mode:
    support: full
    description: Says which nodes would be created; the ranges of those are made up.
"""

EXAMPLES = r"""
- name: Register the nodes and learn their pod ranges
  pyk8s.node.register:
  run_once: true
  register: __pod_network_nodes
"""

RETURN = r"""
pod_cidrs:
  description: Node name to pod range.
  returned: always
  type: dict
"""
