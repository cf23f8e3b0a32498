"""Whether code parses: good and bad code of each language, hostile code, and what happens without the extra."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from producers import grammars, parsing, swe_agent
from producers.parsing import GRAMMARS, MAX_PARSED_CHARACTERS, parses
from producers.text_findings import CodeBlock, Fences

# By the first name of each language: code that parses, as agents show it, and code that does not.
GOOD = {
    "python": ["x = 1", "def f():\n    return 1"],
    "json": ['{"a": [1, -2.5e3, null]}', "1" * 5_000, '"a"'],
    "bash": ["ls -l | wc -l", "cat <<EOF > a\n$b\nEOF", 'for a in *; do\n  echo "$a"\ndone', "$ pip install x"],
    "c": ["#include <a.h>", "int main(void) { return 0; }", "#define A 1", "x = y * 2;"],
    "cpp": [
        "std::vector<int> a{1, 2};",
        "template <class T> T f(T a) { return a; }",
        "auto f = [](int a) { return a; };",
    ],
    "go": ["package a\n\nfunc F() error { return nil }", "x := 1", "if err != nil {\n\treturn err\n}"],
    "java": ["class A { int a() { return 1; } }", "var a = List.of(1);", "public void f() {}", "record A(int b) {}"],
    "javascript": ["const a = async () => await b?.c;", "export default {}", "return <A b={1} />", "// a"],
    "rust": ['fn main() { println!("{}", 1); }', "let a: Vec<_> = b?;", "#[derive(Debug)]\nstruct A<'a>(&'a str);"],
    "typescript": ["let a: number = 1", "interface A<T> { b?: T }", "const a = <T,>(b: T) => b as T"],
    "tsx": ["const a = <A b={1} />;", "function A(): JSX.Element { return <></> }"],
}
BAD = {
    "python": ["def f(:", "$ python a.py"],
    "json": ['{"a": 1,}', "{'a': 1}", "NaN", '{"a": ...}', '{"a": 1}\n{"a": 2}', "// a\n{}"],
    "bash": ["if true; then", "echo 'a", "case a in"],
    "c": ["int main( { }", "int main(void) {", 'char *a = "b'],
    "cpp": ["class A { int b }", "std::vector<int a;", "int main() {"],
    "go": ["func F( {", "x := ", "if a {\n"],
    "java": ["class A { int a( }", "int a = ;", "class A {"],
    "javascript": ["let a = (1", "function () {", "const = 1", "..."],
    "rust": ["fn main( {}", "let = 1;", "struct A {"],
    "typescript": ["let a: = 1", "interface A {", "a b c"],
    "tsx": ["const a = <A>", "const a = <A b={ />"],
}
ALIASES = {
    "python": {"python3", "py", "Python"},
    "json": {"JSON"},
    "bash": {"sh", "shell", "Bash"},
    "c": {"C"},
    "cpp": {"c++", "cc", "cxx", "hpp", "C++"},
    "go": {"golang", "Go"},
    "java": {"Java"},
    "javascript": {"js", "jsx", "mjs", "cjs", "JS"},
    "rust": {"rs", "Rust"},
    "typescript": {"ts", "mts", "cts", "TypeScript"},
    "tsx": {"TSX"},
}
# Code that takes tree-sitter seconds, or gigabytes: what each language makes of 64 Ki characters of it.
HOSTILE: dict[str, dict[str, bool | None]] = {
    "(": {},
    "x=>": {"java": None, "c": None},  # memory
    "->": {"javascript": None, "typescript": None, "tsx": None, "go": None},  # time
    "a<b,": {"cpp": None, "typescript": None, "tsx": None, "bash": True},
    "${": {},
    'r#"': {"rust": None},
    "/a/ ": {"bash": True},
    "<<A\n": {"bash": None},
    "\0": {"bash": None},
    "the quick (brown fox.\n": {"bash": None},
    "'": {"bash": True},
}


def _cases(table: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(language, code) for language, codes in table.items() for code in codes]


@pytest.mark.parametrize(("language", "code"), _cases(GOOD))
def test_good_code_parses(language: str, code: str) -> None:
    """Whole files and the pieces that answers show."""
    assert parses(language, code) is True


@pytest.mark.parametrize(("language", "code"), _cases(BAD))
def test_bad_code_does_not(language: str, code: str) -> None:
    """An error in the tree, or something missing, is enough."""
    assert parses(language, code) is False


def test_every_name_of_a_language_is_that_language() -> None:
    """The usual names, in capitals or not; there are no others."""
    names = {"python", "python3", "py", "json", *GRAMMARS}
    assert {name.lower() for main, others in ALIASES.items() for name in {main, *others}} == names
    for main, others in ALIASES.items():
        assert {name: (parses(name, GOOD[main][0]), parses(name, BAD[main][0])) for name in others} == dict.fromkeys(
            others, (True, False)
        )


@pytest.mark.parametrize("language", [None, "", "text", "console", "zsh", "yaml", "jsonl", "c#", "language"])
def test_another_language_is_not_judged(language: str | None) -> None:
    """There is no answer rather than a wrong one."""
    assert parses(language, "a") is None


def test_longer_code_is_not_judged() -> None:
    """The limit is the same for every language."""
    for language in GOOD:
        assert parses(language, "1" + " " * MAX_PARSED_CHARACTERS) is None
    assert parses("js", "1" + " " * (MAX_PARSED_CHARACTERS - 1)) is True


def test_a_block_that_is_not_whole_is_not_judged() -> None:
    """What was cut says nothing of what was there."""
    fences = Fences(max_characters=5)
    assert [fences.feed(line) for line in ("```py", "x = 1", "y")] == [None, None, None]
    assert fences.end() == CodeBlock("x = 1", "py", 2, 3, None, closed=False, parseable=None, characters=7)


def test_other_languages_are_read_in_another_process_and_only_then() -> None:
    """Python and JSON start none; nothing of tree-sitter is ever in this process, and a grammar is there when asked."""
    program = """
