"""Tests the checks of the series, and scripts/series as a whole with a small series."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

SCRIPTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(SCRIPTS))
from lib import series_check  # pylint: disable=wrong-import-position

MAIL = """\
From 0123456789 Mon Sep 17 00:00:00 2001
From: A <a@b>
Subject: [PATCH bpf-next 01/18] rust: sync: add lock-less lists

The TODOs of callers are no leftover, nor is a line of files: or lists.
  $ a command that is quoted with its output may be as long as that output is
https://lore.kernel.org/bpf/0123456789-0123456789-0123456789-0123456789@example.org/
[1] https://lore.kernel.org/bpf/0123456789-0123456789-0123456789-0123456@example.org/

75 characters are allowed in a line of the message; this line has them all.
---
 a | 1 +
 1 file changed, 1 insertion(+)

diff --git a/a b/a
"""
COVER = """\
From 0123456789 Mon Sep 17 00:00:00 2001
Subject: [PATCH bpf-next 00/18] BPF timers in Rust

This series is short.

A (1):
  rust: sync: add lock-less lists
"""
HUNK = """\
diff --git a/a b/a
--- a/a
+++ b/a
@@ -{start} +{start} @@ fn a()
"""


class Message(unittest.TestCase):
    def complaints(self, old="", new="", mail=MAIL, **kwargs):
        self.assertIn(old, mail)
        return list(series_check.check_message("a", mail.replace(old, new, 1), **kwargs))

    def check(self, line, complaint):
        """Checks the complaints about a LINE in the message of a patch and of the cover letter."""
        self.assertEqual(self.complaints("75 char", f"{line}\n75 char"), [f"a:10: {complaint}"])
        self.assertEqual(self.complaints("\nA (1)", f"{line}\n\nA (1)", COVER, cover=True), [f"a:5: {complaint}"])

    def test_clean(self):
        self.assertEqual(self.complaints(), [])
        self.assertEqual(self.complaints(mail=COVER, cover=True), [])

    def test_leftovers(self):
        for line in "Files:", "*** SUBJECT HERE ***", "*** BLURB HERE ***", "TODO", "FIXME", "XXX":
            self.check(line, f'the message has the leftover "{line}"')
        self.check("This is for later (TODO: when?).", 'the message has the leftover "TODO"')

    def test_end_of_message(self):
        for line in "---", "--- a/a", "diff --git a/a b/a", "Index: a":
            self.check(line, f'the line "{line}" ends the message for git am')

    def test_trailers(self):
        for name in ("Signed-off-by", "Co-developed-by", "Reviewed-by", "acked-by", "Change-Id", "Message-ID",
                     "Cc", "Link", "Closes", "Fixes"):
            line = f"{name}: A <a@b>"
            self.check(line, f'the message has the trailer "{line}", which the submitter adds')

    def test_long_lines(self):
        self.check("x " * 38, "the line has 76 characters, more than 75")
        self.assertEqual(self.complaints("75 char", "ä" + " ä" * 37 + "\n75 char"), [])

    def test_long_subject(self):
        self.assertEqual(self.complaints("rust: sync: add lock-less lists", "a: " + "x" * 72), [])
        for subject in "a: " + "x" * 73, "a: " + "x" * 60 + "\n " + "x" * 12:
            self.assertEqual(self.complaints("rust: sync: add lock-less lists", subject),
                             ["a:3: the subject has 76 characters, more than 75"])
        self.assertEqual(self.complaints("BPF", "x" * 67, COVER, cover=True),
                         ["a:2: the subject has 82 characters, more than 75"])

    def test_area(self):
        for subject in "add lists", "rust sync: add lists", "rust:add lists", ": add lists", "fixup! rust: add lists":
            self.assertEqual(self.complaints("rust: sync: add lock-less lists", subject),
                             [f'a:3: the subject "{subject}" does not begin with an area and a colon'])
        for subject in "rust, bpf: add lists", "selftests/bpf: add lists", "lib/list.c: add lists":
            self.assertEqual(self.complaints("rust: sync: add lock-less lists", subject), [])

    def test_leftover_in_subject(self):
        self.assertEqual(self.complaints("add lock", "TODO: lock"), ['a:3: the subject has the leftover "TODO"'])
        self.assertEqual(self.complaints("BPF timers in Rust", "*** SUBJECT HERE ***", COVER, cover=True),
                         ['a:2: the subject has the leftover "*** SUBJECT HERE ***"'])

    def test_below_the_message(self):
        text = "Subject: a: b\n\nc\n\nFiles:\n d\n---\n{}diff --git a/a b/a\n"
        self.assertEqual(list(series_check.check_source("a", text.format(""))), [])
        self.assertEqual(list(series_check.check_source("a", text.format("\n \ne\n---\n"))),
                         ['a:10: the line "e" is not in any mail, because it is below the line "---"',
                          'a:11: the line "---" is not in any mail, because it is below the line "---"'])
        self.assertEqual(list(series_check.check_source("a", "Subject: a: b\n\nc\n")), [])


class Context(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir)
        (self.dir / "a").write_text("\n" * 20)

    def complaints(self, *hunks):
        """Returns the complaints about patches of one hunk each, which is (start, lines)."""
        lengths = series_check.Lengths(self.dir)
        return [complaint for start, lines in hunks
                for complaint in series_check.check_diff("p", HUNK.format(start=start) + lines, lengths)]

    def check(self, usual, start, lines):
        self.assertEqual(not self.complaints((start, lines)), usual, (start, lines))

    def test_in_the_middle(self):
        for before in range(5):
            for after in range(5):
                complaint = f"p:4: the hunk of a has {before} and {after} lines of context, not 3 at both ends"
                self.assertEqual(self.complaints((9, " \n" * before + "-\n+\n" + " \n" * after)),
                                 [] if before == after == 3 else [complaint])

    def test_at_the_beginning(self):
        self.check(True, 1, "+\n" + " \n" * 3)
        self.check(True, 1, " \n" * 2 + "+\n" + " \n" * 3)
        self.check(False, 1, " \n" * 4 + "+\n" + " \n" * 3)
        self.check(False, 2, " \n" * 2 + "+\n" + " \n" * 3)

    def test_at_the_end(self):
        self.check(True, 18, " \n" * 3 + "+\n")
        self.check(True, 16, " \n" * 3 + "+\n+\n" + " \n" * 2)
        self.check(True, 15, " \n" * 3 + "-\n" + " \n" * 2)
        self.check(True, 15, " \n" * 3 + "+\n" + " \n" * 3 + "\\ No newline at end of file\n")
        self.check(False, 14, " \n" * 3 + "-\n+\n" + " \n" * 2)
        self.check(False, 14, " \n" * 3 + "+\n" + " \n" * 4)

    def test_after_other_patches(self):
        longer = 9, " \n" * 3 + "+\n" + " \n" * 3
        shorter = 9, " \n" * 3 + "-\n" + " \n" * 3
        last = " \n" * 3 + "+\n"
        self.assertEqual(self.complaints(longer, (19, last)), [])
        self.assertEqual(len(self.complaints(longer, (18, last))), 1)
        self.assertEqual(self.complaints(shorter, (17, last)), [])

    def test_stripped_context(self):
        self.check(True, 9, "\n" * 3 + "+\n" + "\n" * 2 + " x\n")

    def test_new_file(self):
        text = "diff --git a/b b/b\n--- /dev/null\n+++ b/b\n@@ -0,0 +1,2 @@\n+\n+\n"
        self.assertEqual(list(series_check.check_diff("p", text, series_check.Lengths(self.dir))), [])


class Series(unittest.TestCase):
    """Tests scripts/series in a repository whose patches add a file, change one, and do both."""

    ADDS = "Subject: a: add b\n\nWhy.\n\nFiles:\n kernel/b\n---\n"
    CHANGES = ("Subject: a: change a\n\nWhy.\n{}---\n"
               "diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -2 +2 @@\n a10\n-a11\n+-- a\n a12\n")
    BOTH = ("Subject: a: add d\n\nWhy.\n\nFiles:\n kernel/d\n---\n"
            "diff --git a/c b/c\n--- a/c\n+++ b/c\n@@ -1 +1,2 @@\n c\n+d\n")

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir)
        self.out, self.pristine = self.dir / "build", self.dir / "pristine"
        for name in "scripts/lib", "patches", "kernel", "pristine":
            (self.dir / name).mkdir(parents=True)
        for name in "series", "lib/series_check.py":
            shutil.copy(SCRIPTS / name, self.dir / "scripts" / name)
        (self.dir / "kernel/b").write_text("b\n")
        (self.dir / "kernel/d").write_text("d\n")
        (self.pristine / "a").write_text("".join(f"a{i}\n" for i in range(1, 21)))
        (self.pristine / "c").write_text("c\n")
        self.write("cover-letter.txt", "Subject: A\n\nWhy.\n")
        self.write("0001-b.patch", self.ADDS)
        self.write("0002-a.patch", self.CHANGES.format(""))
        self.write("0003-d.patch", self.BOTH)
        subprocess.run(["git", "init", "-q", self.dir], check=True)

    def write(self, name, text):
        (self.dir / "patches" / name).write_text(text)

    def series(self, *args, status=0):
        env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        done = subprocess.run([self.dir / "scripts/series", *args], cwd=self.dir, env=env, text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, status, done.stdout)
        return done.stdout

    def mails(self):
        self.series("write", self.pristine, self.out)
        return [path.read_text().partition("Subject: ")[2] for path in sorted(self.out.glob("*"))]

    def test_empty_list(self):
        mails = self.mails()
        self.assertIn("\n\nWhy.\n---\n", mails[2])
        self.write("0002-a.patch", self.CHANGES.format("\nFiles:\n"))
        self.assertEqual(self.mails(), mails)

    def test_refresh(self):
        mails = self.mails()
        for files in "", "\nFiles:\n":
            self.write("0002-a.patch", self.CHANGES.format(files))
            self.series("refresh", self.pristine)
            self.assertEqual((self.dir / "patches/0001-b.patch").read_text(), self.ADDS)
            self.assertEqual((self.dir / "patches/0003-d.patch").read_text(), self.BOTH)
            head, line, _ = self.CHANGES.format(files).partition("@@ ")
            self.assertEqual((self.dir / "patches/0002-a.patch").read_text(),
                             head + line + "-8,7 +8,7 @@\n a8\n a9\n a10\n-a11\n+-- a\n a12\n a13\n a14\n")
            self.assertEqual(self.series("refresh", self.pristine), "")
            self.assertEqual(self.mails(), mails)

    def test_check(self):
        self.mails()
        complaint = "series: patches/0002-a.patch:8: the hunk of a has 1 and 1 lines of context, not 3 at both ends\n"
        self.assertEqual(self.series("check", self.pristine, self.out, status=1), complaint)
        self.series("refresh", self.pristine)
        self.assertEqual(self.series("check", self.pristine, self.out), "")
        self.write("0001-b.patch", self.ADDS.replace("Why.", "TODO"))
        changed = (self.dir / "patches/0002-a.patch").read_text()
        self.write("0002-a.patch", changed.replace("---\n", "---\nmore\n", 1))
        self.write("cover-letter.txt", "Subject: A\n\nFIXME\n")
        self.mails()
        self.assertEqual(self.series("check", self.pristine, self.out, status=1).splitlines(), [
            'series: patches/0002-a.patch:5: the line "more" is not in any mail, because it is below the line "---"',
            'series: build/0000-cover-letter.patch:6: the message has the leftover "FIXME"',
            'series: build/0001-a-add-b.patch:6: the message has the leftover "TODO"'])

    def test_check_of_other_mails(self):
        self.mails()
        (self.out / "0000-cover-letter.patch").unlink()
        self.assertEqual(self.series("check", self.pristine, self.out, status=1), "series: build has 3 mails, "
                         "not one for each of 3 patches and the cover letter: write it anew\n")

    def test_fixes(self):
        tree = self.dir / "tree"
        self.write("0000-fix-a.patch", self.CHANGES.format(""))
        self.write("0002-a.patch", self.ADDS.replace("kernel/b", "kernel/e").replace("add b", "add e"))
        (self.dir / "kernel/e").write_text("e\n")
        self.series("fixes", self.pristine, tree)
        self.assertIn("-- a\n", (tree / "a").read_text())
        self.assertFalse((tree / "kernel/b").exists())
        (self.dir / "patches/0000-fix-a.patch").rename(self.dir / "patches/0004-fix-a.patch")
        self.assertEqual(self.series("fixes", self.pristine, tree, status=1),
                         "series: a fix in patches/ comes after another patch, or adds a file\n")


if __name__ == "__main__":
    unittest.main()
