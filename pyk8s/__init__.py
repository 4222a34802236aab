"""pyk8s: from bare Linux machines to a proven Kubernetes cluster."""

__version__ = "0.1.0"
