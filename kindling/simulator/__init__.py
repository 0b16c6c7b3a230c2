"""Simulated machines: they follow the served scripts over HTTP, and know nothing else."""
