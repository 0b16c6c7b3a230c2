"""Artifacts: which are needed, what they must be, and how they are had."""
