"""Rendered trees, checked in: what every component looks like on a node, version by version."""
