"""The lab: containers with systemd and sshd that serve as machines, and a registry for them to pull from."""
