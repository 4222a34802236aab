#!/usr/bin/python
"""Read files of a node in one call."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: read
short_description: Read files of a node in one call
version_added: 0.1.0
author: the pyk8s authors
description:
  - Returns the content of each file that exists, base64 encoded. For other plugins; tasks use them instead.
options:
  paths:
    description: Absolute paths.
    type: list
    elements: path
    required: true
"""

EXAMPLES = r"""
- name: Read two files
  pyk8s.node.read:
    paths: [/etc/hostname, /etc/os-release]
"""

RETURN = r"""
contents:
  description: Path to content, base64 encoded; absent files are left out.
  returned: always
  type: dict
"""

import base64
import os

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    """Run the module."""
    arguments = {"paths": {"type": "list", "elements": "path", "required": True}}
    module = AnsibleModule(argument_spec=arguments, supports_check_mode=True)
    contents = {}
    for path in module.params["paths"]:
        if os.path.isfile(path):
            with open(path, "rb") as file:
                contents[path] = base64.b64encode(file.read()).decode()
    module.exit_json(changed=False, contents=contents)


if __name__ == "__main__":
    main()
