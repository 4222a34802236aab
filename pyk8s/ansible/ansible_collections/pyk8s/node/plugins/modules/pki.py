#!/usr/bin/python
"""Adopt or issue the cluster's certificates; the work is done by the action plugin."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: pki
short_description: Keep the cluster's authorities and certificates on the controller
version_added: 0.1.0
author: the pyk8s authors
description:
  - C(state=adopted) takes the authorities from a control plane where the controller has none, and refuses two
    different ones.
  - C(state=issued) issues what is missing, changed or about to expire, for every node of the inventory.
options:
  state:
    description: What to do.
    type: str
    choices: [adopted, issued]
    required: true
"""

EXAMPLES = r"""
- name: Adopt the authorities of a running cluster where this controller has none
  pyk8s.node.pki:
    state: adopted
"""

RETURN = r"""
issued:
  description: Names of the certificates that were issued, each with the reason.
  returned: when state is issued
  type: list
  elements: str
"""
