"""Offline stand-ins for the Pulumi plugins `random` and `command`.

Modules here import each other relatively, because the package also runs from inside a plugin
archive, under another name and far away from the checkout (see `tools/plugin_archive.py`).
"""
