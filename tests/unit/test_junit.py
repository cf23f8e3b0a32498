"""JUnit's XML as its many writers write it: every case counts, and nothing that stands in a file is lost unsaid."""

from datetime import UTC, datetime

import pytest

from producers.account import Differs, LeftOut, Refused, Remark
from producers.imports import junit
from producers.imports.imported import Imported, Origin, Unreadable
from tests.support.imported import case, of, read, said


def _case(name: str) -> Imported:
    return case(junit.read, f"junit/{name}.xml")


def _xml(content: str) -> Imported:
    return read(junit.read, content.encode())


def _ended(found: Imported) -> list[tuple[str, str]]:
    return [(node["node_name"], node["status"]) for node in of(found, "node.executed")]


def test_cases_straight_under_testsuites_count() -> None:
    """As Node's own reporter writes them, alone or beside suites: with those that failed."""
    flat, mixed = _case("flat-only"), _case("testcases-under-testsuites")
    assert _ended(flat) == [("test::adds two numbers", "completed"), ("test::divides by zero", "failed")]
    assert _ended(mixed) == [*_ended(flat), ("test::inside", "completed")]
    assert [node.get("error_message") for node in of(flat, "node.executed")] == [None, "boom\nstack of boom"]
    assert [run["status"] for run in of(mixed, "run.finished")] == ["failed", "completed"]
    assert [run["external_ref"] for run in of(mixed, "run.started")] == ["testcases-under-testsuites.xml", "group"]
    assert (said(flat), said(mixed)) == ([], [])


def test_an_error_of_a_suite_fails_its_run() -> None:
    """A class that could not be loaded has no case to say so: its text is the run's."""
    found = _case("suite-level-error")
    [finished] = of(found, "run.finished")
    assert finished["status"] == "failed"
    assert finished["error_message"] == "a class is missing\njava.lang.NoClassDefFoundError: com/example/Server"
    assert finished["error_info"] == [
        {"kind": "error", "message": "a class is missing", "type": "java.lang.NoClassDefFoundError"}
    ]
    assert (finished["results_summary"]["errors"], said(found)) == (1, [])


def test_a_case_without_a_name_has_its_class() -> None:
    """As JUnit 5 writes a set-up that failed; without a class it has its place."""
    found = _case("nameless-failure")
    assert _ended(found) == [("com.example.BeforeAllTest", "failed")]
    assert of(found, "run.finished")[0]["status"] == "failed"
    assert _ended(_xml("<testsuite><testcase/></testsuite>")) == [("test case 1", "completed")]


def test_what_did_not_run_is_skipped() -> None:
    """Googletest says so in `status` and `result`; nothing was asserted then."""
    found = _case("notrun-and-skipped-attributes")
    assert _ended(found) == [("S::Runs", "completed"), ("S::DISABLED_Off", "skipped"), ("S::Skips", "skipped")]
    assert len(of(found, "assertion.evaluated")) == 1
    assert of(found, "run.finished")[0]["results_summary"]["skipped"] == 2
    assert said(found) == []


@pytest.mark.parametrize(
    ("attributes", "status"),
    [
        ('status="passed"', "completed"),
        ('status="SUCCESSFUL"', "completed"),
        ('status="Failed"', "failed"),
        ('status="disabled"', "skipped"),
        ('result="Inconclusive"', "skipped"),
        ('status="timed out"', "failed"),
        ('executed="False" success="False"', "skipped"),
        ('executed="True" success="False"', "failed"),
        ('skipped="true"', "skipped"),
        ('skipped="false" disabled="0"', "completed"),
        ('failure="boom"', "failed"),
    ],
)
def test_an_attribute_says_how_a_case_ended(attributes: str, status: str) -> None:
    """Where no element does; what an attribute means is not guessed from its absence."""
    found = _xml(f'<testsuite name="s"><testcase name="x" {attributes}/></testsuite>')
    assert _ended(found) == [("x", status)]
    assert len(of(found, "assertion.evaluated")) == (status != "skipped")


