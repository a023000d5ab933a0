// SPDX-License-Identifier: GPL-2.0

//! The terminal: a map to move in, and the table of all VMs.

use super::paint::{colour, letter, LEGEND};
use super::text::{address, heading};
use crate::figures::{Column, Row, COLUMNS};
use crate::grid::{bytes, Band, Cut, Grid, Kind};
use crate::map::{Map, Root};
use anyhow::Result;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Paragraph, Table};
use ratatui::{DefaultTerminal, Frame};
use std::time::{Duration, Instant};

/// Room for the address and a space.
const LABEL: u16 = 15;
/// Rows below the map: keys, and two of the legend.
const FOOT: u16 = 3;
/// The column of the programs, after that of the VMs and before all figures.
const PROGRAM: usize = 1;
/// The kernel keeps no more of a program's name.
const LONGEST_PROGRAM: u16 = 15;

/// A terminal that goes back to what it was when this is dropped.
pub struct Screen(DefaultTerminal);

impl Screen {
    /// Takes the terminal.
    pub fn take() -> Result<Self> {
        Ok(Self(ratatui::try_init()?))
    }

    /// Shows the table until the user presses a key or `interval` is over. False to end.
    pub fn top(&mut self, rows: &[Row], interval: Duration) -> Result<bool> {
        let end = Instant::now() + interval;
        loop {
            self.0.draw(|frame| draw_top(frame, rows))?;
            match key_until(end)? {
                Some(key) if is_quit(&key) => return Ok(false),
                Some(_) => {}
                None => return Ok(true),
            }
        }
    }

    /// Shows the map until the user presses a key or `interval` is over. False to end.
    pub fn map(&mut self, place: &mut Place, map: &Map, interval: Duration) -> Result<bool> {
        let end = Instant::now() + interval;
        loop {
            self.0.draw(|frame| place.draw(frame, map))?;
            match key_until(end)? {
                Some(key) if is_quit(&key) => return Ok(false),
                Some(key) => place.go(key.code, map),
                None => return Ok(true),
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

fn key_until(end: Instant) -> Result<Option<KeyEvent>> {
    while event::poll(end.saturating_duration_since(Instant::now()))? {
        match event::read()? {
            Event::Key(key) if key.kind == KeyEventKind::Press => return Ok(Some(key)),
            // Another size needs another picture, which no key asks for.
            Event::Resize(..) => return Ok(Some(KeyCode::Null.into())),
            _ => {}
        }
    }
    Ok(None)
}

fn is_quit(key: &KeyEvent) -> bool {
    let is_interrupt = key.code == KeyCode::Char('c') && key.modifiers == KeyModifiers::CONTROL;
    is_interrupt || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc)
}

/// Where in the map the user is.
pub struct Place {
    vm: String,
    /// Which root, counted on beyond the last.
    root: usize,
    top: usize,
    cut: Option<Cut>,
    rows: u16,
}

impl Place {
    /// At the begin, with cells of `block` frames, or as it fits.
    pub fn new(vm: &str, block: Option<u64>) -> Self {
        Self {
            vm: vm.into(),
            root: 0,
            top: 0,
            cut: block.map(|block| Cut { block, columns: 1 }),
            rows: 1,
        }
    }

    fn root<'a>(&self, map: &'a Map) -> Option<&'a Root> {
        map.roots.get(self.root % map.roots.len().max(1))
    }

    fn go(&mut self, key: KeyCode, map: &Map) {
        let page = usize::from(self.rows);
        match key {
            KeyCode::Up => self.top = self.top.saturating_sub(1),
            KeyCode::Down => self.top += 1,
            KeyCode::PageUp => self.top = self.top.saturating_sub(page),
            KeyCode::PageDown => self.top += page,
            KeyCode::Home => self.top = 0,
            KeyCode::Tab => (self.root, self.top) = (self.root + 1, 0),
            KeyCode::Char('+') => self.zoom(map, Cut::closer),
            KeyCode::Char('-') => self.zoom(map, |cut, _| cut.out()),
            _ => {}
        }
    }

    fn zoom(&mut self, map: &Map, to: impl Fn(Cut, &Root) -> Cut) {
        if let (Some(cut), Some(root)) = (self.cut, self.root(map)) {
            self.cut = Some(to(cut, root));
            self.top = 0;
        }
    }

    fn draw(&mut self, frame: &mut Frame<'_>, map: &Map) {
        let areas = [1, 0, FOOT].map(|rows| match rows {
            0 => Constraint::Min(1),
            rows => Constraint::Length(rows),
        });
        let [head, body, foot] = Layout::vertical(areas).areas(frame.area());
        self.rows = body.height;
        frame.render_widget(Paragraph::new(foot_lines()), foot);
        let Some(root) = self.root(map) else {
            let text = format!("VM {} has no page tables: it has not run yet", self.vm);
            return frame.render_widget(text, head);
        };
        let Grid { cut, bands } = self.grid(root, body);
        let title = format!("VM {}  {}", self.vm, heading(root, cut).trim_end());
        frame.render_widget(title.bold(), head);
        self.top = self.top.min(bands.len().saturating_sub(1));
        let lines: Vec<Line<'_>> = bands[self.top..].iter().map(line).collect();
        frame.render_widget(Paragraph::new(lines), body);
    }

    /// Rows are as wide as the screen, a power of two.
    fn grid(&mut self, root: &Root, body: Rect) -> Grid {
        let width = u64::from(body.width.saturating_sub(LABEL)).max(8);
        let block = self.cut.map(|cut| cut.block);
        let grid = Grid::of(root, block, 1 << width.ilog2());
        self.cut = Some(grid.cut);
        grid
    }
}

fn line(band: &Band) -> Line<'static> {
    match band {
        Band::Gap { first_gfn, frames } => {
            let text = format!("{} absent: {}", address(*first_gfn), bytes(*frames));
            Line::from(text.dim())
        }
        Band::Row { first_gfn, cells } => {
            let label = Span::from(format!("{} ", address(*first_gfn)));
            let cells = cells.iter().map(|kind| painted(*kind));
            std::iter::once(label).chain(cells).collect()
        }
    }
}

