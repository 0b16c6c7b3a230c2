"""One iPXE command about to run: its options and arguments, counted and checked."""

from __future__ import annotations

from dataclasses import dataclass

from kindling.simulator.script import Place


@dataclass
class Call:
    """One command with its expanded words; options are taken off before arguments are read."""

    name: str
    words: list[str]
    place: Place

    def options(self, flags: set[str], valued: set[str]) -> dict[str, str]:
        """Take the options before the first argument, long or by their first letter."""
        short = {option[1:3]: option for option in sorted(flags | valued)}
        taken: dict[str, str] = {}
        while self.words and self.words[0].startswith("-"):
            word, _equals, value = self.words.pop(0).partition("=")
            option = short.get(word, word)
            if option not in flags | valued:
                raise self.place.error(f'{self.name} has no option "{word}" here')
            if option in valued and not value:
                value = self.words.pop(0) if self.words else ""
            taken[option] = value
        return taken

    def arguments(self, least: int, most: int | None) -> list[str]:
        """The words, counted. Raises `SimulationError` when there are too few or too many."""
        if len(self.words) < least or (most is not None and len(self.words) > most):
            wanted = f"{least}" if least == most else f"{least} to {most or 'any number'}"
            raise self.place.error(f"{self.name} takes {wanted} arguments, not {len(self.words)}")
        return self.words

    def number(self, word: str) -> int:
        """A whole number, decimal or 0x."""
        try:
            return int(word, 0)
        except ValueError:
            raise self.place.error(f'"{word}" is not a number') from None
