#!/usr/bin/python
"""Ask from a node whether a container image can be had."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: image
short_description: Ask from a node whether a container image can be had
version_added: 0.1.0
author: the pyk8s authors
description:
  - Asks the mirror that the runtimes use, or the image's own registry where there is none, for the image's manifest.
options:
  name:
    description: An image of the catalog.
    type: str
    choices: [coredns, pause]
    required: true
  reference:
    description: Filled in on the controller.
    type: str
  mirror:
    description: Filled in on the controller.
    type: str
    default: ""
attributes:
  check_mode:
    support: full
    description: It changes nothing.
"""

EXAMPLES = r"""
- name: Ask whether the image of CoreDNS can be had
  pyk8s.node.image:
    name: coredns
  register: __addons_coredns
"""

RETURN = r"""
available:
  description: Whether the registry has it.
  returned: always
  type: bool
reason:
  description: What the registry said.
  returned: always
  type: str
"""

import http.client
import urllib.error
import urllib.request

from ansible.module_utils.basic import AnsibleModule

KINDS = "application/vnd.oci.image.{0}.v1+json, application/vnd.docker.distribution.manifest.{1}v2+json"
TIMEOUT_SECONDS = 5


def main() -> None:
    """Run the module."""
    arguments = {
        "name": {"type": "str", "choices": ["coredns", "pause"], "required": True},
        "reference": {"type": "str"},
        "mirror": {"type": "str", "default": ""},
    }
    module = AnsibleModule(argument_spec=arguments, supports_check_mode=True)
    if not module.params["reference"]:
        module.fail_json(msg="image is filled in by its action plugin on the controller; call it as pyk8s.node.image")
    address = manifest_address(module.params["reference"], module.params["mirror"])
    available, reason = ask(address)
    module.exit_json(changed=False, available=available, reason=f"{address}: {reason}")


def manifest_address(reference: str, mirror: str) -> str:
    """Return where the manifest of ``registry/repository:tag`` stands."""
    registry, _, rest = reference.partition("/")
    repository, _, tag = rest.rpartition(":")
    base = mirror.rstrip("/") if mirror else f"https://{registry}"
    return f"{base}/v2/{repository}/manifests/{tag}?ns={registry}"


def ask(address: str) -> tuple[bool, str]:
    """Ask for the manifest; a registry that wants a login first counts as one that has it."""
    accept = ", ".join([KINDS.format("index", "list."), KINDS.format("manifest", "")])
    request = urllib.request.Request(address, method="HEAD", headers={"Accept": accept})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
            return True, f"status {answer.status}"
    except urllib.error.HTTPError as error:
        return error.code == http.client.UNAUTHORIZED, f"status {error.code}"
    except (OSError, http.client.HTTPException) as error:
        return False, str(error)


if __name__ == "__main__":
    main()
