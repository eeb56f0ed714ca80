"""Reads what the suites of scripts/test print into one form.

Every reader returns a list of Result, one for each test without subtests and
one for each subtest. It adds a failure named (run) if the output is incomplete,
so that a suite that broke never counts as zero failures. kunit.py parse, of the
kernel, reads KUnit's console. It does not read the rest: test_progs and
test_verifier print no KTAP, and in that of ktap.sh it does not see the exit
status, which tells that the tests came to their end.
"""
import json
import re
from dataclasses import dataclass, field
from xml.etree import ElementTree

PASS, FAIL, SKIP = "pass", "fail", "skip"
NOT_BUILT = "the tests could not be built"
EXIT = re.compile(r"exit status (\d+)$")


@dataclass
class Result:
    name: str
    status: str
    log: list = field(default_factory=list)
    known: str = ""     # why it fails with the C timers as well
    note: str = ""      # a remark about a success


# Names of failures that are no tests: of a suite that did not run, and of its guest.
RUN, VM = "(run)", "(vm)"


def broken(why, log=(), name=RUN):
    return Result(name, FAIL, [why, *log])


def is_broken(result):
    return result.name in (RUN, VM)


def exit_status(lines):
    """Returns the status that is in the last line of the guest's command."""
    for line in reversed(lines):
        if match := EXIT.match(line):
            return int(match[1])
    return None


# "#12/3    timer/name:OK" for a subtest, "#12    timer:OK (SKIP: 1/9)" for a test.
PROGS_LINE = re.compile(r"#(\d+)(?:/(\d+))? +(\S.*?):(OK|FAIL|SKIP)(?: \(.*\))?$")
PROGS_SUMMARY = re.compile(r"Summary: (\d+)/(\d+) PASSED, \d+ SKIPPED.*, (\d+)/(\d+) FAILED$")
PROGS_STATUS = {"OK": PASS, "FAIL": FAIL, "SKIP": SKIP}


def read_progs(text, expected, whole=False):
    """Reads the lines of test_progs, because its JSON report names only the failures.

    A log precedes the line of its test or subtest. If whole is true, there is also a
    result for each test with subtests.
    """
    results, subtests, log, tests = [], [], [], {}
    subtest_counts = {PASS: 0, FAIL: 0, SKIP: 0}
    lines = text.splitlines()
    summary = None
    for line in lines:
        summary = PROGS_SUMMARY.match(line) or summary
        match = PROGS_LINE.match(line)
        if not match:
            log.append(line)
            continue
        status = PROGS_STATUS[match[4]]
        result = Result(match[3], status, log if status == FAIL else [])
        log = []
        if match[2]:
            subtest_counts[status] += 1
            subtests.append(result)
            continue
        tests[result.name] = status
        # A test fails for its subtests, or for what it found outside of them.
        if whole or not subtests or status == FAIL and all(sub.status != FAIL for sub in subtests):
            subtests.append(result)
        results += subtests
        subtests = []
    results += subtests
    missing = [name for name in expected if name not in tests]
    failed = sum(1 for status in tests.values() if status == FAIL)
    counts = (len(tests) - failed, subtest_counts[PASS], failed, subtest_counts[FAIL])
    if missing:
        results.append(broken(f"no result of {', '.join(missing)}", log))
    elif exit_status(lines) not in (0, 1):
        results.append(broken("test_progs did not come to its end", log))
    elif not summary or tuple(map(int, summary.groups())) != counts:
        results.append(broken("the results are not those that test_progs counted", log))
    return results


# "#0/p what it is about OK". More may follow. Complaints without an end of line may precede it.
VERIFIER_LINE = re.compile(r"#\d+/([pu]) (.*) (OK|FAIL|SKIP)\b")
VERIFIER_SUMMARY = re.compile(r"Summary: (\d+) PASSED, (\d+) SKIPPED, (\d+) FAILED$")


def read_verifier(text):
    """Reads the lines of test_verifier. The log of a failure follows its line."""
    results, summary = [], None
    lines = text.splitlines()
    for line in lines:
        summary = VERIFIER_SUMMARY.match(line) or summary
        if match := VERIFIER_LINE.search(line):
            results.append(Result(f"test_verifier/{match[2]}/{match[1]}", PROGS_STATUS[match[3]]))
        elif results and results[-1].status == FAIL:
            results[-1].log.append(line)
    passed, failed, skipped = count(results)
    if exit_status(lines) not in (0, 1) or not summary:
        results.append(broken("test_verifier did not come to its end", lines))
    elif not results or tuple(map(int, summary.groups())) != (passed, skipped, failed):
        results.append(broken("the results are not those that test_verifier counted", lines))
    return results


KTAP_LINE = re.compile(r"(ok|not ok) \d+ (?:- )?(.*?)(?: # (SKIP|TODO)\b ?(.*))?$")
KTAP_PLAN = re.compile(r"1\.\.(\d+)$")


def read_ktap(text):
    """Reads flat KTAP as ktap.sh prints it: the log of a test precedes its line."""
    results, log, plan = [], [], None
    lines = text.splitlines()
    for line in lines:
        if match := KTAP_PLAN.match(line):
            plan = int(match[1])
        elif match := KTAP_LINE.match(line):
            status = SKIP if match[3] == "SKIP" else PASS if match[1] == "ok" else FAIL
            results.append(Result(match[2], status, log if status == FAIL else
                                  [match[4]] if status == SKIP else []))
            log = []
        elif line.startswith("KTAP version "):
            log = []
        else:
            log.append(line.removeprefix("# "))
    if plan is None:
        results.append(broken("no KTAP plan", log))
    elif plan != len(results):
        results.append(broken(f"{len(results)} results of {plan} planned", log))
    elif exit_status(lines) not in (0, 1):
        results.append(broken("the tests did not come to their end", log))
    return results