fn painted(kind: Kind) -> Span<'static> {
    let (red, green, blue) = colour(kind);
    let style = Style::new()
        .fg(Color::Black)
        .bg(Color::Rgb(red, green, blue));
    Span::styled(letter(kind).to_string(), style)
}

fn foot_lines() -> Vec<Line<'static>> {
    let keys = "arrows, page keys: move   + -: zoom   Tab: next root   q: quit";
    let legend = LEGEND.chunks(6).map(|kinds| {
        let words = kinds.iter();
        let words = words.flat_map(|(kind, what)| [painted(*kind), format!(" {what}  ").into()]);
        words.collect()
    });
    std::iter::once(Line::from(keys.dim()))
        .chain(legend)
        .collect()
}

/// The table of `kvmrs top`.
pub fn draw_top(frame: &mut Frame<'_>, rows: &[Row]) {
    let areas = [Constraint::Min(1), Constraint::Length(1)];
    let [body, foot] = Layout::vertical(areas).areas(frame.area());
    frame.render_widget(table(rows), body);
    frame.render_widget("q: quit".dim(), foot);
}

/// A number that is cut is a wrong one. So columns are as wide as what is in them, units stand below
/// titles, and programs have no more than the room that is left.
fn table(rows: &[Row]) -> Table<'static> {
    let lines = std::iter::once(titles()).chain(rows.iter().map(cells));
    let lines: Vec<Vec<String>> = lines.collect();
    let widths = (0..2 + COLUMNS.len()).map(|column| match column {
        PROGRAM => Constraint::Max(LONGEST_PROGRAM),
        _ => Constraint::Length(width(lines.iter().map(|line| line[column].as_str()))),
    });
    let widths: Vec<Constraint> = widths.collect();
    let mut lines = lines.into_iter().map(table_row);
    let titles = lines.next().unwrap_or_default().height(2).bold();
    Table::new(lines, widths).header(titles)
}

fn titles() -> Vec<String> {
    let names = ["VM".into(), "program".into()].into_iter();
    names.chain(COLUMNS.iter().map(title)).collect()
}

fn title(column: &Column) -> String {
    match column.title.split_once(' ') {
        Some((what, unit)) => format!("{what}\n{unit}"),
        None => column.title.replace('/', "\n/"),
    }
}

fn cells(row: &Row) -> Vec<String> {
    let program = row.program.clone().unwrap_or("-".into());
    let names = [row.vm.clone(), program].into_iter();
    names
        .chain(COLUMNS.iter().map(|column| row.cell(column)))
        .collect()
}

fn width<'a>(texts: impl Iterator<Item = &'a str>) -> u16 {
    let lines = texts.flat_map(str::lines);
    lines.map(|line| line.len() as u16).max().unwrap_or(0)
}

/// Names are on the left, figures on the right.
fn table_row(cells: Vec<String>) -> ratatui::widgets::Row<'static> {
    let texts = cells.into_iter().enumerate();
    texts
        .map(|(column, cell)| match Text::from(cell) {
            text if column > PROGRAM => text.right_aligned(),
            text => text,
        })
        .collect()
}
