"""Secrets are replaced before anything leaves; what only looks a little like one is left."""

import random
import time

import pytest

from producers.wrap.masking import MAX_GAP_LINES, Masker, NoMasker, secret_names

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


SECRET_NAMES = [
    "AWS_SECRET_ACCESS_KEY", "AZURE_STORAGE_CONNECTION_STRING", "BW_SESSION", "CREDS", "DATABASE_URL", "DBPASS",
    "DB_CREDS", "DB_PASS", "DB_PASS_2", "DB_PWD", "DB_PW", "DOCKER_AUTH_CONFIG", "GH_PAT", "LDAP_BINDPW", "MYSQL_PWD",
    "NPM_CONFIG__AUTH", "PASS", "PGPASSWORD", "REDISCLI_AUTH", "REQUEST_SIG", "SENTRY_DSN", "SESSION_COOKIE",
    "SIGNING_KEYS", "SLACK_WEBHOOK_URL", "SSHPASS", "SSH_KEY_BASE64", "STORAGE_KEY1", "WEBHOOK_SIGNATURE", "db_pass",
]  # fmt: skip
OTHER_NAMES = [
    "BYPASS", "BUILD_PWD", "COMPASS", "GIT_ASKPASS", "GOOGLE_APPLICATION_CREDENTIALS", "HOME", "KEYBOARD", "LESSKEYIN",
    "LOWPASS", "OLDPWD", "OLD_PWD", "PATH", "PROXY_BYPASS", "PWD", "SIGNAL", "SSH_AUTH_SOCK", "SSH_KEY_PATH",
    "TOKEN_DIR", "TOKEN_FILE", "XAUTHORITY", "XDG_SESSION_ID",
]  # fmt: skip


def test_secrets_are_known_by_their_names() -> None:
    """The names of either kind, each with a value that begins as a path does."""
    environment = dict.fromkeys([*SECRET_NAMES, *OTHER_NAMES], "/run/a-value-1")
    assert secret_names(environment) == sorted(SECRET_NAMES)


def test_a_value_may_begin_as_a_path_does() -> None:
    """A secret of base64 may; what is left out is the place of a file, and only where the name says that it is one."""
    mask = Masker({"AWS_SECRET_ACCESS_KEY": "/CANARY+abc", "TOKEN_FILE": "/run/token", "PRIVATE_KEY_FILE": "MIIEow+x"})
    assert mask("x /CANARY+abc /run/token MIIEow+x") == (
        "x [masked: AWS_SECRET_ACCESS_KEY] /run/token [masked: PRIVATE_KEY_FILE]"
    )


_LONG = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4"


@pytest.mark.parametrize(
    ("line", "masked"),
    [
        (f"sk_live_{_LONG} rk_live_{_LONG} sk_test_{_LONG}", " ".join(["[masked: stripe_key]"] * 3)),
        (f"pypi-AgEIcHlwaS5vcmc{_LONG}", "[masked: pypi_token]"),
        (f"SG.{_LONG}.{_LONG}", "[masked: sendgrid_key]"),
        (f"hvs.{_LONG}", "[masked: vault_token]"),
        ("dop_v1_" + "0a" * 32, "[masked: digitalocean_token]"),
        (f"ya29.{_LONG}", "[masked: google_token]"),
        ("AIza" + "-" * 35, "[masked: google_key]"),
        (f"glpat-{_LONG * 3}", "[masked: gitlab_token]"),
        (f"https://hooks.slack.com/services/T0/B0/{_LONG}", "https://[masked: slack_webhook]"),
        (f"AccountName=a;AccountKey={_LONG}==;B=c", "AccountName=a;[masked: azure_key];B=c"),
        (f"?sv=1&sig={_LONG}%3D", "?sv=1[masked: azure_key]"),
        (rf'{{"out": "a\nsk-{_LONG}\nb"}}', r'{"out": "a\n[masked: api_key]\nb"}'),
        ("AGE-SECRET-KEY-1" + "Q2" * 29, "[masked: age_key]"),
        (f'"Authorization": "Bearer {_LONG}"', '"[masked: bearer]"'),
        (f"a Bearer {_LONG}", "a [masked: bearer_token]"),
        ("Set-Cookie: session=abcdefgh; Path=/", "[masked: cookie]"),
        ("x-api-key: abcdefg1", "x-api-key: [masked: secret]"),
        ("X-Functions-Key: abcdefg1", "X-Functions-Key: [masked: secret]"),
        ("postgres://me:a/b@db/x", "postgres://me:[masked: password]@db/x"),
        ("postgres://me:a:b@db/x", "postgres://me:[masked: password]@db/x"),
        ("redis://:abc@db/x", "redis://:[masked: password]@db/x"),
    ],
)
def test_secrets_are_known_by_their_shapes(line: str, masked: str) -> None:
    """Of what many services give out, also behind a line end that is written as two characters."""
    assert Masker({})(line) == masked


