"""Proves, on the running cluster, every promise that the architecture makes."""
