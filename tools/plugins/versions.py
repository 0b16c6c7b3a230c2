"""The official plugins' versions that these stand in for; as in requirements/runtime.in."""

VERSIONS = {"random": "4.21.4", "command": "1.2.1"}