@pytest.mark.parametrize(
    ("line", "masked"),
    [
        ("password=hunter2hunter2", "password=[masked: secret]"),
        ("passwd: hunter2hunter2, next", "passwd: [masked: secret], next"),
        ("DB_PASSWORD=my_pass_123", "DB_PASSWORD=[masked: secret]"),
        ("aws_secret_access_key = wJalr/K7MDENG+bPx", "aws_secret_access_key = [masked: secret]"),
        ("token = 'hunter2(hunter2'", "token = '[masked: secret]'"),
        ('{"client_secret":"hunter2,hunter2"}', '{"client_secret":"[masked: secret]"}'),
        (r"{\"password\": \"hunter2hunter2\"}", r"{\"password\": \"[masked: secret]\"}"),
        ("'password' => 'hunter2hunter2'", "'password' => '[masked: secret]'"),
        ("https://x/?token=abcdefg1&page=2", "https://x/?token=[masked: secret]&page=2"),
        ("curl --api-key hunter2hunter2", "curl --api-key [masked: secret]"),
        ("Server=x;Pwd=hunter2hunter2;", "Server=x;Pwd=[masked: secret];"),
    ],
)
def test_what_is_given_to_a_secrets_name_is_masked(line: str, masked: str) -> None:
    """In the forms of a shell, of settings, JSON, code, a URL's query and options."""
    assert Masker({})(line) == masked


@pytest.mark.parametrize(
    "line",
    [
        "password = get_password()",
        "password = base64_decode2(text)",
        "token=token",
        "token = config.token12",
        "token = tokens2024[index]",
        "def login(password: str, token: str | None = None) -> None:",
        "token = uuid.uuid4().hex",
        "password=os.environ['DB_PASSWORD1']",
        "password=$DB_PASSWORD_12",
        'password: "${DB_PASSWORD_12}"',
        "token: ${{ secrets.TOKEN_12 }}",
        "tests/test_token.py::test_token_12 PASSED",
        "test_password::case_number_12",
        "the token: 2 of 12 were read, the secret sharing2gether",
        "Password: must have eight characters and 1 digit",
        "tokens: 12345678",
        "PWD=/home/me/project12",
        "x = sk - task-list-of-the-desk-number-12",
        "https://registry.npmjs.org:443/@scope/package and docker://registry:5000/image@sha256:0a",
        "git@github.com:me/repository12.git",
        '{"url": "http://localhost:8080/x", "mail": "me@example.com"}',
        "the bearer of the news, and pypi-attestations",
    ],
)
def test_code_and_prose_stay(line: str) -> None:
    """What only names a secret is shown."""
    assert Masker({})(line) == line


def test_a_private_key_is_masked_to_its_last_line() -> None:
    """The lines between, and nothing after it; a key that breaks off takes no text with it."""
    mask = Masker({})
    key = ["-----BEGIN RSA PRIVATE KEY-----", "MIIEow==", "-----END RSA PRIVATE KEY-----"]
    assert [mask(line) for line in [*key, "then"]] == ["[masked: private_key]"] * 3 + ["then"]
    assert [mask(line) for line in [*key[:2], "a text, after all"]] == ["[masked: private_key]"] * 2 + [
        "a text, after all"
    ]


@pytest.mark.parametrize(
    ("begin", "margin", "end"),
    [
        ("     1\t", "     2\t", ""),
        ("     1  ", "     2  ", ""),
        ("  1→", "  2→", ""),
        ("1:", "2:", ""),
        ("1 |", "2 |", ""),
        ("│ 1 ", "│ 2 ", " │"),
        ("a/key.pem:1:", "a/key.pem-2-", ""),
        ("+", "+", ""),
        ("> ", "> ", ""),
        ('key = "', '    "', '\\n"'),
    ],
)
def test_a_private_key_is_masked_behind_what_a_viewer_writes_before_its_lines(
    begin: str, margin: str, end: str
) -> None:
    """Line numbers, a file's name, a diff's sign, a frame, quotes."""
    mask = Masker({})
    body = "MIIEowIBAAKCAQEA" * 4
    assert mask(f"{begin}-----BEGIN PRIVATE KEY-----{end}") == f"{begin}[masked: private_key]"
    assert mask(f"{margin}{body}{end}") == "[masked: private_key]"
    assert mask(f"{margin}{body * 20}{end}") == "[masked: private_key]"
    assert mask(f"{margin}abc=={end}") == "[masked: private_key]"
    assert mask(f"{margin}-----END PRIVATE KEY-----{end}") == "[masked: private_key]"
    assert mask(f"{margin}then{end}") == f"{margin}then{end}"


