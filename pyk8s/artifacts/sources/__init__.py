"""Where binaries come from: upstream, a mirror of one's own, or Debian's packages."""
