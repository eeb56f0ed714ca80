"""Find mistakes for which a maintainer would send back the series as it is mailed.

Each complaint is a sentence that begins with the file and the line.
"""
import collections
import email
import email.policy
import itertools
import re

LIMIT = 75   # characters of a subject and of a line
CONTEXT = 3  # lines at both ends of a hunk, as git writes them

LEFTOVER = re.compile(r"^Files:\s*$|\*\*\* .* HERE \*\*\*|\b(?:TODO|FIXME|XXX)\b")
# git am ends the message at such a line.
ENDING = re.compile(r"---(?:\s|$)|diff -|Index: ")
# The submitter of the series adds the trailers.
TRAILER = re.compile(r"(?:[\w-]+-(?:by|id)|cc|link|closes|fixes):", re.IGNORECASE)
SUBJECT = re.compile(r"[\w./+-]+(?:, ?[\w./+-]+)*: \S")
# A line may be long if it is indented, as quoted output is, or if it is one word, such as
# a URL, with or without the number of a reference before it.
UNBREAKABLE = re.compile(r"\s.*|(?:\[\d+\] )?\S+")
HUNK = re.compile(r"@@ -(\d+)(?:,\d+)? \+\d+(?:,\d+)? @@")

Hunk = collections.namedtuple("Hunk", "file number start lines")


class Lengths(dict):
    """The number of lines of each file: first as in the pristine tree, then as the patches leave it."""

    def __init__(self, pristine):
        super().__init__()
        self.pristine = pristine

    def __missing__(self, file):
        path = self.pristine / file
        self[file] = path.read_bytes().count(b"\n") if path.exists() else 0
        return self[file]


def start_of_diff(lines):
    return next((i for i, line in enumerate(lines) if line.startswith("diff --git ")), len(lines))


def check_subject(subject, cover):
    title = re.sub(r"^\[[^]]*\] *", "", subject)
    if len(title) > LIMIT:
        yield f"the subject has {len(title)} characters, more than {LIMIT}"
    if not cover and not SUBJECT.match(title):
        yield f'the subject "{title}" does not begin with an area and a colon'
    if LEFTOVER.search(title):
        yield f'the subject has the leftover "{LEFTOVER.search(title)[0]}"'


def check_line(line):
    if LEFTOVER.search(line):
        yield f'the message has the leftover "{LEFTOVER.search(line)[0].strip()}"'
    if ENDING.match(line):
        yield f'the line "{line}" ends the message for git am'
    if TRAILER.match(line):
        yield f'the message has the trailer "{line}", which the submitter adds'
    if len(line) > LIMIT and not UNBREAKABLE.fullmatch(line):
        yield f"the line has {len(line)} characters, more than {LIMIT}"


def check_message(name, text, cover=False):
    """Yield the complaints about the subject and the message of a mail."""
    lines = text.split("\n")
    body = lines.index("")
    diff = start_of_diff(lines)
    ends = [i for i in range(body, diff) if lines[i] == "---"]
    end = len(lines) if cover else ends[-1] if ends else diff + 1
    subject = email.message_from_string("\n".join(lines[:body]), policy=email.policy.default)["subject"]
    number = 1 + next((i for i in range(body) if lines[i].startswith("Subject:")), 0)
    for complaint in check_subject(subject or "", cover):
        yield f"{name}:{number}: {complaint}"
    for number, line in enumerate(lines[body:end], body + 1):
        for complaint in check_line(line):
            yield f"{name}:{number}: {complaint}"


def check_source(name, text):
    """Yield the complaints about text between the line "---" and the diff of a patch in patches/."""
    lines = text.split("\n")
    end = lines.index("---") if "---" in lines else len(lines)
    for number, line in enumerate(lines[end + 1:start_of_diff(lines)], end + 2):
        if line.strip():
            yield f'{name}:{number}: the line "{line}" is not in any mail, because it is below the line "---"'


def read_hunks(text):
    hunks = []
    file, inside = None, False
    for number, line in enumerate(text.rstrip("\n").split("\n"), 1):
        if line.startswith("diff --git "):
            file, inside = line.rpartition(" b/")[2], False
        elif file and (match := HUNK.match(line)):
            hunks.append(Hunk(file, number, int(match[1]), []))
            inside = True
        elif inside and not line.startswith("\\"):
            hunks[-1].lines.append(line)
    return hunks


def count_context(lines):
    return sum(1 for _ in itertools.takewhile(lambda line: not line.startswith(("+", "-")), lines))


def is_usual(count, at_edge):
    return count == CONTEXT or (at_edge and count < CONTEXT)


def check_diff(name, text, lengths):
    """Yield the complaints about the hunks of a patch, and keep the lengths up to date."""
    growth = collections.Counter()
    for hunk in read_hunks(text):
        added = sum(line.startswith("+") for line in hunk.lines)
        removed = sum(line.startswith("-") for line in hunk.lines)
        growth[hunk.file] += added - removed
        behind = max(hunk.start, 1) + len(hunk.lines) - added  # the first line after the hunk
        before, after = count_context(hunk.lines), count_context(hunk.lines[::-1])
        if not (is_usual(before, hunk.start <= 1) and is_usual(after, behind > lengths[hunk.file])):
            yield (f"{name}:{hunk.number}: the hunk of {hunk.file} has {before} and {after} lines of context, "
                   f"not {CONTEXT} at both ends")
    for file, lines in growth.items():
        lengths[file] += lines


def check(pristine, sources, mails):
    """Yield the complaints about the series; sources and mails are the names and paths of its patches."""
    lengths = Lengths(pristine)
    for name, path in sources:
        text = path.read_text()
        yield from check_source(name, text)
        yield from check_diff(name, text, lengths)
    lengths = Lengths(pristine)
    for name, path in mails:
        text = path.read_text()
        yield from check_message(name, text, cover=path.name.startswith("0000-"))
        yield from check_diff(name, text, lengths)
