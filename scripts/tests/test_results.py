"""python3 -B -m unittest discover scripts/tests"""
import json
import os
import subprocess
import sys
import unittest

SCRIPTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, SCRIPTS)
from lib import results as res  # pylint: disable=wrong-import-position

PROGS = """\
#1       free_timer:OK
#2/1     timer/arm:OK
#2/2     timer/stress_nmi: on a PMU:SKIP
run_one:FAIL:hits unexpected hits: actual 0 != expected 1
#2/3     timer/cancel:FAIL
#2       timer:FAIL
#3       map_in_map:SKIP
Summary: 2/1 PASSED, 2 SKIPPED, 1/1 FAILED
exit status 1
"""
NAMES = ["free_timer", "timer", "map_in_map"]
KTAP = """\
KTAP version 1
1..3
ok 1 one
# it said so
not ok 2 two
ok 3 - three # SKIP no perf
exit status 1
"""


def statuses(results):
    return [(result.name, result.status) for result in results]


class Progs(unittest.TestCase):
    def test_results(self):
        results = res.read_progs(PROGS, NAMES)
        self.assertEqual(statuses(results), [
            ("free_timer", "pass"), ("timer/arm", "pass"),
            ("timer/stress_nmi: on a PMU", "skip"), ("timer/cancel", "fail"),
            ("map_in_map", "skip")])
        self.assertIn("actual 0", results[3].log[0])
        self.assertEqual(res.count(results), (2, 1, 2))

    def test_failure_outside_of_subtests(self):
        text = "#1/1     a/b:OK\nsaid\n#1       a:FAIL\nSummary: 0/1 PASSED, 0 SKIPPED, 1/0 FAILED\nexit status 1\n"
        self.assertEqual(statuses(res.read_progs(text, ["a"])), [("a/b", "pass"), ("a", "fail")])

    def test_ended_early(self):
        results = res.read_progs(PROGS.split("#3")[0] + "Caught signal #11!\nexit status 139\n", NAMES)
        self.assertEqual(results[-1].name, "(run)")
        self.assertEqual(results[-1].log[:2], ["no result of map_in_map", "Caught signal #11!"])

    def test_nothing(self):
        self.assertEqual(statuses(res.read_progs("", NAMES)), [("(run)", "fail")])
        self.assertEqual(statuses(res.read_progs("exit status 2\n", [])), [("(run)", "fail")])

    def test_no_exit_status(self):
        text = PROGS.replace("exit status 1\n", "")
        self.assertEqual(res.count(res.read_progs(text, NAMES)), (2, 2, 2))

    def test_lost_line(self):
        text = PROGS.replace("#2/1     timer/arm:OK\n", "")
        self.assertIn("not those", res.read_progs(text, NAMES)[-1].log[0])


class Verifier(unittest.TestCase):
    TEXT = ("gzopen: No such file\nno config.#0/u one: two SKIP\n#0/p one: two OK\n"
            "#1/p three FAIL\nUnexpected success to load!\n"
            "Summary: 1 PASSED, 1 SKIPPED, 1 FAILED\nexit status 1\n")

    def test_results(self):
        results = res.read_verifier(self.TEXT)
        self.assertEqual(statuses(results), [("test_verifier/one: two/u", "skip"),
                                             ("test_verifier/one: two/p", "pass"),
                                             ("test_verifier/three/p", "fail")])
        self.assertIn("Unexpected success to load!", results[2].log)

    def test_broken(self):
        for text in ("", "exit status 0\n", self.TEXT.replace("1 FAILED", "2 FAILED"),
                     self.TEXT.replace("exit status 1", "exit status 139"),
                     "Summary: 0 PASSED, 0 SKIPPED, 0 FAILED\nexit status 0\n"):
            self.assertEqual(statuses(res.read_verifier(text))[-1], ("(run)", "fail"), text)


class Ktap(unittest.TestCase):
    def test_results(self):
        results = res.read_ktap(KTAP)
        self.assertEqual(statuses(results), [("one", "pass"), ("two", "fail"), ("three", "skip")])
        self.assertEqual(results[1].log, ["it said so"])
        self.assertEqual(results[2].log, ["no perf"])

    def test_broken(self):
        for text in ("", "1..0\n", KTAP.replace("1..3", "1..4"), KTAP.replace("1..3\n", ""),
                     KTAP.replace("exit status 1", "exit status 127")):
            self.assertEqual(statuses(res.read_ktap(text))[-1], ("(run)", "fail"), text)

    def test_written_form_is_read_back(self):
        results = res.read_ktap(KTAP)
        again = res.read_ktap(res.write_ktap(results) + "exit status 1\n")
        self.assertEqual(again, results)


