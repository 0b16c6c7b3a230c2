"""The error of the tools."""

from kindling.errors import CommandError


class ToolError(CommandError):
    """A tool cannot be had; the message says what is missing and what to do."""
