"""Passwords on command lines."""

import time

import pytest

from producers.wrap.masking import Masker

M = "[masked: password]"
TOKEN = "ghp_" + "a1" * 18


@pytest.mark.parametrize(
    ("line", "masked"),
    [
        ("$ curl -s -u me:hunter https://x:1/a", f"$ curl -s -u me:{M} https://x:1/a"),
        ("curl --user='me:hun:ter' x", f"curl --user='me:{M}' x"),
        ('curl -ume:"hun ter" x', f"curl -ume:{M} x"),
        ('curl -u "me:hun ter" x', f'curl -u "me:{M}" x'),
        (r"curl -u 'me:it'\''s' x", f"curl -u 'me:{M}' x"),
        ("+ curl -fsSLu admin:admin x", f"+ curl -fsSLu admin:{M} x"),
        ("curl -su :TOKEN x", f"curl -su :{M} x"),
        ("curl -H 'Content-Type: a/json; charset=utf-8' -u me:hunter x", None),
        ("curl -u $USER:hunter x", f"curl -u $USER:{M} x"),
        ("curl --proxy-user me:hunter x", f"curl --proxy-user me:{M} x"),
        (r'{"command": "curl -u \"me:hunter\" x"}', r'{"command": "curl -u \"me:' + M + r'\" x"}'),
        ('{"command": "curl -u me:hunter"}', f'{{"command": "curl -u me:{M}"}}'),
        ("curl -u a:first x && curl -u c:second y", f"curl -u a:{M} x && curl -u c:{M} y"),
        ("  12: RUN curl -u me:hunter x", f"  12: RUN curl -u me:{M} x"),
        ("me@host:~$ A=1 sudo curl -u me:hunter x", f"me@host:~$ A=1 sudo curl -u me:{M} x"),
        ("mysql -u root -phunter db", f"mysql -u root -p{M} db"),
        ("mysqldump -p'hun ter' db | gzip -p", f"mysqldump -p{M} db | gzip -p"),
        ("mysql --password=hunter db", f"mysql --password={M} db"),
        ("(mysql -pfirst a; mysql -psecond)", f"(mysql -p{M} a; mysql -p{M})"),
        ("sshpass -v -p hunter ssh me@x", f"sshpass -v -p {M} ssh me@x"),
        (f'curl -H "X: {TOKEN}" -u me:hunter x', f'curl -H "X: [masked: github_token]" -u me:{M} x'),
        ("curl https://me:hunter@host/a -u a:b", f"curl https://me:{M}@host/a -u a:{M}"),
    ],
)
def test_a_password_on_a_command_line_is_masked(line: str, masked: str | None) -> None:
    """Nothing else of the line, and other secrets in it as anywhere."""
    assert Masker({})(line) == (masked or line.replace("hunter", M))


@pytest.mark.parametrize(
    "line",
    [
        "find . -name mysql -print",
        "find /etc/mysql -prune -o -print",
        "docker run --name mysql -p3306:3306 -d x",
        "cd mysql && ssh -p2222 host",
        "systemctl restart mysql && tar -pxf a.tar",
        "kubectl exec mysql -- ls -plah",
        "mysql -u root -p db",
        "mysql -uroot -p$PASSWORD db",
        "sshpass -e ssh -p 2222 host",
        "curl -fsSL https://get.x -o a.sh && docker run -u 1000:1000 img",
        "RUN apt-get install -y curl && chown -R --user=1:2 x",
        "curl --user <user:password>  Server user and password",
        "curl --user user:<password>",
        'curl -u "$USER:$PASS" https://x:1/a',
        "curl -u 'me:'\"$PASS\" -H 'X: y' z",
        "curl -u https://x:1/a",
        "curl -XPUT http://x:1/a",
    ],
)
def test_what_only_looks_like_one_stays(line: str) -> None:
    """Other programs' options, variables, and what a help text has."""
    assert Masker({})(line) == line


def test_the_words_of_a_command_are_masked_behind_each_other() -> None:
    """Each stays one word, and is masked by itself too."""
    words = Masker({"A_TOKEN": "hunter2hunter2"}).words
    assert words(["sshpass", "-p", "hun ter", "ssh", "me@x"]) == ["sshpass", "-p", M, "ssh", "me@x"]
    assert words(["curl", "-u", "me:hunter", "x"]) == ["curl", "-u", f"me:{M}", "x"]
    assert words(["curl", "-u", "me:hun ter", "a b"]) == ["curl", "-u", f"me:{M}", "a b"]
    assert words(["x", "--password", "hunter3hunter3"]) == ["x", "--password", "[masked: secret]"]
    assert words(["echo", "hunter2hunter2", "a\nb"]) == ["echo", "[masked: A_TOKEN]", "a\nb"]


def test_a_command_of_many_words_is_masked_at_once() -> None:
    """A shell's pattern may make tens of thousands; what begins with wrap waits for this."""
    words = [
        "x",
        *(f"/a/folder/of/many/files/{number}.txt" for number in range(20_000)),
        "--password",
        "hunter3hunter3",
    ]
    began = time.process_time()
    assert Masker({}).words(words) == [*words[:-1], "[masked: secret]"]
    assert time.process_time() - began < 5
