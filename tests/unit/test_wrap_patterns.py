"""The files of patterns: what they find, and what is said of one that cannot be used."""

import time
from pathlib import Path

import pytest

from producers.wrap.patterns import BadPatterns, Patterns, load

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def default() -> Patterns:
    return load((EXAMPLES / "patterns.yaml").read_text(), "examples/patterns.yaml")


@pytest.mark.parametrize(
    ("agent", "when", "line", "found"),
    [
        ("bash", "pause", "Overwrite a.py? [y/N] ", ("yes_or_no", "[y/N]", {})),
        ("bash", "pause", "Continue (yes/no)?", ("yes_or_no", "(yes/no)", {})),
        ("claude-code", "pause", " Do you want to proceed?", ("permission", "Do you want to proceed", {})),
        ("bash", "pause", "[sudo] password for me: ", ("password", "password for me:", {})),
        ("bash", "pause", "Press ENTER to go on", ("press_a_key", "Press ENTER", {})),
        (
            "claude-code",
            "line",
            "⏺ Bash(ls -l)",
            ("tool_call", "⏺ Bash(ls -l)", {"tool": "Bash", "arguments": "ls -l"}),
        ),
        (
            "codex",
            "line",
            "exec ls in /srv/x",
            ("command_run", "exec ls in /srv/x", {"command": "ls", "folder": "/srv/x"}),
        ),
        (
            "aider",
            "pause",
            "Add a.py? (Y)es/(N)o/(D)on't ask again [Yes]: ",
            ("yes_or_no", "(Y)es/(N)o", {}),
        ),
        ("claude-code", "pause", " Do you trust the files in this folder?", ("permission", "Do you trust", {})),
        (
            "codex",
            "pause",
            "Would you like to run the following command?",
            ("permission", "Would you like to run", {}),
        ),
        (
            "claude-code",
            "line",
            '⏺ github - create_issue (MCP)(title: "x")',
            (
                "tool_call",
                '⏺ github - create_issue (MCP)(title: "x")',
                {"tool": "github - create_issue (MCP)", "arguments": 'title: "x"'},
            ),
        ),
        (
            "claude-code",
            "line",
            '⏺ Web Search("expo sdk")',
            ("tool_call", '⏺ Web Search("expo sdk")', {"tool": "Web Search", "arguments": '"expo sdk"'}),
        ),
        (
            "claude-code",
            "line",
            "⏺ Bash(cd /srv/x &&",
            ("tool_call", "⏺ Bash(cd /srv/x &&", {"tool": "Bash", "arguments": "cd /srv/x &&"}),
        ),
        (
            "claude-code",
            "line",
            "  ⎿  Error: Exit code 1",
            ("tool_failed", "⎿  Error: Exit code 1", {"reason": "Error: Exit code 1"}),
        ),
        (
            "claude-code",
            "line",
            "  ⎿  Updated src/a.py with 1 addition and 1 removal",
            ("file_written", "⎿  Updated src/a.py", {"file": "src/a.py"}),
        ),
        (
            "codex",
            "line",
            "[2025-08-12T10:00:06] exec bash -lc 'ls' in /srv/x",
            (
                "command_run",
                "[2025-08-12T10:00:06] exec bash -lc 'ls' in /srv/x",
                {"command": "bash -lc 'ls'", "folder": "/srv/x"},
            ),
        ),
        (
            "codex",
            "line",
            "/bin/bash -lc 'ls' in /srv/x exited 1 in 1.25s:",
            (
                "shell_command_run",
                "/bin/bash -lc 'ls' in /srv/x exited 1 in 1.25s:",
                {"command": "/bin/bash -lc 'ls'", "folder": "/srv/x"},
            ),
        ),
        (
            "codex",
            "line",
            'tool github.create_issue({"title":"x"})',
            (
                "mcp_call",
                'tool github.create_issue({"title":"x"})',
                {"tool": "github.create_issue", "arguments": '{"title":"x"}'},
            ),
        ),
        ("bash", "line", "│   rm -rf build/   │", ("removal", "│   rm -rf build/", {"target": "build/"})),
        (
            "bash",
            "line",
            "     1 failed, 2 passed in 0.12s",
            ("pytest_summary", "1 failed, 2 passed in 0.12s", {"failed": "1", "passed": "2", "seconds": "0.12"}),
        ),
        (
            "bash",
            "line",
            "=== 1 failed, 2 warnings in 0.05s ===",
            ("pytest_failures", "=== 1 failed, 2 warnings in 0.05s", {"failed": "1", "seconds": "0.05"}),
        ),
        (
            "bash",
            "line",
            "Tests:       3 failed, 3 total",
            ("jest_summary", "Tests:       3 failed, 3 total", {"failed": "3", "total": "3"}),
        ),
        ("bash", "line", "diff --git a/x.py b/x.py", ("diff_of_file", "diff --git a/x.py b/", {"file": "x.py"})),
        (
            "bash",
            "line",
            "Wrote 12 lines to src/a.py",
            ("file_written", "Wrote 12 lines to src/a.py", {"file": "src/a.py"}),
        ),
        ("bash", "line", "$ rm -rf /srv/x", ("removal", "$ rm -rf /srv/x", {"target": "/srv/x"})),
        ("bash", "line", "git push --force origin main", ("forced_push", "git push --force", {})),
        (
            "bash",
            "line",
            "==== 2 failed, 10 passed in 1.23s ====",
            ("pytest_summary", "==== 2 failed, 10 passed in 1.23s", {"failed": "2", "passed": "10", "seconds": "1.23"}),
        ),
        (
            "bash",
            "line",
            "test result: ok. 5 passed; 0 failed; 0 ignored",
            ("cargo_test", "test result: ok. 5 passed; 0 failed", {"result": "ok", "passed": "5", "failed": "0"}),
        ),
        (
            "aider",
            "line",
            "Tokens: 2.5k sent, 310 received.",
            ("tokens", "Tokens: 2.5k sent, 310 received", {"tokens": "2.5k", "received": "310"}),
        ),
        ("bash", "line", "Total cost: $0.0531", ("cost", "Total cost: $0.0531", {"usd": "0.0531"})),
    ],
)
def test_the_default_patterns_find(
    default: Patterns, agent: str, when: str, line: str, found: tuple[str, str, dict[str, str]]
) -> None:
    """One line for each pattern, and nothing but that pattern in it."""
    assert [(m.pattern.name, m.value, m.groups) for m in default.of(agent, when).matches(line)] == [found]


