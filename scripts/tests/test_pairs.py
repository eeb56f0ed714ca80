"""Tests which comments scripts/pairs accepts as explanations of atomic accesses."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

PAIRS = pathlib.Path(__file__).resolve().parent.parent / "pairs"


class Pairs(unittest.TestCase):
    def run_on(self, text):
        with tempfile.NamedTemporaryFile("w", suffix=".rs") as file:
            file.write(text)
            file.flush()
            return subprocess.run([sys.executable, "-B", str(PAIRS), file.name], check=False,
                                  text=True, capture_output=True)

    def test_names_the_ordering_or_the_pair(self):
        for comment in "// Acquire: pairs with `f()`.", "// Pairs with `f()`.", "// A.\n// Acquire: as above.":
            done = self.run_on(f"{comment}\nlet x = 1;\nlet y = self.word.load(Acquire);\n")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(":3: self.word.load(Acquire): " if "\n" not in comment else ":4: ", done.stdout)

    def test_other_comments_do_not_count(self):
        for above in "", "// Relaxed: only shown.\n", "// Why not.\n", "// Acquire: another's.\n\n", "/// Acquire: a doc.\n":
            self.assertEqual(self.run_on(f"{above}smp_mb(Full);\ny.load(Acquire);\n").returncode, 1, above)

    def test_tests_are_not_looked_at(self):
        self.assertIn("0 of 0", self.run_on("mod other;\nmod tests {\n    x.load(Relaxed);\n}\n").stderr)


if __name__ == "__main__":
    unittest.main()
