// SPDX-License-Identifier: GPL-2.0

//! The screen: a head, the lines, and what is known of the chosen line.

use crate::events::OPERATIONS;
use crate::histogram::{Histogram, COLUMN_NAMES};
use crate::options::Options;
use crate::table::{code_name, time, Column, Line, Table, View};
use anyhow::{bail, Context, Result};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line as Text, Span};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, TableState};
use ratatui::{widgets, DefaultTerminal, Frame};
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

/// What the user has chosen.
pub struct Screen {
    terminal: DefaultTerminal,
    pub view: View,
    sort: Column,
    filter: String,
    typing: bool,
    paused: bool,
    state: TableState,
    table: Table,
}

/// What the user wants.
#[derive(PartialEq, Eq)]
pub enum Wish {
    Quit,
    /// Another view of the same looks.
    Redo,
    Nothing,
}

impl Screen {
    pub fn new(options: &Options) -> Result<Self> {
        if !io::stdout().is_terminal() {
            bail!("this is no terminal: try --once or --batch");
        }
        let terminal = ratatui::try_init().inspect_err(|_| ratatui::restore());
        Ok(Self {
            terminal: terminal.context("the terminal cannot be used: try --once or --batch")?,
            view: options.view,
            sort: options.sort,
            filter: options.filter.clone(),
            typing: false,
            paused: false,
            state: TableState::default().with_selected(0),
            table: Table::default(),
        })
    }

    pub fn is_paused(&self) -> bool {
        self.paused
    }

    pub fn show(&mut self, mut table: Table, own_share: f64) -> Result<()> {
        table.arrange(&self.filter, self.sort);
        self.table = table;
        self.draw(own_share)
    }

    fn draw(&mut self, own_share: f64) -> Result<()> {
        let last = self.table.lines.len().saturating_sub(1);
        self.state
            .select(Some(self.state.selected().unwrap_or(0).min(last)));
        let Self {
            terminal,
            table,
            state,
            view,
            sort,
            filter,
            typing,
            paused,
        } = self;
        terminal.draw(|frame| {
            let below = if frame.area().height >= 24 { 11 } else { 0 };
            let parts = Layout::vertical([
                Constraint::Length(2),
                Constraint::Min(3),
                Constraint::Length(below),
                Constraint::Length(1),
            ])
            .split(frame.area());
            draw_head(frame, parts[0], table, *view, own_share, *paused);
            draw_lines(frame, parts[1], table, state, *sort);
            if below > 0 {
                if let Some(line) = state.selected().and_then(|i| table.lines.get(i)) {
                    draw_detail(frame, parts[2], line);
                }
            }
            draw_foot(frame, parts[3], filter, *typing, *sort);
        })?;
        Ok(())
    }

