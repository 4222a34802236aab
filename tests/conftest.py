"""The project's Ansible collection is importable in every test, and so is ``tests`` itself."""

from ansible.plugins.loader import init_plugin_loader

from pyk8s import paths

init_plugin_loader([str(paths.ROOT / "pyk8s" / "ansible")])
