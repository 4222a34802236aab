"""Say at the end how long each role took and, on the way, what is being waited for."""

from __future__ import annotations

DOCUMENTATION = r"""
---
name: phases
type: aggregate
short_description: Seconds per role, and module executions per host
version_added: 0.1.0
author: the pyk8s authors
description:
  - Prints after the recap how many seconds each role took.
  - Loads on the controller, once, what the action plugins of this collection need, so that each task starts at once.
  - Writes the figures to the file that E(PYK8S_PHASES_FILE) names, as JSON, where it is set.
"""

import json
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

import pyk8s.artifacts
import pyk8s.cluster.preflight
import pyk8s.cluster.registration
import pyk8s.pki
import pyk8s.render

PRELOADED = (pyk8s.artifacts, pyk8s.cluster.preflight, pyk8s.cluster.registration, pyk8s.pki, pyk8s.render)


class CallbackModule(CallbackBase):
    """Measures roles and counts module executions."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "pyk8s.node.phases"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._seconds: Counter[str] = Counter()
        self._executions: Counter[str] = Counter()
        self._current = ""
        self._since = time.monotonic()

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        """Close the role that ran and begin the next."""
        self._close()
        self._current = task._role.get_name() if task._role else task.get_name()

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        """Count a handler with its role."""
        self.v2_playbook_on_task_start(task, is_conditional=False)

    def v2_runner_on_ok(self, result: Any) -> None:
        """Count one execution on a host."""
        self._executions[result._host.get_name()] += 1

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Print the seconds per role, and write the figures where that is wanted."""
        self._close()
        listed = "  ".join(f"{name} {seconds:.1f}" for name, seconds in self._seconds.items() if seconds >= 0.1)
        self._display.display(f"\nseconds per role: {listed}  in all {sum(self._seconds.values()):.1f}")
        if wanted := os.environ.get("PYK8S_PHASES_FILE"):
            figures = {"seconds": dict(self._seconds), "executions": dict(self._executions)}
            Path(wanted).write_text(json.dumps(figures, indent=2), encoding="utf-8")

    def _close(self) -> None:
        now = time.monotonic()
        if self._current:
            self._seconds[self._current] += now - self._since
        self._since = now
