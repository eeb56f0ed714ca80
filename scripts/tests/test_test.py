"""Tests scripts/test as a whole, with a VM that prints prepared output."""
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest

SCRIPTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# Copies the console from a file, as QEMU would write it.
VM = """#!/bin/sh
case $* in *--icount*) FAKE=$FAKE/again ;; esac
while [ "$1" != --console ]; do shift; done
cat "$FAKE/console" >"$2"
cat "$FAKE/output"
exit "$(cat "$FAKE/status")"
"""
KUNIT = """import os, shutil, sys
report = [arg for arg in sys.argv if arg.startswith("--json=")][0].split("=")[1]
shutil.copy(os.environ["FAKE"] + "/report", report)
"""
OUTPUT = "#1 timer:OK\nSummary: 1/0 PASSED, 0 SKIPPED, 0/0 FAILED\nexit status 0\n"
VERIFIER = "test_verifier:\n#0/p a OK\nSummary: 1 PASSED, 0 SKIPPED, 0 FAILED\nexit status 0\n"
KTAP = "KTAP version 1\n1..2\nok 1 a\nok 2 b # SKIP why\nexit status 0\n"
REPORT = json.dumps({"name": "", "sub_groups": [], "misc": {"errors": 0},
                     "test_cases": [{"name": "a", "status": "PASS"}]})


