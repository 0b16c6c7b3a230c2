"""Settings are checked at the door, with the remedy and without the token."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from kindling.bootserver.settings import add_arguments, load_settings, settings_from
from kindling.errors import BootServerError

TOKEN = "a-token-of-the-operator"


def test_the_directory_is_made_with_a_private_part(tmp_path):
    settings = load_settings(tmp_path / "a" / "b", environment={})
    assert settings.private.stat().st_mode & 0o777 == 0o700
    assert settings.database_url == f"sqlite:///{tmp_path}/a/b/.kindling/records.sqlite"
    assert settings.token is None


def test_a_relative_directory_is_made_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_settings(Path("data"), environment={}).directory == tmp_path / "data"


def test_the_token_comes_from_the_environment(tmp_path):
    settings = load_settings(tmp_path, environment={"KINDLING_STORE_TOKEN": f"{TOKEN}\n"})
    assert settings.token is not None
    assert settings.token.get_secret_value() == TOKEN
    assert TOKEN not in repr(settings)


def test_a_token_file_goes_before_the_environment(tmp_path):
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    file.chmod(0o600)
    other = {"KINDLING_STORE_TOKEN": "another-token-of-an-operator"}
    settings = load_settings(tmp_path / "d", token_file=file, environment=other)
    assert settings.token is not None
    assert settings.token.get_secret_value() == TOKEN


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o604])
def test_a_token_file_that_others_may_read_is_refused(tmp_path, mode):
    file = tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(mode)
    with pytest.raises(BootServerError, match="chmod 600") as caught:
        load_settings(tmp_path / "d", token_file=file, environment={})
    assert TOKEN not in str(caught.value)


def test_an_empty_or_missing_token_file_is_refused(tmp_path):
    file = tmp_path / "token"
    with pytest.raises(BootServerError, match="cannot be read"):
        load_settings(tmp_path / "d", token_file=file, environment={})
    file.touch(mode=0o600)
    with pytest.raises(BootServerError, match="is empty"):
        load_settings(tmp_path / "d", token_file=file, environment={})


def test_a_short_token_is_refused_without_being_shown(tmp_path):
    with pytest.raises(BootServerError, match="at least 16 characters") as caught:
        load_settings(tmp_path, environment={"KINDLING_STORE_TOKEN": "tooshort"})
    assert "tooshort" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"port": 0}, "port"),
        ({"port": 65_536}, "port"),
        ({"workers": 0}, "workers"),
        ({"claim_grace": -1}, "claim_grace"),
        ({"tls_cert": Path("/nothing.pem")}, "both a certificate and a key"),
        (
            {"tls_cert": Path("/nothing.pem"), "tls_key": Path("/nothing.key")},
            "/nothing.pem is not a file",
        ),
        ({"trusted_proxies": ("proxy.example.net",)}, "trusted_proxies"),
    ],
)
def test_a_bad_setting_is_named(tmp_path, options, said):
    with pytest.raises(BootServerError, match=said):
        load_settings(tmp_path, environment={}, **options)


def test_all_bad_settings_are_reported_together(tmp_path):
    with pytest.raises(BootServerError, match=r"port.*workers"):
        load_settings(tmp_path, environment={}, port=0, workers=0)


def test_a_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BootServerError, match="file/data cannot be the boot server's directory"):
        load_settings(tmp_path / "file" / "data", environment={})


def test_the_command_line_gives_the_same_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("KINDLING_STORE_TOKEN", TOKEN)
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    line = f"--directory {tmp_path} --host 127.0.0.1 --port 9000 --trusted-proxy 10.0.0.0/8"
    given = settings_from(parser.parse_args(f"{line} --claim-grace 0".split()))
    assert given == load_settings(
        tmp_path, host="127.0.0.1", port=9000, trusted_proxies=("10.0.0.0/8",), claim_grace=0
    )
    assert load_settings(tmp_path).claim_grace == 300


def test_the_token_is_no_option_of_the_command_line():
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert "--token " not in parser.format_help()