def test_a_word_that_nobody_knows_is_no_success() -> None:
    """The case is stored as not run, with the word; an element that says more counts for more."""
    found = _xml('<testsuite name="s"><testcase name="x" status="blurred"/></testsuite>')
    assert _ended(found) == [("x", "skipped")]
    assert of(found, "node.executed")[0]["state_snapshot"]["not_understood"] == {"status": "blurred"}
    assert [type(word) for word in found.words] == [Remark]
    failed = _xml('<testsuite name="s"><testcase name="x" status="blurred"><failure/></testcase></testsuite>')
    assert (_ended(failed), said(failed)) == ([("x", "failed")], [])


def test_a_comma_that_can_only_be_a_point_is_one() -> None:
    """Where surefire and testng write numbers as their machine's language has them."""
    found = _case("comma-decimal")
    assert [node["duration_ms"] for node in of(found, "node.executed")] == [160, 3]
    assert of(found, "run.finished")[0]["duration_ms"] == 163
    ambiguous = _xml('<testsuite name="s"><testcase name="x" time="1,234"/></testsuite>')
    assert of(ambiguous, "node.executed")[0].get("duration_ms") is None
    [word] = said(ambiguous)
    assert word.startswith("suite s, test case 1: time '1,234' is ambiguous")


def test_a_duration_that_cannot_be_read_is_named_and_its_text_kept() -> None:
    """Neither absent nor something else: a unit, a sign, a number of two meanings."""
    found = _case("durations-unreadable")
    assert [node.get("duration_ms") for node in of(found, "node.executed")] == [None, None]
    assert [n["state_snapshot"]["not_understood"]["time"] for n in of(found, "node.executed")] == ["0.01s", "-0.001"]
    [finished] = of(found, "run.finished")
    assert (finished.get("duration_ms"), finished["not_understood"]) == (None, {"time": "1.234,56"})
    assert said(found) == [
        "suite s, test case 1: time '0.01s' is not a number",
        "suite s, test case 2: time '-0.001' is below 0",
        "suite s: time '1.234,56' is not a number",
    ]


def test_a_time_is_read_in_the_forms_that_tools_write() -> None:
    """An HTTP date, a zone by its name; an inner suite without one has its outer's."""
    times = [event["time"] for event in _case("timestamp-http-date").events if "run.started" in event["type"]]
    assert times == ["2022-12-03T23:10:07.000Z", "2021-03-07T10:36:56.000Z"]
    inherited = _case("timestamp-on-parent")
    assert inherited.events[0]["time"] == "2024-04-19T08:20:31.569Z"
    assert of(inherited, "run.started")[0]["config_snapshot"] == {
        "suite": "ping",
        "within": [{"name": "all", "tests": "1", "timestamp": "2024-04-19T08:20:31.569834", "time": "5.9"}],
    }


def test_a_suite_whose_time_cannot_be_read_is_refused_and_never_dated_by_us() -> None:
    """With `--start` it is imported, and what it said is kept; the suite beside it has a time of its own."""
    content = (
        '<testsuites><testsuite name="a" timestamp="yesterday"><testcase name="x"/></testsuite>'
        '<testsuite name="b" timestamp="2026-03-01"><testcase name="x"/></testsuite></testsuites>'
    )
    found = _xml(content)
    assert [run["external_ref"] for run in of(found, "run.started")] == ["b"]
    [refused] = found.refused
    assert refused.item == "suite a"
    assert refused.reason.startswith("its timestamp 'yesterday' is not a time")
    start = Origin("acme", "/importers/test", datetime(2026, 1, 1, tzinfo=UTC))
    placed = read(junit.read, content.encode(), origin=start)
    assert placed.events[0]["time"] == "2026-01-01T00:00:00.000Z"
    assert of(placed, "run.finished")[0]["not_understood"] == {"timestamp": "yesterday"}


def test_every_failure_and_error_of_a_case_is_said_and_counted() -> None:
    """Of several soft assertions the first is no more true than the last."""
    found = _case("several-failures")
    node, _ = of(found, "node.executed")
    wanted = "first wrong\nat line 1\n\nsecond wrong\nat line 2\n\nteardown broke\nfixture"
    assert node["error_message"] == of(found, "assertion.evaluated")[0]["failure_reason"] == wanted
    assert [problem["kind"] for problem in node["state_snapshot"]["problems"]] == ["failure", "failure", "error"]
    summary = of(found, "run.finished")[0]["results_summary"]
    assert (summary["failures"], summary["errors"], said(found)) == (1, 1, [])