class Whole(unittest.TestCase):
    def setUp(self):
        self.fake = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.fake)
        for path in ("test", "lib/arch.py", "data/arches.ini", "lib/report.py", "lib/results.py", "lib/step"):
            os.makedirs(os.path.dirname(f"{self.fake}/scripts/{path}"), exist_ok=True)
            shutil.copy(f"{SCRIPTS}/{path}", f"{self.fake}/scripts/{path}")
        self.program("scripts/vm", VM)
        self.program("scripts/source", '#!/bin/sh\necho "$FAKE/tree"\n')
        self.program("scripts/lib/selftests", '#!/bin/sh\nmkdir -p "$2" && echo timer | tee "$2/tests.txt" >"$2/own.txt"\n')
        self.program("tree/tools/testing/kunit/kunit.py", KUNIT)
        for flavor in ("rust", "c"):
            self.program(f"build/{flavor}/.built", "")
        self.say(status="0", output=OUTPUT, console="", report=REPORT)

    def program(self, path, text):
        path = f"{self.fake}/{path}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)

    def say(self, **files):
        for name, text in files.items():
            with open(f"{self.fake}/{name}", "w", encoding="ascii") as file:
                file.write(text)

    def say_repeat(self, output, again):
        os.mkdir(f"{self.fake}/again")
        self.say(output=output, **{"scripts/data/upstream-expect.txt": "repeat timer slow\n", "again/console": "",
                                   "again/output": again, "again/status": "0"})

    def run_test(self, *args):
        done = subprocess.run([sys.executable, "-B", f"{self.fake}/scripts/test", *args], text=True,
                              check=False, capture_output=True, env={**os.environ, "FAKE": self.fake})
        self.out = done.stdout
        last = done.stdout.splitlines()[-1] if done.stdout else done.stderr
        return done.returncode, last.removesuffix(": build/results/index.html")

    def test_passes(self):
        self.assertEqual(self.run_test("selftests"), (0, "1 passed, 0 failed, 0 skipped"))
        self.assertEqual(self.run_test("kunit"), (0, "1 passed, 0 failed, 0 skipped"))
        self.say(output=OUTPUT + VERIFIER)
        self.assertEqual(self.run_test("upstream"), (0, "2 passed, 0 failed, 0 skipped"))
        self.say(output=KTAP)
        self.assertEqual(self.run_test("sample"), (0, "1 passed, 0 failed, 1 skipped"))
        with open(f"{self.fake}/build/results/rust/sample.ktap", encoding="ascii") as file:
            self.assertIn("ok 2 b # SKIP why", file.read())

    def page(self):
        with open(f"{self.fake}/build/results/index.html", encoding="utf-8") as file:
            return file.read()

    def test_the_page_shows_failures(self):
        self.say(output="log <&>\n" + OUTPUT.replace(":OK", ":FAIL").replace("1/0", "0/0").replace("0/0 F", "1/0 F")
                 .replace("status 0", "status 1"), console="the <console>\n")
        self.assertEqual(self.run_test("--cpus", "4", "selftests")[0], 1)
        for text in ("rust-4cpu", "1 failed", "log &lt;&amp;&gt;", "the &lt;console&gt;"):
            self.assertIn(text, self.page())

    def test_the_page_shows_what_did_not_pass_first(self):
        self.say(output=KTAP.replace("1..2", "1..3").replace("exit", "# log\nnot ok 3 c\nexit"))
        self.run_test("sample")
        rows = ['<td class="fail">fail</td><td>c<pre>log</pre></td>',
                '<td class="skip">skip</td><td>b<div>why</div></td>', '<td class="pass">pass</td><td>a</td>']
        self.assertIn("</tr><tr>".join(rows), self.page())

    def test_every_way_the_vm_fails(self):
        for status in ("124", "125", "126", "1"):
            self.say(status=status)
            for suite in ("selftests", "kunit"):
                self.assertEqual(self.run_test(suite), (1, "1 passed, 1 failed, 0 skipped"))
                self.assertIn("FAILED: ", self.out)

    def test_no_boot_leaves_no_results_of_before(self):
        self.assertEqual(self.run_test("kunit", "selftests")[0], 0)
        self.say(status="125", output="", report="")
        self.assertEqual(self.run_test("kunit", "selftests"), (1, "0 passed, 4 failed, 0 skipped"))

    def test_build_failure(self):
        self.program("scripts/lib/selftests", "#!/bin/sh\nexit 1\n")
        self.assertEqual(self.run_test("selftests"), (1, "0 passed, 1 failed, 0 skipped"))

    def test_only_skips_is_no_success(self):
        self.say(output="KTAP version 1\n1..1\nok 1 a # SKIP why\nexit status 0\n")
        self.assertEqual(self.run_test("sample"), (1, "0 passed, 0 failed, 1 skipped"))

    def test_known_failure(self):
        self.say(output="1..2\nnot ok 1 a\nok 2 b\nexit status 1\n")
        self.assertEqual(self.run_test("sample")[0], 1)
        self.say(**{"scripts/data/upstream-expect.txt": "fails a slow\n"})
        self.assertEqual(self.run_test("sample"), (0, "1 passed, 0 failed, 1 skipped"))
        self.assertIn("known to fail: sample, rust: a: slow", self.out)

    def test_repeat(self):
        failed = OUTPUT.replace("OK", "FAIL").replace("1/0 P", "0/0 P").replace("0/0 F", "1/0 F")
        self.say_repeat(failed, OUTPUT)
        self.assertEqual(self.run_test("selftests"), (0, "1 passed, 0 failed, 0 skipped"))
        self.assertIn("passed: selftests, rust: timer: in the repeat only: slow", self.out)
        self.say(**{"again/output": f"again:\n{failed}again:\n{OUTPUT}"})
        self.assertEqual(self.run_test("selftests"), (0, "1 passed, 0 failed, 0 skipped"))
        self.say(**{"again/output": f"again:\n{OUTPUT}again:\n{failed}"})
        self.assertEqual(self.run_test("selftests"), (1, "0 passed, 1 failed, 0 skipped"))
        self.say(**{"again/output": OUTPUT, "again/status": "126"})
        self.assertEqual(self.run_test("selftests"), (1, "1 passed, 1 failed, 0 skipped"))

    def test_repeat_of_what_failed_outside_its_subtests(self):
        failed = ("#1/1 timer/a:OK\n#1 timer:FAIL\n"
                  "Summary: 0/1 PASSED, 0 SKIPPED, 1/0 FAILED\nexit status 1\n")
        passed = failed.replace("FAIL\n", "OK\n").replace("0/1 P", "1/1 P").replace("1/0 F", "0/0 F")
        self.say_repeat(failed, passed)
        self.assertEqual(self.run_test("selftests"), (0, "2 passed, 0 failed, 0 skipped"))
        self.assertIn("passed: selftests, rust: timer: in the repeat only: slow", self.out)
        in_subtest = passed.replace("a:OK", "a:FAIL").replace("timer:OK", "timer:FAIL")
        self.say(**{"again/output": in_subtest})
        self.assertEqual(self.run_test("selftests"), (1, "1 passed, 1 failed, 0 skipped"))

    def test_no_pmu(self):
        self.say(**{"scripts/data/upstream-expect.txt": "pmu nmi none\n"})
        self.program("scripts/lib/selftests", '#!/bin/sh\nmkdir -p "$2" && echo timer nmi >"$2/own.txt"\n')
        self.assertEqual(self.run_test("selftests"), (1, "1 passed, 1 failed, 0 skipped"))
        self.say(output="there is no PMU\n" + OUTPUT)
        self.assertEqual(self.run_test("selftests"), (0, "1 passed, 0 failed, 1 skipped"))
        self.assertIn("skipped: selftests, rust: nmi\n", self.out)

    def test_repeats(self):
        self.assertEqual(self.run_test("--times", "3", "selftests"), (0, "3 passed, 0 failed, 0 skipped"))
        self.assertNotIn("not the same", self.out)
        self.program("scripts/vm", VM.replace("cat \"$FAKE/console", """\
case $2 in *.2.console) sed s,OK,SKIP, "$FAKE/output"; : >"$2"; exit ;; esac
cat "$FAKE/console"""))
        self.assertEqual(self.run_test("--times", "3", "selftests"), (0, "2 passed, 0 failed, 1 skipped"))
        self.assertIn("not the same each time: selftests, rust: timer: pass 2, skip 1\n", self.out)
        self.assertIn("skipped: selftests.2, rust: timer\n", self.out)

    def test_known_on_one_cpu_only(self):
        self.say(output="1..2\nnot ok 1 a\nok 2 b\nexit status 1\n",
                 **{"scripts/data/upstream-expect.txt": "fails@1 a rare\n"})
        self.assertEqual(self.run_test("--cpus", "1", "sample")[0], 0)
        self.assertEqual(self.run_test("--cpus", "2", "sample")[0], 1)

    def test_compare(self):
        status, last = self.run_test("--compare", "selftests")
        self.assertEqual((status, last), (0, "2 passed, 0 failed, 0 skipped"))
        self.assertIn("timer      pass     pass\n", self.out)
        self.say(status="126")
        self.assertEqual(self.run_test("--compare", "selftests")[0], 1)

    def test_compare_what_fails_with_either(self):
        self.say(output="#1 timer:FAIL\nSummary: 0/0 PASSED, 0 SKIPPED, 1/0 FAILED\nexit status 1\n")
        self.assertEqual(self.run_test("--compare", "selftests")[0], 1)    # nothing passed
        self.say(output="1..2\nok 1 a\nnot ok 2 b\nexit status 1\n")
        self.assertEqual(self.run_test("--compare", "sample")[0], 0)
        self.assertEqual(self.run_test("sample")[0], 1)

    def test_usage(self):
        self.assertEqual(self.run_test("nonesuch")[0], 2)
        self.assertIn("no finished kernel in build/debug", self.run_test("--flavor", "debug")[1])


if __name__ == "__main__":
    unittest.main()
