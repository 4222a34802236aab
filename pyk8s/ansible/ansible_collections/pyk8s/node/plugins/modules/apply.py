#!/usr/bin/python
"""Apply manifests through the API; the work is done by the action plugin."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: apply
short_description: Apply a component's manifests on the server's side
version_added: 0.1.0
author: the pyk8s authors
description:
  - Renders C(templates/<component>/*.yaml.j2) and applies each document with server-side apply, from the controller.
  - Reports a change only when the server says so.
options:
  component:
    description: Name of the folder below C(templates/).
    type: str
    required: true
  vars:
    description: Further values for the templates.
    type: dict
    default: {}
attributes:
  check_mode:
    support: full
    description: Asks the server with a dry run.
"""

EXAMPLES = r"""
- name: Apply the roles and bindings of the cluster itself
  pyk8s.node.apply:
    component: rbac
  run_once: true
"""

RETURN = r"""
applied:
  description: The objects that changed, as kind/name.
  returned: always
  type: list
  elements: str
"""
