"""The results of scripts/test, as one page for a browser."""
import glob
import html
import os
import re
import time

from . import results as res

CONSOLE = 40    # lines of the console under a suite with failures
ORDER = [res.FAIL, res.SKIP, res.PASS]
STYLE = """
:root { color-scheme: light dark; font: 15px/1.4 system-ui, sans-serif; }
body { max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; }
h1 span { white-space: nowrap; }
table { border-collapse: collapse; margin: .5rem 0 1.5rem; scroll-margin-top: 3rem; }
th, td { text-align: left; padding: .2rem 0 .2rem 1.5rem; border-bottom: 1px solid #8884; vertical-align: top; }
th:first-child, td:first-child { padding-left: 0; }
.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.where { white-space: nowrap; }
.tests { width: 100%; }
.tests td { overflow-wrap: anywhere; }
.tests td:first-child { width: 2.5rem; overflow-wrap: normal; }
.tests div { color: #888; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #8882; padding: .5rem; margin: .3rem 0;
  font-size: 12px; }
@media (max-width: 40rem) { :root { font-size: 14px; } th, td { padding-left: .5rem; } }
summary { cursor: pointer; }
.pass { color: #2a8a3e; } .fail { color: #d22; font-weight: bold; } .skip { color: #888; }
"""


def cell(text, kind=""):
    return f'<td class="{kind}">{html.escape(str(text))}</td>'


def counts(run):
    passed, failed, skipped = res.count(run.results)
    return ", ".join(f"{number} {what}" for number, what in
                     ((failed, "failed"), (passed, "passed"), (skipped, "skipped")) if number)


def consoles_of(run):
    """Yields the ends of a run's consoles: some suites run in parts, each in its own VM."""
    base = glob.escape(run.base)
    for path in glob.glob(f"{base}.console") + sorted(glob.glob(f"{base}-*.console")):
        with open(path, errors="backslashreplace") as file:
            end = "\n".join(file.read().splitlines()[-CONSOLE:])
        yield f"<p>The end of {html.escape(os.path.basename(path))}:</p><pre>{html.escape(end)}</pre>"


def summary_row(run):
    passed, failed, skipped = res.count(run.results)
    return (f'<tr><td><a href="#{run.where}-{run.name}">{html.escape(run.name)}</a></td>'
            + cell(run.where, "where") + cell(passed, "n") + cell(failed, "n fail" if failed else "n")
            + cell(skipped, "n") + cell(f"{run.seconds:.0f} s", "n") + "</tr>")


def test_row(result):
    name = re.sub(r"([_./])", r"\1<wbr>", html.escape(result.name))
    skipped = result.status == res.SKIP and not result.known and " ".join(result.log[:1])
    notes = "; ".join(filter(None, [result.known and f"known to fail: {result.known}", skipped, result.note]))
    note = f"<div>{html.escape(notes)}</div>" if notes else ""
    log = f"<pre>{html.escape(chr(10).join(result.log))}</pre>" if result.status == res.FAIL and result.log else ""
    return f"<tr>{cell(result.status, result.status)}<td>{name}{note}{log}</td></tr>"


def details(run):
    failed = res.count(run.results)[1]
    console = "".join(consoles_of(run)) if failed else ""
    worst_first = sorted(run.results, key=lambda result: ORDER.index(result.status))
    rows = "".join(test_row(result) for result in worst_first)
    # The browser opens the section of an element in it that a link names.
    return (f'<details{" open" if failed else ""}>'
            f"<summary>{html.escape(run.name)}, {html.escape(run.where)}: {counts(run)}</summary>"
            f'<table class="tests" id="{run.where}-{run.name}">{rows}</table>{console}</details>')


def write(path, runs, release, total):
    """Writes the page of the runs until now, of a total number. The failures come first."""
    passed, failed, skipped = res.count([result for run in runs for result in run.results])
    worst_first = sorted(runs, key=lambda run: -res.count(run.results)[1])
    page = f"""<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>BPF timers: {failed} failed</title><style>{STYLE}</style>
<h1>BPF timers: {passed} passed, <span class="{'fail' if failed else 'pass'}">{failed} failed</span>, {skipped} skipped</h1>
<p>{f"{len(runs)} of {total} suites have ended. " if len(runs) < total else ""}{html.escape(release)}, {time.strftime('%Y-%m-%d %H:%M %Z')}. Logs, consoles and KTAP files are beside this page.</p>
<table><tr><th>suite<th>kernel<th class="n">passed<th class="n">failed<th class="n">skipped<th class="n">time</tr>
{''.join(summary_row(run) for run in worst_first)}</table>
{''.join(details(run) for run in worst_first)}
</html>
"""
    with open(path, "w", encoding="utf-8") as file:
        file.write(page)
