"""Values are changed in the text; everything else stays as somebody wrote it."""

from __future__ import annotations

import difflib

import pytest
import yaml

from kindling.errors import RollError
from kindling.rolling import yamltext

KEYS = ("config", "kindling:cluster")
TEXT = """\
# A stack with opinions about its layout.
config:
  kindling:lockFile:   assets.lock.yaml
  kindling:cluster:
      name: edge   # three spaces
      assets:   # what runs
        flatcar: {channel: stable,  version: 4230.2.3}

        # the one that we tested
        kubernetes: 1.33.6
        mirrors:
        - /srv/mirror   # ours
      defaults:
        generation: 4
      nodes:
      - hostname: a.example.com # the first
        macAddress: "52:54:00:00:00:01"
        generation:   2   # since May
      -   macAddress: ["52:54:00:00:00:02"]
          hostname: 'b.example.com'
          role: worker
      - {hostname: c.example.com, role: worker}
      - { "hostname": "d.example.com", generation: 9, role: worker }
  encryptionsalt: v1:abc
"""


def changed(before: str, after: str) -> list[str]:
    """The lines that differ, as `diff` shows them."""
    lines = difflib.unified_diff(before.split("\n"), after.split("\n"), n=0, lineterm="")
    return [line for line in lines if line[0] in "+-" and line[:3] not in ("+++", "---")]


def raised(text: str, **wanted: int) -> str:
    """The text with generations of machines by their short names."""
    hosts = {f"{name}.example.com": number for name, number in wanted.items()}
    return yamltext.with_generations(text, KEYS, hosts, "Pulumi.test.yaml")


def test_a_generation_that_stands_there_is_replaced_and_its_comment_stays() -> None:
    """One line changes."""
    assert changed(TEXT, raised(TEXT, a=3)) == [
        "-        generation:   2   # since May",
        "+        generation:   3   # since May",
    ]


def test_a_generation_that_comes_from_elsewhere_is_written_at_the_node() -> None:
    """Below the name, in the entry's own indentation; the default stays for the others."""
    assert changed(TEXT, raised(TEXT, b=5)) == ["+          generation: 5"]


def test_entries_in_braces_are_changed_within_them() -> None:
    """With and without the key."""
    assert changed(TEXT, raised(TEXT, c=5, d=10)) == [
        "-      - {hostname: c.example.com, role: worker}",
        '-      - { "hostname": "d.example.com", generation: 9, role: worker }',
        "+      - {hostname: c.example.com, generation: 5, role: worker}",
        '+      - { "hostname": "d.example.com", generation: 10, role: worker }',
    ]


def test_windows_line_ends_stay() -> None:
    """Also in the line that is new."""
    text = TEXT.replace("\n", "\r\n")
    after = raised(text, b=5)
    assert after.count("\r\n") == text.count("\r\n") + 1
    assert "\n" not in after.replace("\r\n", "")


def test_a_file_without_a_last_line_end_gets_its_line_all_the_same() -> None:
    """It ends with the machine's name."""
    text = "nodes:\n- role: worker\n  hostname: a.example.com"
    after = yamltext.with_generations(text, (), {"a.example.com": 2}, "cluster.yaml")
    assert yaml.safe_load(after)["nodes"][0]["generation"] == 2


def test_an_alias_is_refused_with_what_to_do_by_hand() -> None:
    """Changing the anchor would raise the generation of others too."""
    text = TEXT.replace("generation: 4", "generation: &g 4").replace(
        "role: worker\n", "generation: *g\n", 1
    )
    with pytest.raises(RollError, match=r"generation of b\.example\.com to 5 by hand"):
        raised(text, b=5)


def test_a_text_that_comes_out_otherwise_than_meant_is_never_returned() -> None:
    """The last look, whatever went wrong before it."""
    assert yamltext.checked("a: 1\n", {"a": 1}, "x", "set a") == "a: 1\n"
    with pytest.raises(RollError, match="set a by hand"):
        yamltext.checked("a: 1\n", {"a": 2}, "x", "set a")


def test_a_section_is_taken_out_and_put_back_with_its_comments() -> None:
    """Between files of different indentation too."""
    earlier = yamltext.section(TEXT, KEYS)
    newer = TEXT.replace("1.33.6", "1.34.4").replace("# the one that we tested", "# bold")
    assert yamltext.with_section(newer, KEYS, earlier, "x") == TEXT
    other = "config:\n kindling:cluster:\n  assets:\n     kubernetes: 1.34.4\n  nodes: []\n"
    back = yamltext.with_section(other, KEYS, earlier, "x")
    assert (
        yaml.safe_load(back)["config"]["kindling:cluster"]["assets"]
        == (yaml.safe_load(TEXT)["config"]["kindling:cluster"]["assets"])
    )
    assert "# the one that we tested" in back
    assert "# ours\n" in back


def test_a_section_in_braces_takes_the_place_of_one_in_lines_and_back() -> None:
    """Whoever changed the layout meanwhile."""
    lines = "assets:\n  flatcar:\n    version: 1\nnodes: []\n"
    braces = "assets: {flatcar: {version: 2}}\nnodes: []\n"
    assert yamltext.with_section(braces, (), yamltext.section(lines, ()), "x") == lines
    assert yamltext.with_section(lines, (), yamltext.section(braces, ()), "x") == braces
