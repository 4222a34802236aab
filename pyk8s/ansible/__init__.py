"""What the Ansible plugins share on the controller."""
