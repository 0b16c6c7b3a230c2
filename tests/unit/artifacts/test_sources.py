from __future__ import annotations

from pathlib import Path

import pytest

from kindling.artifacts.sources import Source, parse_source, shown_url, sources_of
from kindling.errors import ArtifactError
from kindling.models.assets import AssetFile

FILE = AssetFile(path="assets/flatcar/arm64/1.2.3/a+b.raw", url="https://up.example.com/x/a.raw")


def test_a_mirror_has_a_file_at_its_store_path_without_assets() -> None:
    mirrors = ("https://m.example.com/k/", "file:///srv/m", "/srv/n", "relative")
    assert [str(source) for source in sources_of(FILE, mirrors)] == [
        "https://m.example.com/k/flatcar/arm64/1.2.3/a%2Bb.raw",
        "/srv/m/flatcar/arm64/1.2.3/a+b.raw",
        "/srv/n/flatcar/arm64/1.2.3/a+b.raw",
        "relative/flatcar/arm64/1.2.3/a+b.raw",
        "https://up.example.com/x/a.raw",
    ]


def test_the_same_place_is_tried_once() -> None:
    assert len(sources_of(FILE, ("/srv/m", "/srv/m"))) == 2


def test_checksum_files_are_looked_up_beside_the_file() -> None:
    assert str(parse_source(FILE.url).beside("SHA256SUMS")) == "https://up.example.com/x/SHA256SUMS"
    assert parse_source("/srv/a.raw").beside("SHA256SUMS").file == Path("/srv/SHA256SUMS")


def test_a_source_knows_the_name_that_checksum_files_use() -> None:
    assert Source(url="https://up.example.com/x/a%2Bb.raw?sig=1").name == "a+b.raw"
    assert Source(file=Path("/srv/a+b.raw")).name == "a+b.raw"


@pytest.mark.parametrize("url", ["ftp://example.com/a", "s3://bucket/a", "file://host/a"])
def test_other_schemes_and_files_of_other_hosts_are_refused(url: str) -> None:
    with pytest.raises(ArtifactError):
        parse_source(url)


def test_a_password_in_a_url_is_refused_without_being_repeated() -> None:
    with pytest.raises(ArtifactError, match=r"put it into ~/\.netrc") as raised:
        parse_source("https://me:geheim@example.com/a")
    assert "geheim" not in str(raised.value)


def test_urls_are_shown_without_user_and_query() -> None:
    assert shown_url("https://me:x@example.com:8/a?k=v") == "https://example.com:8/a?..."
