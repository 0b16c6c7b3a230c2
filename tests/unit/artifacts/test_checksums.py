from __future__ import annotations

import pytest

from kindling.artifacts.checksums import Checksum, parse_digests, parse_sha256sums
from kindling.errors import LockError

A, B = "a1" * 32, "b2" * 32
LONG, OTHER = "c3" * 64, "d4" * 64
DIGESTS = f"""\
# MD5 HASH
0123456789abcdef0123456789abcdef  image.bin
# SHA1 HASH
0123456789abcdef0123456789abcdef01234567  image.bin
# SHA512 HASH
{LONG}  image.bin
{OTHER}  image.bin.sig
"""


def test_flatcars_digests_give_the_sha512_of_exactly_the_file_asked_for() -> None:
    assert parse_digests(DIGESTS, "image.bin") == Checksum("sha512", LONG)
    assert parse_digests(DIGESTS, "image.bin.sig") == Checksum("sha512", OTHER)
    assert parse_digests(DIGESTS, "image") is None


def test_a_sha256_is_preferred_where_digests_have_one() -> None:
    assert parse_digests(f"{DIGESTS}# SHA256 HASH\n{A}  image.bin\n", "image.bin") == Checksum(
        "sha256", A
    )


def test_md5_and_sha1_are_not_trusted() -> None:
    assert parse_digests(DIGESTS.partition("# SHA512")[0], "image.bin") is None


@pytest.mark.parametrize(
    "line",
    [
        f"{A}  etcd.raw",
        f"{A} *etcd.raw",
        f"{A.upper()}  ./etcd.raw",
        f"{A}  out/etcd.raw\r",
        f"SHA256 (etcd.raw) = {A}",
    ],
)
def test_every_usual_form_of_a_sha256sums_line_is_read(line: str) -> None:
    text = f"{B}  other.raw\n\n{line}\n"
    assert parse_sha256sums(text, "etcd.raw") == Checksum("sha256", A)


@pytest.mark.parametrize("text", ["", "<html>etcd.raw</html>", f"{A[:-2]}  etcd.raw", LONG])
def test_what_is_no_checksum_is_none(text: str) -> None:
    assert parse_sha256sums(text, "etcd.raw") is None


def test_a_list_that_contradicts_itself_is_refused_and_one_that_repeats_itself_is_not() -> None:
    assert parse_sha256sums(f"{A}  e.raw\n{A}  e.raw\n", "e.raw") == Checksum("sha256", A)
    with pytest.raises(LockError, match=r"name 2 different ones for e\.raw"):
        parse_sha256sums(f"{A}  e.raw\n{B}  e.raw\n", "e.raw")