@pytest.mark.parametrize(
    "line", ["", "password: the field is required", "go on", "see the tokens", "⏺ Bash(ls)", "ok", "it took  in 3s"]
)
def test_ordinary_lines_are_nothing(default: Patterns, line: str) -> None:
    """What only resembles a pattern, or belongs to another agent, is not found."""
    assert list(default.of("bash", "line").matches(line)) == []
    assert list(default.of("bash", "pause").matches(line)) == []


def test_an_agent_is_known_by_its_command(default: Patterns) -> None:
    """By the last part of its path; one that is not known goes by that name."""
    assert default.agent_of("/usr/local/bin/claude").name == "claude-code"
    assert default.agent_of("my-agent").name == "my-agent"
    assert default.agent("claude-code").begins_text("⏺ I will now")
    assert not default.agent("my-agent").begins_text("⏺ I will now")


_GOOD = "patterns:\n  - name: a\n    event_type: x\n    match: b\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "f, line 1: no YAML"),
        ("- a", "f: a mapping with a list `patterns` is expected"),
        (_GOOD + "more: 1\n", "f: unknown: more"),
        (_GOOD + "patterns: []\n", "f, line 5: no YAML: patterns is there twice"),
        (_GOOD + "    match: c\n", "f, line 5: no YAML: match is there twice"),
        (_GOOD + "  - name: 2024-13-45\n", "f, line 5: no YAML: '2024-13-45' is no timestamp"),
        (_GOOD + "  - name: !!int x\n", "f, line 5: no YAML: 'x' is no int"),
        (_GOOD + "  - name: !!timestamp x\n", "f, line 5: no YAML: 'x' is no timestamp"),
        (_GOOD + '  - name: "\\U00110000"\n', "f, line 5: no YAML: it cannot be read"),
        (_GOOD + '  - {name: b, event_type: x, match: "\\ud800"}\n', "f, line 5: '\\ud800' has half of a character"),
        ("a: " + "[" * 3_000, "f, line 1: no YAML: it cannot be read"),
        ("a: &a [*a]", "f: a mapping with a list `patterns` is expected"),
        ("", "f: a mapping with a list `patterns` is expected"),
        (
            _GOOD + "  - name: b\n    event_type: x\n    match: '(a'\n",
            "f, line 5: '(a' is no regular expression of RE2",
        ),
        (_GOOD + "  - name: b\n    event_type: x\n    match: '(?=a)'\n", "no look-around"),
        (_GOOD + "  - name: b\n    match: c\n", "f, line 5: event_type must be a text, and is None"),
        (_GOOD + "  - name: a\n    event_type: x\n    match: c\n", "f, line 5: a pattern named a is there already"),
        (_GOOD + "  - 3\n", "f, line 5: a pattern is a mapping"),
        (_GOOD + "    risk: grave\n", "f, line 2: risk is one of low, medium, high, critical, not 'grave'"),
        (_GOOD + "    when: later\n", "f, line 2: when is line or pause, not 'later'"),
        (_GOOD + "    matches: later\n", "f, line 2: unknown: matches"),
        (_GOOD + "    agents: me\n", "f, line 2: agents is a list of names"),
        (_GOOD + "agents:\n  me:\n    next_text: '('\n", "f, agent me: '(' is no regular expression"),
        (_GOOD + "agents:\n  me: 1\n", "f, agent me: a mapping of commands and next_text is expected"),
        (_GOOD + "agents: 1\n", "f: agents is a mapping of names"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_its_line(text: str, said: str) -> None:
    """What is wrong is said with the file and the line, before anything runs."""
    with pytest.raises(BadPatterns) as raised:
        load(text, "f")
    assert said in str(raised.value)


def test_a_list_of_patterns_may_be_merged() -> None:
    """YAML's `<<`; a line that is said is that of the item."""
    merged = "agents: &a {}\n<<:\n  patterns:\n    - {name: a, event_type: x, match: b}\n"
    assert [match.value for match in load(merged, "f").of("any", "line").matches("abc")] == ["b"]
    with pytest.raises(BadPatterns, match="f, line 4: a pattern is a mapping"):
        load(merged.replace("{name: a, event_type: x, match: b}", "3"), "f")


def test_no_pattern_takes_more_than_linear_time() -> None:
    """What hangs a backtracking engine for ever is a few milliseconds."""
    patterns = load("patterns:\n  - {name: a, event_type: x, match: '(a+)+$'}\n", "f")
    began = time.process_time()
    assert list(patterns.of("any", "line").matches("a" * 4_000 + "b")) == []
    assert time.process_time() - began < 2