    /// Waits for keys until `until`, and returns as soon as one has an effect.
    pub fn wait(&mut self, until: Instant) -> Result<Wish> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            // A signal is noticed soon.
            if !event::poll(left.min(Duration::from_millis(100)))? {
                return Ok(Wish::Nothing);
            }
            match event::read()? {
                Event::Key(key) if key.kind == KeyEventKind::Press => {
                    let control = key.modifiers.contains(KeyModifiers::CONTROL);
                    if control && key.code == KeyCode::Char('c') {
                        return Ok(Wish::Quit);
                    }
                    return Ok(self.press(key.code));
                }
                Event::Resize(..) => return Ok(Wish::Redo),
                _ => {}
            }
        }
    }

    fn press(&mut self, key: KeyCode) -> Wish {
        if self.typing {
            match key {
                KeyCode::Enter => self.typing = false,
                KeyCode::Esc => {
                    self.typing = false;
                    self.filter.clear();
                }
                KeyCode::Backspace => {
                    self.filter.pop();
                }
                KeyCode::Char(c) => self.filter.push(c),
                _ => return Wish::Nothing,
            }
            return Wish::Redo;
        }
        match key {
            KeyCode::Char('q') | KeyCode::Esc => return Wish::Quit,
            KeyCode::Char('m') => self.view = View::Map,
            KeyCode::Char('p') => self.view = View::Prog,
            KeyCode::Char('c') => self.view = View::Cpu,
            KeyCode::Char('s') => self.sort = self.sort.step(1),
            KeyCode::Char('S') => self.sort = self.sort.step(Column::ALL.len() - 1),
            KeyCode::Char('/') => self.typing = true,
            KeyCode::Char(' ') => self.paused = !self.paused,
            KeyCode::Down => self.state.select_next(),
            KeyCode::Up => self.state.select_previous(),
            _ => return Wish::Nothing,
        }
        Wish::Redo
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

fn draw_head(frame: &mut Frame, area: Rect, table: &Table, view: View, own: f64, paused: bool) {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let counts = &table.total.counts;
    let timers = table.total.timers.unwrap_or_default();
    let per_second = |count: u64| format!("{:.0}/s", count as f64 / table.seconds.max(1e-9));
    let next = timers
        .next
        .map_or_else(|| "-".into(), |next| time(next.as_nanos() as f64));
    let paused = if paused { "  PAUSED" } else { "" };
    let first = vec![
        Span::styled("timer_top", bold),
        Span::raw(format!(
            "  by {}  {} timers, {} armed, next in {next}{paused}",
            format!("{view:?}").to_lowercase(),
            timers.timers,
            timers.armed,
        )),
    ];
    let lost = if table.lost > 0 {
        Span::styled(format!("{} events lost", table.lost), bold)
    } else {
        Span::raw("no event lost")
    };
    let second = vec![
        Span::raw(format!(
            "events {}  expiries {}  callbacks {:.1} %  timer_top {:.1} %  ",
            per_second(counts.events()),
            per_second(counts.expiries),
            counts.callback_ns as f64 / table.seconds.max(1e-9) / 1e7,
            own * 100.0,
        )),
        lost,
    ];
    frame.render_widget(
        Paragraph::new(vec![Text::from(first), Text::from(second)]),
        area,
    );
}

fn draw_lines(frame: &mut Frame, area: Rect, table: &Table, state: &mut TableState, sort: Column) {
    let columns = Column::fitting(area.width as usize);
    let aligned = |text: String, column: Column| {
        let alignment = if column.is_text() {
            Alignment::Left
        } else {
            Alignment::Right
        };
        Text::from(text).alignment(alignment)
    };
    let title = columns.iter().map(|(column, title, _)| {
        let style = if *column == sort {
            Modifier::BOLD | Modifier::UNDERLINED
        } else {
            Modifier::DIM
        };
        Cell::new(aligned((*title).into(), *column)).style(Style::new().add_modifier(style))
    });
    let rows = table.lines.iter().map(|line| {
        let cells = columns
            .iter()
            .map(|(column, _, _)| aligned(line.cell(*column, table.seconds), *column));
        Row::new(cells)
    });
    let widths = columns
        .iter()
        .map(|(_, _, width)| Constraint::Length(*width as u16));
    let widget = widgets::Table::new(rows, widths)
        .header(Row::new(title))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    if table.lines.is_empty() {
        let text =
            Paragraph::new("no timers, and nothing happens to any").alignment(Alignment::Center);
        let [_, middle] = Layout::vertical([Constraint::Length(2), Constraint::Min(1)]).areas(area);
        frame.render_widget(text, middle);
    }
    frame.render_stateful_widget(widget, area, state);
}

fn draw_detail(frame: &mut Frame, area: Rect, line: &Line) {
    let parts = Layout::horizontal([
        Constraint::Percentage(35),
        Constraint::Percentage(35),
        Constraint::Percentage(30),
    ])
    .split(area);
    draw_histogram(frame, parts[0], "late by up to", &line.counts.late);
    draw_histogram(
        frame,
        parts[1],
        "callbacks take up to",
        &line.counts.callback,
    );
    let mut texts: Vec<_> = line
        .failures
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(failure, count)| {
            let operation = OPERATIONS.get(failure.operation).unwrap_or(&"?");
            Text::from(format!("{operation:6} {} {count}", code_name(failure.code)))
        })
        .collect();
    if texts.is_empty() {
        texts.push(Text::from("none"));
    }
    let block = Block::new().borders(Borders::TOP).title("errors");
    frame.render_widget(Paragraph::new(texts).block(block), parts[2]);
}

fn draw_histogram(frame: &mut Frame, area: Rect, title: &str, histogram: &Histogram) {
    let block = Block::new().borders(Borders::TOP).title(title.to_owned());
    let inner = block.inner(area);
    frame.render_widget(block, area);
    if histogram.total() == 0 {
        frame.render_widget(Paragraph::new("none"), inner);
        return;
    }
    let counts = histogram.columns();
    let used = |i: usize| counts[i] > 0;
    let first = (0..counts.len()).find(|i| used(*i)).unwrap_or(0);
    let last = (0..counts.len()).rfind(|i| used(*i)).unwrap_or(0);
    let most = *counts.iter().max().unwrap_or(&0);
    let room = (inner.width as usize).saturating_sub(17);
    let texts: Vec<_> = (first..=last)
        .take(inner.height as usize)
        .map(|i| {
            // What is not zero is seen.
            let width = (counts[i] as usize * room).div_ceil(most.max(1) as usize);
            Text::from(format!(
                "{:>6} {:>8} {}",
                COLUMN_NAMES[i],
                counts[i],
                "▇".repeat(width)
            ))
        })
        .collect();
    frame.render_widget(Paragraph::new(texts), inner);
}

fn draw_foot(frame: &mut Frame, area: Rect, filter: &str, typing: bool, sort: Column) {
    let text = match (typing, filter) {
        (true, _) => format!("filter: {filter}_"),
        (false, "") => format!(
            "m map  p program  c CPU  s sort ({})  / filter  space pause  q quit",
            sort.title()
        ),
        (false, _) => format!(
            "filter \"{filter}\" (/ to change)  m p c  s sort ({})  q quit",
            sort.title()
        ),
    };
    frame.render_widget(
        Paragraph::new(text).style(Style::new().add_modifier(Modifier::DIM)),
        area,
    );
}
