"""How a cluster is: asked on its nodes over SSH and through its API, shown on one screen."""
