"""How much is measured: the sizes that the aims speak of, and small ones to see that it works."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Amounts of work. Sizes are in bytes, ``duration`` in whole seconds (as wrk takes it)."""

    turns: int = 3
    nodes: int = 300
    rendered: int = 1000
    transferred: int = 2_000_000_000
    asset: int = 300_000_000
    rounds: int = 3  # how often each reader fetches the asset
    duration: int = 5
    connections: int = 32

    @classmethod
    def quick(cls) -> Sizes:
        """So little that the figures mean nothing."""
        return cls(
            turns=1,
            nodes=6,
            rendered=20,
            transferred=20_000_000,
            asset=10_000_000,
            rounds=1,
            duration=1,
        )
