"""Command-line tools: what Kindling needs of them, pinned, and how they come into place."""
