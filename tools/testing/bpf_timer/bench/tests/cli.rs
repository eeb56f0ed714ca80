// SPDX-License-Identifier: GPL-2.0

//! Runs the program: its exit status, its page, and its last line.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

const SAMPLE: &str = include_str!("sample.json");
const LIMITS: &str = include_str!("../limits.txt");

struct Run {
    status: i32,
    stdout: String,
    stderr: String,
    /// `None` if there is no file.
    page: Option<String>,
}

/// Runs the program in a directory that has a stale page.
fn run(name: &str, json: &str, limits: &str, base: Option<&str>) -> Run {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&dir).unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let page = write("page.html", "stale");
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
    command.arg("--limits").arg(write("limits.txt", limits));
    command.arg("--html").arg(&page);
    command.arg(write("figures.json", json));
    if let Some(base) = base {
        command.arg("--base").arg(write("base.json", base));
    }
    let done = command.output().unwrap();
    Run {
        status: done.status.code().unwrap(),
        stdout: String::from_utf8(done.stdout).unwrap(),
        stderr: String::from_utf8(done.stderr).unwrap(),
        page: fs::read_to_string(page).ok(),
    }
}

impl Run {
    fn last_line(&self) -> &str {
        self.stdout.lines().last().unwrap_or("")
    }

    fn has_page(&self) -> bool {
        self.page.as_ref().is_some_and(|page| page.contains("<svg"))
    }

    /// Whether there is one sentence, and neither a table nor a page, not even the stale one.
    fn is_error(&self, sentence: &str) -> bool {
        let one_line = self.stderr.lines().count() == 1;
        let none = self.stdout.is_empty() && self.page.is_none();
        self.status == 2 && one_line && none && self.stderr.contains(sentence)
    }
}

#[test]
fn full_run_succeeds() {
    let run = run("full", SAMPLE, LIMITS, None);
    assert_eq!((run.status, run.has_page()), (0, true), "{}", run.stderr);
    assert!(run
        .last_line()
        .starts_with("bench: 19 of 19 limits held; the page is "));
}

#[test]
fn run_over_a_limit_fails_with_a_page() {
    let run = run("over", SAMPLE, "memory 100 it is so", None);
    assert_eq!((run.status, run.has_page()), (1, true), "{}", run.stderr);
    assert!(run.last_line().starts_with("bench: 0 of 1 limits held; "));
}

#[test]
fn missing_figure_leaves_no_page() {
    let json = SAMPLE.replace("\"rust\": 127.8", "\"rust\": NaN");
    let run = run("missing", &json, LIMITS, None);
    assert!(
        run.is_error("the figure rust of memory is missing"),
        "{}",
        run.stderr
    );
}

#[test]
fn limit_of_nothing_leaves_no_page() {
    let run = run("nothing", SAMPLE, "fly * * * * 1.0 it is so", None);
    assert!(
        run.is_error("no figure is left for the limit in line 1"),
        "{}",
        run.stderr
    );
}

#[test]
fn changes_are_counted() {
    let base = SAMPLE.replace("\"rust\": 112.0", "\"rust\": 100");
    assert_ne!(base, SAMPLE);
    let run = run("base", SAMPLE, LIMITS, Some(&base));
    assert_eq!((run.status, run.has_page()), (0, true), "{}", run.stderr);
    let line = run.last_line();
    assert!(
        line.starts_with("bench: 19 of 19 limits held; 0 got better, "),
        "{line}"
    );
    assert!(!line.contains(" 0 worse"), "{line}");
}