def test_a_private_key_goes_on_behind_other_lines() -> None:
    """What a viewer or another program says in its middle is shown; so far below, a long word is one again."""
    mask, body = Masker({}), "MIIEowIBAAKCAQEA" * 4
    assert mask("-----BEGIN PGP PRIVATE KEY BLOCK-----") == "[masked: private_key]"
    lines = ["… 18 more lines", "word", body, "ab=="]
    assert [mask(line) for line in lines] == [*lines[:2], *["[masked: private_key]"] * 2]
    others = ["an ordinary line"] * MAX_GAP_LINES
    assert [mask(line) for line in others] == others
    assert mask(body) == body


def test_a_text_of_several_lines_is_masked_with_its_line_ends() -> None:
    """To the last line of a private key in it; the lines before and after know nothing of it."""
    mask = Masker({"A_TOKEN": "hunter2hunter2"})
    text = "echo '-----BEGIN PRIVATE KEY-----\nMIIEow==\r\n\n-----END PRIVATE KEY-----\n' hunter2hunter2"
    assert mask.text(text) == (
        "echo '[masked: private_key]\n[masked: private_key]\r\n[masked: private_key]\n[masked: private_key]\n"
        "' [masked: A_TOKEN]"
    )
    assert mask.text("-----BEGIN PRIVATE KEY-----\n") == "[masked: private_key]\n"
    assert mask("MIIEow==") == "MIIEow=="
    mask("-----BEGIN PRIVATE KEY-----")
    assert mask.text("word") == "word"
    assert mask("MIIEow==") == "[masked: private_key]"
    assert (mask.text(""), NoMasker().text("a\nb")) == ("", "a\nb")


def test_values_that_are_no_utf8_are_masked_where_they_are_shown() -> None:
    """Python keeps such bytes as surrogates, a terminal's lines have U+FFFD for them."""
    value = b"caf\xe9-\xe2\x82-secret"
    mask = Masker({"A_TOKEN": value.decode(errors="surrogateescape"), "B\udcff_KEY": "abcdefgh"})
    assert mask(f"x {value.decode(errors='replace')} abcdefgh") == "x [masked: A_TOKEN] [masked: B\ufffd_KEY]"
    assert mask(value.decode(errors="surrogateescape")) == "[masked: A_TOKEN]"
    assert mask("\ud800 é \udcff") == "\ufffd é \ufffd"


def test_an_environment_may_hold_megabytes() -> None:
    """The values are looked for whole, however long."""
    values = {f"A{n}_TOKEN": f"{n:03}" + "ab" * 60_000 for n in range(12)}
    assert Masker(values)(f"x {values['A7_TOKEN']}.") == "x [masked: A7_TOKEN]."


@pytest.mark.parametrize(
    "line",
    [
        "password=" * 7_000,
        "://a:" * 12_000,
        "token='" + "_" * 65_000,
        "x-" * 30_000,
        "eyJ" * 20_000,
        "\\" * 65_000,
        "curl -u a" * 7_000,
        "mysql " * 11_000,
    ],
)
def test_no_line_takes_long(line: str) -> None:
    """Lines of the length that a screen gives at most, near to every shape, and none."""
    mask, began = Masker({"A_TOKEN": "hunter2hunter2"}), time.process_time()
    mask(line)
    assert time.process_time() - began < 2


def test_lines_at_random_raise_nothing() -> None:
    """Whatever stands in a line."""
    draw, mask = random.Random(7), Masker({"A_TOKEN": "hunter2hunter2"})
    parts = [
        "password",
        "=",
        ": ",
        "'",
        '"',
        "\\",
        '""""""""',
        "abc12345",
        "://",
        "@",
        "/",
        "\ud800",
        "é",
        "(",
        "-----BEGIN PRIVATE KEY-----",
        "\n",
    ]
    for _ in range(3_000):
        line = "".join(draw.choice(parts) for _ in range(12))
        mask(line)
        mask.text(line)
