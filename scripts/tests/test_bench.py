"""Tests scripts/bench as a whole, with a VM that invents the figures."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

SCRIPTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# Prints a figure for all that the command asks for, except for lines in which $DROP occurs. Each
# run has $SLOWER times as many starts as the run before.
VM = r"""#!/usr/bin/env python3
import os, re, sys
flavor = re.search(r"build/(rust|c)\b", " ".join(sys.argv)).group(1)
words = re.search("BPF_TIMER_BENCH='([^']*)'", sys.argv[-1]).group(1).split()
times = os.environ["FAKE"] + "/times-" + flavor
lines = []
if "--icount" in sys.argv:
    for word in words:
        for name in NAMES:
            lines.append(f"bench {name} {word.replace(':', ' ')} {flavor} 2.50")
            lines.append(f"bench {name} {word.replace(':', ' ')} hrtimer 1.00")
        if flavor == "rust":
            lines.append(f"bench info {word.replace(':', ' ')} rust 3.00")
    lines += [f"bench_memory {flavor} 100000 120.50", f"bench_free {flavor} 1000000 1.2500"]
else:
    print("vm: booting bzImage, 2 CPUs, kvm", file=sys.stderr)
    with open(times, "a+") as file:
        file.write("x")
        file.seek(0)
        slow = float(os.environ["SLOWER"]) ** len(file.read())
    lines.append(f"bench_shared {int(100000 * slow)}")
    for who in (flavor, "hrtimer"):
        for cpu in (0, 1):
            lines.append(f"bench_lateness {who} {cpu} 5000 1 0.000000:5 0.500000:9 1.000000:12")
    for who in ("none", flavor, "hrtimer"):
        lines.append(f"bench_neighbour {who} 0.500000:9 1.000000:12")
drop = os.environ["DROP"]
print("\n".join(line for line in lines if not drop or drop not in line))
sys.exit(int(os.environ["STATUS"]))
"""
NAMES = ["init", "set_callback_same", "start_first", "start_again", "start_later", "start_earlier",
         "cancel_idle", "cancel_armed", "cancel_async_idle", "cancel_async_armed", "set_cancel",
         "set_start_cancel", "expiry", "delete_armed", "delete_idle", "delete_empty"]


class Whole(unittest.TestCase):
    def setUp(self):
        self.fake = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.fake)
        for path in ("bench", "lib/arch.py", "data/arches.ini"):
            os.makedirs(os.path.dirname(f"{self.fake}/scripts/{path}"), exist_ok=True)
            shutil.copy(f"{SCRIPTS}/{path}", f"{self.fake}/scripts/{path}")
        self.program("scripts/vm", VM.replace("NAMES", repr(NAMES)))
        self.program("scripts/lib/selftests", "#!/bin/sh\n")
        for flavor in ("rust", "c"):
            self.program(f"build/{flavor}/.built", "")
            self.program(f"build/{flavor}/include/config/kernel.release", "7.3.4\n")

    def program(self, path, text):
        path = f"{self.fake}/{path}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        os.chmod(path, 0o755)

    def run_bench(self, *args, drop="", slower="1", status="0"):
        """Returns the status, the last line on stderr, and the JSON if there is one."""
        env = {**os.environ, "FAKE": self.fake, "DROP": drop, "SLOWER": slower, "STATUS": status}
        done = subprocess.run([sys.executable, "-B", f"{self.fake}/scripts/bench", *args], text=True,
                              check=False, capture_output=True, env=env)
        results = f"{self.fake}/build/results"
        names = os.listdir(results) if os.path.isdir(results) else []
        if not names:
            return done.returncode, done.stderr.splitlines()[-1], None
        self.assertEqual(names, ["bench.json"])
        with open(f"{results}/bench.json", encoding="ascii") as file:
            return done.returncode, done.stderr.splitlines()[-1], json.load(file)

    def fails(self, sentence, **options):
        status, last, result = self.run_bench(**options)
        self.assertEqual((status, result), (1, None))
        self.assertIn(sentence, last)

    def test_full(self):
        status, _, result = self.run_bench()
        self.assertEqual(status, 0)
        self.assertEqual(result["machine"], {"cpus": 2, "accelerator": "kvm", "kernel": "7.3.4"})
        self.assertIn({"operation": "init", "map": "array", "context": "callback", "timers": 1000,
                       "cpus": 8, "rust": 2.5, "c": 2.5, "hrtimer": 1.0}, result["instructions"])
        # Only one has it, so there is nothing to compare.
        self.assertNotIn("info", {row["operation"] for row in result["instructions"]})
        self.assertEqual(result["memory"], {"timers": 100000, "rust": 120.5, "c": 120.5})
        self.assertEqual([one["who"] for one in result["lateness"]["series"]],
                         ["c", "c", "hrtimer", "hrtimer", "rust", "rust"])
        self.assertEqual({one["who"] for one in result["neighbour"]["series"]},
                         {"none", "rust", "c", "hrtimer"})

    def test_quick(self):
        _, _, result = self.run_bench("--quick")
        self.assertEqual(result["shared"], {"timers": 64, "cpus": 2, "rust": 100000, "c": 100000})
        self.assertFalse({"lateness", "neighbour", "memory", "free"} & result.keys())
        self.assertEqual({row["timers"] for row in result["instructions"]}, {1, 1000})

    def test_says_what_is_missing(self):
        self.fails("no figure for", drop="bench init hash")
        self.fails("no figures of hrtimers", drop="hrtimer 1.00")
        self.fails("no figure for free", drop="bench_free")
        self.fails("no figures for lateness rust 1", drop="bench_lateness rust 1")
        self.fails("no figures for neighbour none", drop="bench_neighbour none")

    def test_says_what_failed(self):
        self.fails("failed with", status="126")

    def test_wants_finished_kernels(self):
        os.remove(f"{self.fake}/build/c/.built")
        self.fails("no finished kernel in build/c: type make kernel FLAVOR=c")

    def test_runs_have_to_agree(self):
        self.assertEqual(self.run_bench(slower="1.05")[0], 0)
        shutil.rmtree(f"{self.fake}/build/results")
        self.fails("too busy to tell", slower="1.3")


if __name__ == "__main__":
    unittest.main()
