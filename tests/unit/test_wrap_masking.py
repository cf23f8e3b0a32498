"""Secrets are replaced before anything leaves; what only looks a little like one is left."""

import pytest

from producers.wrap.masking import Masker

ENVIRONMENT = {
    "MY_API_KEY": "abc-12345-def",
    "DB_PASSWORD": "hunter2hunter2",
    "SHORT_TOKEN": "short",
    "SSH_AUTH_SOCK": "/run/ssh-agent.1234",
    "SIGNING_KEY": "first-line-of-it\nsecond-line-of-it\n",
    "HOME": "/home/somebody",
}


@pytest.mark.parametrize(
    ("line", "masked"),
    [
        ("key=abc-12345-def.", "key=[masked: MY_API_KEY]."),
        ("hunter2hunter2 hunter2hunter2", "[masked: DB_PASSWORD] [masked: DB_PASSWORD]"),
        ("a short one, /run/ssh-agent.1234, /home/somebody", "a short one, /run/ssh-agent.1234, /home/somebody"),
        ("x second-line-of-it", "x [masked: SIGNING_KEY]"),
        ("AKIAIOSFODNN7EXAMPLE", "[masked: aws_key]"),
        ("ghp_" + "a" * 36, "[masked: github_token]"),
        ("OPENAI sk-proj-" + "a1" * 20, "OPENAI [masked: api_key]"),
        ("xoxb-1234567890-abcdef", "[masked: slack_token]"),
        ("Authorization: Bearer abcdef.123456", "[masked: bearer]"),
        ("postgres://me:s3cret@db/x", "postgres://me:[masked: password]@db/x"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefghij", "[masked: json_web_token]"),
        ("the token of the task-list is risk-free", "the token of the task-list is risk-free"),
    ],
)
def test_secrets_are_masked(line: str, masked: str) -> None:
    """By the variable's name, or by what the token is."""
    assert Masker(ENVIRONMENT)(line) == masked


def test_a_private_key_is_masked_to_its_last_line() -> None:
    """The lines between, and nothing after it; a key that breaks off takes no text with it."""
    mask = Masker({})
    key = ["-----BEGIN RSA PRIVATE KEY-----", "MIIEow==", "-----END RSA PRIVATE KEY-----"]
    assert [mask(line) for line in [*key, "then"]] == ["[masked: private_key]"] * 3 + ["then"]
    assert [mask(line) for line in [*key[:2], "a text, after all"]] == ["[masked: private_key]"] * 2 + [
        "a text, after all"
    ]
