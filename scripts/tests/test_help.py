"""Tests that make help fits on a screen, and that it or make help-all names each target."""
import pathlib
import re
import subprocess
import unittest

REPO = pathlib.Path(__file__).resolve().parent.parent.parent
LINES, COLUMNS = 40, 80


def make(target):
    return subprocess.run(["make", "-s", "-C", REPO, "--no-print-directory", target], check=True, text=True,
                          stdout=subprocess.PIPE).stdout


class Help(unittest.TestCase):
    def test_first_screen(self):
        page = make("help")
        self.assertLessEqual(len(page.splitlines()), LINES)
        self.assertTrue(make("help-all").startswith(page))

    def test_columns(self):
        self.assertEqual([line for line in make("help-all").splitlines() if len(line) > COLUMNS], [])

    def test_each_target_once(self):
        targets = re.search(r"^\.PHONY: (.*)$", (REPO / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)[1]
        named = re.findall(r"^  make (\S+)", make("help-all"), re.MULTILINE)
        self.assertEqual(sorted(named), sorted(targets.split()))


if __name__ == "__main__":
    unittest.main()
