"""The results of scripts/test, as one page for a browser."""
import glob
import html
import os
import time

from . import results as res

CONSOLE = 40    # lines of the console under a suite with failures
STYLE = """
:root { color-scheme: light dark; font: 15px/1.4 system-ui, sans-serif; }
body { max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1.5rem; }
th, td { text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #8884; vertical-align: top; }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
pre { overflow-x: auto; background: #8882; padding: .5rem; margin: .3rem 0; font-size: 12px; }
summary { cursor: pointer; }
.pass { color: #2a8a3e; } .fail { color: #d22; font-weight: bold; } .skip { color: #888; }
"""


def cell(text, kind=""):
    return f'<td class="{kind}">{html.escape(str(text))}</td>'


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
            + cell(run.where) + cell(passed, "n") + cell(failed, "n fail" if failed else "n")
            + cell(skipped, "n") + cell(f"{run.seconds:.0f} s", "n") + "</tr>")


def test_row(result):
    notes = "; ".join(filter(None, [result.known and f"known to fail: {result.known}", result.note]))
    log = f"<pre>{html.escape(chr(10).join(result.log))}</pre>" if result.status == res.FAIL and result.log else ""
    return f"<tr>{cell(result.status, result.status)}{cell(result.name)}<td>{html.escape(notes)}{log}</td></tr>"


def details(run):
    failed = res.count(run.results)[1]
    console = "".join(consoles_of(run)) if failed else ""
    rows = "".join(test_row(result) for result in run.results)
    return (f'<details id="{run.where}-{run.name}"{" open" if failed else ""}>'
            f"<summary>{html.escape(run.name)}, {html.escape(run.where)}</summary>"
            f"<table>{rows}</table>{console}</details>")


def write(path, runs, release, total):
    """Writes the page of the runs until now, of a total number. The failures come first."""
    passed, failed, skipped = res.count([result for run in runs for result in run.results])
    worst_first = sorted(runs, key=lambda run: -res.count(run.results)[1])
    page = f"""<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>BPF timers: {failed} failed</title><style>{STYLE}</style>
<h1>BPF timers: {passed} passed, <span class="{'fail' if failed else 'pass'}">{failed} failed</span>, {skipped} skipped</h1>
<p>{f"{len(runs)} of {total} suites yet. " if len(runs) < total else ""}{html.escape(release)}, {time.strftime('%Y-%m-%d %H:%M %Z')}. Logs, consoles and KTAP files are beside this page.</p>
<table><tr><th>suite<th>kernel<th>passed<th>failed<th>skipped<th>time</tr>
{''.join(summary_row(run) for run in worst_first)}</table>
{''.join(details(run) for run in worst_first)}
</html>
"""
    with open(path, "w", encoding="utf-8") as file:
        file.write(page)
