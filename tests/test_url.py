"""Backend URLs."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobkit.errors import ConfigurationError
from jobkit.url import Url, nearest

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)


@attrs.frozen
class Options:
    namespace: str = "jobkit"
    size: int = 1
    wait: float = 1.0
    safe: bool = True


def test_a_url_is_taken_apart() -> None:
    url = Url.parse("postgresql://anna:p%40ss%2Fw%3A@db.example:5433/shop?namespace=a&wait=10m")
    assert (url.scheme, url.username, url.password) == ("postgresql", "anna", "p@ss/w:")
    assert (url.host, url.port, url.path) == ("db.example", 5433, "shop")
    assert dict(url.params) == {"namespace": "a", "wait": "10m"}


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("sqlite:///jobs.db", "jobs.db"),
        ("sqlite:////var/jobs.db", "/var/jobs.db"),
        ("sqlite:///a%20b%23.db", "a b#.db"),
        ("memory://", ""),
    ],
)
def test_a_path_loses_its_first_slash_and_no_more(text: str, path: str) -> None:
    assert Url.parse(text).path == path


def test_a_host_may_be_an_ipv6_address() -> None:
    url = Url.parse("redis://[::1]:6380/0")
    assert (url.host, url.port) == ("::1", 6380)
    assert url.text() == "redis://[::1]:6380/0"


@given(
    username=st.none() | TEXT,
    password=st.none() | st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20),
    host=st.sampled_from(["db", "10.0.0.1", "::1", "fe80::1", "a-b.example"]),
    port=st.none() | st.integers(1, 65535),
    path=st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20),
    params=st.dictionaries(TEXT, TEXT, max_size=3),
)
def test_whatever_its_parts_hold_the_text_of_a_url_leads_back_to_it(
    username: str | None, password: str | None, host: str, port: int | None, path: str, params: dict[str, str]
) -> None:
    url = Url("x", username, password, host, port, path, params)
    parsed = Url.parse(url.text())
    assert (parsed.username or None) == (username or None)
    assert attrs.evolve(parsed, username=None) == attrs.evolve(url, username=None)


@given(st.text("abcdef@:/?#[]%&=+ üß€", min_size=4, max_size=20))
def test_a_password_is_shown_nowhere_but_in_text(password: str) -> None:
    url = Url(scheme="postgresql", username="u", password=password, host="h", path="d")
    assert str(url) == "postgresql://u:***@h/d"
    assert password not in repr(url)
    assert Url.parse(url.text()).password == password


def test_an_option_that_sounds_secret_is_masked_like_a_password() -> None:
    url = Url.parse("sqs://eu-west-1/?secret_key=abc123&session_token=abc123&password=abc123&namespace=abc")
    assert "abc123" not in str(url) + repr(url)
    assert "namespace=abc" in str(url)
    assert "abc123" in url.text()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "jobs.db",
        "mailto:somebody",
        "://x",
        "postgresql://u:s3cret@h:port/d",
        "postgresql://u:s3cret@h:99999/d",
        "postgresql://u:s3cret@[::1/d",
        "postgresql://u:s3cret@h/d?x",
        "postgresql://u:s3c#ret@h/d",
        "postgresql://u:s3c/ret@h/d",
        "postgresql://u:12#s3cret@h/d",
        "sqlite:///s3cret#1.db",
    ],
)
def test_what_is_no_url_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ConfigurationError, match="URL") as caught:
        Url.parse(text)
    assert "s3c" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_an_option_may_stand_only_once() -> None:
    with pytest.raises(ConfigurationError, match="'wait' stands twice"):
        Url.parse("memory://?wait=1&wait=2")


def test_options_are_read_into_their_types() -> None:
    read = Url.parse("x://h?size=3&wait=2.5&safe=off&namespace=n").options(Options)
    assert read == Options("n", 3, 2.5, False)
    assert Url.parse("x://h?wait=10m").options(Options).wait == 600
    assert Url.parse("x://h").options(Options) == Options()


def test_an_unknown_option_names_the_nearest_known_one() -> None:
    with pytest.raises(ConfigurationError, match="unknown option 'namspace'; did you mean 'namespace'"):
        Url.parse("x://h?namspace=a").options(Options)
    with pytest.raises(ConfigurationError, match="known are namespace, safe, size, wait"):
        Url.parse("x://h?q=a").options(Options)


@pytest.mark.parametrize(("option", "expected"), [("size=x", "int"), ("safe=maybe", "bool"), ("wait=long", "wait 'long'")])
def test_a_wrong_value_of_an_option_is_named(option: str, expected: str) -> None:
    with pytest.raises(ConfigurationError, match=expected):
        Url.parse(f"x://h?{option}").options(Options)


def test_params_can_be_set_without_touching_the_rest() -> None:
    url = Url.parse("x://u:p@h:1/d?a=1").with_params(a="2", b="3")
    assert url.text() == "x://u:p@h:1/d?a=2&b=3"


def test_the_tail_of_an_error_names_what_is_known() -> None:
    assert nearest("emial", ["email"]) == "; did you mean 'email'?"
    assert nearest("x", []) == "; none is known"