def test_attempts_before_the_last_are_kept() -> None:
    """Surefire's flaky and rerun elements, with what each printed; the counts of this file are wrong, and said."""
    found = _case("flaky-and-rerun")
    assert _ended(found) == [("m::wobbles", "completed"), ("m::fails thrice", "failed")]
    attempts = [node["state_snapshot"]["attempts"] for node in of(found, "node.executed")]
    assert attempts[0] == [
        {
            "outcome": "failure",
            "kind": "flakyFailure",
            "message": "was wrong the first time",
            "type": "AssertionError",
            "stackTrace": "line 3",
            "system-out": "noise",
        }
    ]
    assert [attempt["message"] for attempt in attempts[1]] == ["wrong again"]
    assert found.words == [Differs("suite s", "tests", 1, 2), Differs("suite s", "failures and errors", 0, 1)]


def test_properties_of_a_case_and_output_of_a_suite_are_kept() -> None:
    """Pytest's and Bazel's; of several properties of one name each."""
    found = _case("case-properties-suite-output")
    assert of(found, "node.executed")[0]["state_snapshot"]["properties"] == {"requirement": "R-17"}
    assert of(found, "run.finished")[0]["results_summary"]["output"] == "printed by the suite's setup"
    several = _xml(
        '<testsuite name="s"><testcase name="x"><properties><property name="a" value="1"/>'
        '<property name="a">2</property></properties></testcase></testsuite>'
    )
    assert of(several, "node.executed")[0]["state_snapshot"]["properties"] == {"a": ["1", "2"]}


@pytest.mark.parametrize(
    ("name", "wanted"), [("escape-raw", "\ufffd[31mred\ufffd[0m"), ("escape-reference", "\ufffd[0;32m")]
)
def test_a_character_that_xml_does_not_have_costs_itself_alone(name: str, wanted: str) -> None:
    """It is shown as U+FFFD, and said; everything else of the file is read."""
    found = _case(name)
    assert len(of(found, "node.executed")) == 2
    assert wanted in str(found.events)
    assert said(found) == ["the file: characters '2' are shown as U+FFFD: XML does not have them"]


def test_in_a_cdata_section_a_reference_is_its_text() -> None:
    """Only where a parser would read it as a character is it replaced."""
    found = _xml('<testsuite name="s"><testcase name="&#1;"><failure><![CDATA[&#1;]]></failure></testcase></testsuite>')
    assert of(found, "node.executed")[0]["node_name"] == "\ufffd"
    assert of(found, "node.executed")[0]["error_message"] == "&#1;"


@pytest.mark.parametrize(
    ("inner", "counts"),
    [
        ('<testcase name="x"/>' * 2, 'tests="2" failures="0" errors="0"'),
        ('<testcase name="x"><error/></testcase>', 'tests="1" failures="1" errors="0"'),
        ('<testcase name="x"><failure/><failure/></testcase>', 'tests="1" failures="2"'),
        ('<testcase name="x"/><testcase name="y"><skipped/></testcase>', 'tests="1" skipped="1"'),
        ('<testsuite name="i" tests="1"><testcase name="x"/></testsuite>', 'tests="1"'),
        ('<testsuite name="i" tests="1"><testcase name="x"/></testsuite>', 'tests="0"'),
    ],
)
def test_every_way_of_counting_that_reporters_have_is_right(inner: str, counts: str) -> None:
    """Twice failed, skipped or not, with the inner suites or without."""
    assert said(_xml(f'<testsuite name="s" {counts}>{inner}</testsuite>')) == []


@pytest.mark.parametrize(
    ("inner", "counts", "differing"),
    [
        ('<testcase name="x"/>', 'tests="2"', Differs("suite s", "tests", 2, 1)),
        ("", 'tests="3"', Differs("suite s", "tests", 3, 0)),
        ('<testcase name="x"/>', 'failures="1" errors="0"', Differs("suite s", "failures and errors", 1, 0)),
        ('<testcase name="x"><failure/></testcase>', 'failures="0"', Differs("suite s", "failures and errors", 0, 1)),
    ],
)
def test_a_number_that_no_way_of_counting_gives_is_said(inner: str, counts: str, differing: Differs) -> None:
    """The file has lost something, or we have."""
    assert _xml(f'<testsuite name="s" {counts}>{inner}</testsuite>').words == [differing]