import os, sys
from pathlib import Path
from producers.text_findings import code_blocks

def after(*languages):
    blocks = [block.parseable for name in languages for block in code_blocks(f"```{name}\\n1\\n```\\n")]
    judges = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    loaded = sorted({
        line.rpartition("/tree_sitter")[2].partition("/")[0]
        for judge in judges for line in Path("/proc", judge, "maps").read_text().splitlines() if "/tree_sitter" in line
    })
    print(blocks, len(judges), loaded, [name for name in sys.modules if "tree_sitter" in name])

after("python", "json", "text")
after("js")
after("js", "rust")
"""
    shown = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert shown.stdout.splitlines() == [
        "[True, True, None] 0 [] []",
        "[True] 1 ['', '_javascript'] []",
        "[True, False] 1 ['', '_javascript', '_rust'] []",
    ]


@pytest.fixture
def without_extra(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for module in ("tree_sitter", *{grammar.module for grammar in GRAMMARS.values()}):
        monkeypatch.setitem(sys.modules, module, None)
    parsing._is_installed.cache_clear()
    yield
    parsing._is_installed.cache_clear()


@pytest.mark.usefixtures("without_extra")
def test_without_the_extra_python_and_json_are_judged() -> None:
    """Of the others nothing is said, and nothing fails."""
    judged = {language: parses(language, codes[0]) for language, codes in GOOD.items()}
    assert judged == dict.fromkeys(GOOD) | {"python": True, "json": True}


def test_a_run_has_the_same_events_with_and_without_the_extra(request: pytest.FixtureRequest) -> None:
    """Nothing but `parseable` differs: what makes an event one is the same, so the first to be stored counts."""
    said = "\n".join(f"```{language}\n{codes[0]}\n```" for language, codes in GOOD.items())
    run = json.dumps({"trajectory": [{"action": "ls", "observation": "", "response": said}]}).encode()
    with_extra = swe_agent.events(run, name="", tenant="acme")
    request.getfixturevalue("without_extra")
    without = swe_agent.events(run, name="", tenant="acme")
    assert with_extra != without
    for event in with_extra:
        if event["data"].get("language") not in {None, "python", "json"}:
            assert event["data"].pop("parseable") is True
    assert with_extra == without


@pytest.mark.parametrize("code", HOSTILE)
def test_hostile_code_is_answered_and_takes_nothing_from_this_process(code: str) -> None:
    """No hang, no crash, the same answer each time; this process grows by no more than what it sends."""
    text = (code * MAX_PARSED_CHARACTERS)[: MAX_PARSED_CHARACTERS // len(code) * len(code)]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    expected = dict[str, bool | None].fromkeys(GOOD.keys() - {"python", "json"}, False) | HOSTILE[code]
    assert {language: parses(language, text) for language in expected} == expected
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 4 * 1024  # KiB


def test_json_that_is_nested_too_deep_is_not_judged() -> None:
    """Neither an error nor a crash, and no claim that it is wrong."""
    assert parses("json", "[" * 30_000 + "]" * 30_000) is None


def test_a_process_that_was_killed_is_started_anew() -> None:
    """The block after it is judged as any other."""
    assert parses("go", "x := 1") is True
    os.kill(parsing._judge()._process.pid, signal.SIGKILL)
    assert parses("go", "x := 1") is True


def test_an_interrupted_question_is_not_answered_to_the_next_block() -> None:
    """Ctrl-C while a block is judged: whoever catches it goes on with a process of its own."""
    assert parses("go", "x := 1") is True
    judge = parsing._judge()
    line = judge._line

    class Interrupted:
        sendall, close = line.sendall, line.close

        def recv(self, _: int) -> bytes:
            judge._line = line
            raise KeyboardInterrupt

    judge._line = Interrupted()  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        parses("go", "x := (")
    assert parses("go", "x := 1") is True


@pytest.mark.parametrize(
    ("language", "code", "expected"),
    [
        ("cpp", "a<b>(c);" * 8_000, True),  # of what was tried, the code with the most steps that is right
        ("javascript", "->" * 100, False),
        ("javascript", "->" * 200, None),  # more steps than it may have
        ("javascript", "->" * 8_000, None),
        ("bash", ")" * 60_000, False),  # an error in its first step
        ("bash", "\0" * 60_000, None),  # one token that is read again and again
    ],
)
def test_work_is_counted_and_ends_when_the_answer_is_known(language: str, code: str, expected: bool | None) -> None:  # noqa: FBT001
    """The count is the same on any machine. Without it the last of each language takes more than 15 s."""
    grammar = grammars.language_of(*GRAMMARS[language])
    started = time.process_time()
    assert grammars.parses(grammar, code.encode()) is expected
    assert time.process_time() - started < 3