KUNIT_STATUS = {"PASS": PASS, "SKIP": SKIP}


def read_kunit(report, junit="", output=""):
    """Reads the JSON report of kunit.py parse, and the logs and reasons of skips from its JUnit report,
    which does not tell all failures from successes. output is what else it printed."""
    try:
        root = json.loads(report)
        results = list(_kunit_cases(root, "", _kunit_logs(junit)))
        errors = root["misc"]["errors"]
    except (ValueError, KeyError, TypeError) as error:
        return [broken(f"kunit.py gave no report: {error!r}", output.splitlines())]
    if not results:
        results.append(broken("no KTAP of KUnit on the console", output.splitlines()))
    elif errors:
        results.append(broken(f"kunit.py found {errors} errors in the KTAP",
                              [line for line in output.splitlines() if "ERROR" in line]))
    return results


def _kunit_cases(group, prefix, logs):
    for sub in group["sub_groups"]:
        yield from _kunit_cases(sub, f"{prefix}{sub['name']}.", logs)
    for case in group["test_cases"]:
        name, status = prefix + case["name"], KUNIT_STATUS.get(case["status"], FAIL)
        log = logs.get((name, status == SKIP)) or [f"kunit.py: {case['status']}"]
        yield Result(name, status, [] if status == PASS else log)


def _kunit_logs(junit):
    """Returns {(test, whether it is the reason of a skip): lines}, or nothing if there is no such report."""
    logs = {}

    def walk(suite, prefix):
        for sub in suite.findall("testsuite"):
            walk(sub, f"{prefix}{sub.get('name')}.")
        for case in suite.findall("testcase"):
            for tag, skip in ("system-out", False), ("skipped", True):
                logs[prefix + case.get("name"), skip] = (case.findtext(tag) or "").splitlines()

    try:
        walk(ElementTree.fromstring(junit), "")
    except ElementTree.ParseError:
        pass    # the console may have characters that XML cannot have
    return logs


# A run without operations, or in which no timer has fired, has tried nothing.
FUZZ_SUMMARY = re.compile(r"[1-9]\d* operations in \d+ cases, \d+ s, [1-9]\d* firings, \d+ maps lost in use, "
                          r"\d+ times a CPU went offline, 0 differences$")


def read_fuzz(text, name):
    """Reads what the fuzzer found and, at the end, how much it has done."""
    lines = text.splitlines()
    summary = next((line for line in lines if FUZZ_SUMMARY.match(line)), "")
    if summary and exit_status(lines) == 0:
        return [Result(name, PASS, note=summary)]
    return [Result(name, FAIL, lines)]


def read_expectations(text, cpus, arch):
    """Reads lines of "KIND[@CPUS or @ARCH] TEST REASON" into {kind: {test: reason}}.

    Those for another number of CPUs or another machine are left out.
    """
    expected = {"repeat": {}, "fails": {}, "pmu": {}}
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            kind, name, reason = line.split(None, 2)
            kind, _, only = kind.partition("@")
            if only in ("", str(cpus), arch):
                expected[kind][name] = reason
    return expected


def apply_known(results, fails):
    """Marks failures that the C timers have as well as skipped, with the reason."""
    for result in results:
        if result.status == FAIL and result.name in fails:
            result.status, result.known = SKIP, fails[result.name]


def apply_repeat(results, again, repeat):
    """Replaces results of failed tests by the results of their repeats."""
    repeated = {result.name: result for result in again}
    for result in results:
        if result.status == FAIL and result.name in repeat:
            other = repeated.get(result.name)
            if other and other.status == PASS:
                result.status, result.note = PASS, f"in the repeat only: {repeat[result.name]}"
            else:
                result.log.append("and failed again where guest time is instructions")


def write_ktap(results):
    lines = ["KTAP version 1", f"1..{len(results)}"]
    for number, result in enumerate(results, 1):
        failed = result.status == FAIL or result.known
        if failed or result.note:
            lines += [f"# {line}" for line in result.log]
        line = f"{'not ok' if failed else 'ok'} {number} {result.name}"
        if result.known:
            line += f" # TODO {result.known}"
        elif result.status == SKIP:
            line += " # SKIP " + " ".join(result.log[:1])
        elif result.note:
            line += f" # {result.note}"
        lines.append(line.rstrip())
    return "\n".join(lines) + "\n"


def count(results):
    """(passed, failed, skipped)"""
    return tuple(sum(1 for result in results if result.status == status)
                 for status in (PASS, FAIL, SKIP))


def unsteady(repeats):
    """Returns rows of (test, {status: how often}) for tests that did not end the same each time."""
    tally = {}
    for results in repeats:
        for result in results:
            statuses = tally.setdefault(result.name, {})
            statuses[result.status] = statuses.get(result.status, 0) + 1
    for statuses in tally.values():
        if absent := len(repeats) - sum(statuses.values()):
            statuses["missing"] = absent
    return [(name, statuses) for name, statuses in tally.items() if len(statuses) > 1]


def compare(rust, c):
    """Returns rows of (name, Rust's status, C's status, whether Rust is worse)."""
    rank = {"missing": 0, FAIL: 0, SKIP: 1, PASS: 2}
    ours = {result.name: result for result in rust}
    theirs = {result.name: result for result in c}
    rows = []
    for name in dict.fromkeys([*theirs, *ours]):
        pair = [side.get(name, Result(name, "missing")) for side in (ours, theirs)]
        # A test that is known to fail sometimes says nothing about the difference.
        known = any(result.known for result in pair)
        shown = ["known" if result.known else result.status for result in pair]
        rows.append((name, *shown, not known and rank[pair[0].status] < rank[pair[1].status]))
    return rows
