"""Figures about Kindling, each beside the same work done by a program that is known to be fast."""
