"""Faults under observation: probes that ask all the time, and the stage on which a fault is made and undone."""