class Kunit(unittest.TestCase):
    @staticmethod
    def report(cases, errors=0):
        suite = {"name": "rust_timer", "sub_groups": [], "test_cases": cases}
        return json.dumps({"name": "KUnit Test Group", "sub_groups": [suite] if cases else [],
                           "test_cases": [], "misc": {"errors": errors}})

    def test_results(self):
        cases = [{"name": "a", "status": "PASS"}, {"name": "b", "status": "SKIP"},
                 {"name": "c", "status": "ERROR"}, {"name": "d", "status": "FAIL"}]
        self.assertEqual(statuses(res.read_kunit(self.report(cases))), [
            ("rust_timer.a", "pass"), ("rust_timer.b", "skip"),
            ("rust_timer.c", "fail"), ("rust_timer.d", "fail")])

    def test_logs(self):
        cases = [{"name": "a", "status": "PASS"}, {"name": "b", "status": "SKIP"}, {"name": "d", "status": "FAIL"}]
        junit = ("<?xml version='1.0' encoding='utf-8'?><testsuite name='main'><testsuite name='rust_timer'>"
                 "<testcase name='a'><system-out>fine</system-out></testcase>"
                 "<testcase name='b'><skipped>no perf</skipped><system-out>1\n2</system-out></testcase>"
                 "<testcase name='d'><failure>Test Failed</failure><system-out>1\n2</system-out></testcase>"
                 "</testsuite></testsuite>")
        self.assertEqual([result.log for result in res.read_kunit(self.report(cases), junit)],
                         [[], ["no perf"], ["1", "2"]])
        self.assertEqual([result.log for result in res.read_kunit(self.report(cases), junit + "\x01")],
                         [[], ["kunit.py: SKIP"], ["kunit.py: FAIL"]])

    def test_broken(self):
        one = [{"name": "a", "status": "PASS"}]
        for report in ("", "{}", "[]", '{"misc": ', self.report([]), self.report(one, errors=1)):
            self.assertEqual(statuses(res.read_kunit(report))[-1], ("(run)", "fail"), report)


class Sums(unittest.TestCase):
    def test_fuzz(self):
        def status(count, code, done=12, fired=5):
            text = f"seed 1\n{done} operations in 3 cases, 4 s, {fired} firings, 6 maps lost in use, 7 times a CPU went offline, {count} differences\nexit status {code}\n"
            return res.read_fuzz(text, "race")[0].status
        self.assertEqual(status(0, 0), "pass")
        self.assertEqual(status(1, 1), "fail")
        self.assertEqual(status(0, 2), "fail")
        self.assertEqual(status(0, 0, done=0), "fail")
        self.assertEqual(status(0, 0, fired=0), "fail")
        self.assertEqual(res.read_fuzz("exit status 0\n", "race")[0].status, "fail")

    def test_expectations(self):
        text = "# why\nfails timer/cancel slow under TCG\nrepeat a b\nrepeat@1 c d\n"
        self.assertEqual(res.read_expectations(text, 1, "x86_64")["repeat"], {"a": "b", "c": "d"})
        expected = res.read_expectations(text, 2, "x86_64")
        self.assertEqual(expected["repeat"], {"a": "b"})
        results = res.read_progs(PROGS, NAMES)
        res.apply_known(results, expected["fails"])
        self.assertEqual(res.count(results), (2, 0, 3))
        self.assertIn("not ok 4 timer/cancel # TODO slow under TCG", res.write_ktap(results))
        worse = [row[0] for row in res.compare(results, [res.Result("timer/cancel", "pass")]) if row[3]]
        self.assertEqual(worse, [])

    def test_only_what_failed_is_expected(self):
        results = [res.Result("a", res.PASS)]
        res.apply_known(results, {"a": "why"})
        self.assertEqual((results[0].status, results[0].known), (res.PASS, ""))

    def test_repeat(self):
        for again, status in (("pass", "pass"), ("fail", "fail"), (None, "fail")):
            results = [res.Result("a", "fail"), res.Result("b", "fail")]
            others = [res.Result("a", again), res.Result("b", "pass")] if again else []
            res.apply_repeat(results, others, {"a": "time"})
            self.assertEqual(statuses(results), [("a", status), ("b", "fail")])

    def test_unsteady(self):
        repeats = [[res.Result("a", "pass"), res.Result("b", status)] for status in ("pass", "fail", "pass")]
        self.assertEqual(res.unsteady(repeats), [("b", {"pass": 2, "fail": 1})])
        repeats[0].pop(0)
        self.assertEqual(res.unsteady(repeats)[-1], ("a", {"pass": 2, "missing": 1}))
        self.assertEqual(res.unsteady(repeats[1:2]), [])

    def test_compare(self):
        c = [res.Result("a", "pass"), res.Result("b", "pass"), res.Result("c", "skip"), res.Result("d", "fail")]
        rust = [res.Result("a", "pass"), res.Result("c", "pass"), res.Result("d", "fail"), res.Result("e", "pass")]
        self.assertEqual([row[0] for row in res.compare(rust, c) if row[3]], ["b"])


class Cases(unittest.TestCase):
    """Tests ktap.sh with cases of its own."""

    def run_cases(self, cases):
        self.file = os.path.join(os.environ.get("TMPDIR", "/tmp"), f"cases-{os.getpid()}.sh")
        with open(self.file, "w", encoding="ascii") as file:
            file.write(f". {SCRIPTS}/lib/ktap.sh\n{cases}\nrun_cases \"$@\"\n")
        self.addCleanup(os.remove, self.file)
        done = subprocess.run(["bash", self.file], env={**os.environ, "LIMIT": "1"}, text=True,
                              check=False, stdout=subprocess.PIPE)
        return res.read_ktap(f"{done.stdout}exit status {done.returncode}\n")

    def test_cases(self):
        results = self.run_cases("""
test_a() { echo fine; }
test_b() { false; echo not reached; }
test_c() { skip no such thing; }
test_d() { sleep 9; }
test_e() { return 4; }
""")
        self.assertEqual(statuses(results), [("a", "pass"), ("b", "fail"), ("c", "skip"),
                                             ("d", "fail"), ("e", "fail")])
        self.assertNotIn("not reached", results[1].log)
        self.assertIn("no end in 1 s", results[3].log)


if __name__ == "__main__":
    unittest.main()