def test_a_suite_that_states_failures_which_are_not_in_it_has_failed() -> None:
    """That no case says so is no success."""
    found = _xml('<testsuite name="s" tests="1" failures="1"><testcase name="x"/></testsuite>')
    [finished] = of(found, "run.finished")
    assert (finished["status"], finished["error_message"]) == (
        "failed", "it states 1 failures or errors that are not in it"
    )  # fmt: skip


def test_what_nobody_looks_for_is_kept_or_left_out_by_name() -> None:
    """Attributes and elements of a case and of a suite are kept; around suites they are named."""
    found = _xml(
        '<testsuites><build id="7"/><testsuite name="s" package="p" id="0"><note>n</note>'
        '<testcase name="x" line="3"><warning>old</warning>loose</testcase></testsuite></testsuites>'
    )
    assert found.words == [LeftOut("<build> in <testsuites>")]
    config = of(found, "run.started")[0]["config_snapshot"]
    assert (config["attributes"], config["other"]) == ({"package": "p", "id": "0"}, {"note": ["n"]})
    assert of(found, "node.executed")[0]["state_snapshot"] == {
        "attributes": {"line": "3"},
        "other": {"warning": ["old"], "text": ["loose"]},
    }


def test_cases_and_suites_count_wherever_they_stand() -> None:
    """In a case, in an element of another name, in <testsuites> within <testsuites>, in a namespace."""
    found = _xml(
        '<testsuites xmlns="urn:x"><testsuites><testsuite name="a"><testcase name="x"><testcase name="y"/></testcase>'
        '</testsuite></testsuites><package name="p"><testcase name="z"/></package></testsuites>'
    )
    assert _ended(found) == [("x", "completed"), ("y", "completed"), ("z", "completed")]


def test_what_was_skipped_says_why_and_what_it_printed() -> None:
    """Nothing was asserted: both are the node's."""
    found = _xml(
        '<testsuite name="s"><testcase name="x"><skipped message="later"/><system-out>hm</system-out></testcase>'
        "</testsuite>"
    )
    assert of(found, "node.executed")[0]["state_snapshot"] == {"skipped": "later", "output": "hm"}


def test_a_text_that_is_cut_is_said() -> None:
    """An event holds a mebibyte; what of a text does not fit is named."""
    found = _xml(
        f'<testsuite name="s"><testcase name="{"n" * 300}"><failure>{"x" * 200_000}</failure></testcase></testsuite>'
    )
    assert [word.name for word in found.words if isinstance(word, Remark)] == ["name", "text"]
    assert len(of(found, "node.executed")[0]["node_name"]) == 255


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"\n  <?xml version='1.0'?><testsuite name='s'><testcase name='x'/></testsuite>", "x"),
        (
            "<?xml version='1.0' encoding='ISO-8859-1'?><testsuite name='s'><testcase name='é'/></testsuite>".encode(
                "latin-1"
            ),
            "é",
        ),
        (
            "<?xml version='1.0' encoding='utf-16'?><testsuite name='s'><testcase name='é'/></testsuite>".encode(
                "utf-16"
            ),
            "é",
        ),
        (b"\xef\xbb\xbf<testsuite name='s'><testcase name='x'/></testsuite>", "x"),
        (b"<testsuite name='s'><testcase name='\xff'/></testsuite>", "\ufffd"),
    ],
)
def test_encodings_and_blanks_that_tools_leave_are_read(content: bytes, what: str) -> None:
    """Blank lines before the declaration, other encodings, a byte that is none."""
    assert [name for name, _ in _ended(read(junit.read, content))] == [what]


@pytest.mark.parametrize("size", [20, 80, 140])
def test_a_file_that_is_cut_short_is_refused(size: int) -> None:
    """Whatever is replaced in it, no beginning of a file is taken for the whole."""
    whole = b'<testsuite name="s" tests="2"><testcase name="a"/><testcase name="b"/></testsuite>\x1b'
    content = (whole * 2)[:size]
    with pytest.raises(Unreadable):
        read(junit.read, content)


def test_a_nested_suite_of_a_refused_one_is_refused_too() -> None:
    """It has its time from there."""
    found = _xml('<testsuite name="a" timestamp="?"><testsuite name="b"><testcase name="x"/></testsuite></testsuite>')
    assert [type(word) for word in found.words] == [Refused]
    assert found.events == []
