//! Fitting lists into a screen: columns that give way, lists that say what they leave out.

use crate::cli::output::width;
use crate::documents::region_words::{clean, clip, clip_front, pick};
use crate::lang::Lang;

/// A flexible column gives way down to this width.
const FLEXIBLE_MIN: usize = 6;

/// The screen to fill.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    /// Columns; a wide character takes two.
    pub width: usize,
    /// Lines.
    pub height: usize,
    /// Whether the terminal understands ANSI colours (SGR).
    pub colour: bool,
}

/// How a line is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Title,
    Head,
    Urgent,
    Banner,
}

/// A line of the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub text: String,
    pub style: Style,
}

impl Line {
    pub fn new(text: impl Into<String>, style: Style) -> Self {
        Self { text: text.into(), style }
    }

    /// The line cut to the screen, with the codes of its style where the screen knows them.
    fn show(&self, screen: Screen) -> String {
        let text = clip(self.text.trim_end(), screen.width);
        let code = match self.style {
            Style::Plain => return text,
            Style::Title => "1",
            Style::Head => "2",
            Style::Urgent => "31",
            Style::Banner => "1;7;31",
        };
        if screen.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text }
    }
}

/// Where a column is cut when the screen is too narrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// Only with the whole line.
    Never,
    /// At the end: names.
    End,
    /// At the beginning: working numbers.
    Front,
}

/// A list with a title.
pub(super) struct List {
    pub title: String,
    /// Head of each column, and where it may be cut.
    pub columns: Vec<(&'static str, Cut)>,
    /// Cells, and whether the row is urgent.
    pub rows: Vec<(Vec<String>, bool)>,
    /// Rows that were left out before.
    pub more: u64,
}

impl List {
    /// Lines it takes besides its rows.
    fn overhead(&self) -> usize {
        if self.rows.is_empty() { 1 } else { 2 }
    }

    /// Lines it wants for its rows.
    fn wants(&self) -> usize {
        self.rows.len() + usize::from(self.more > 0)
    }

    /// The list in `room` lines besides its overhead.
    fn lines(&self, room: usize, columns: usize, lang: Lang) -> Vec<Line> {
        let mut out = vec![Line::new(self.title.clone(), Style::Title)];
        if self.rows.is_empty() || room == 0 {
            return out;
        }
        let shown = if self.wants() <= room { self.rows.len() } else { room - 1 };
        let left_out = (self.rows.len() - shown) as u64 + self.more;
        out.extend(self.grid(shown, columns));
        if left_out > 0 {
            out.push(Line::new(format!("  {}", others(left_out, lang)), Style::Plain));
        }
        out
    }

    fn grid(&self, shown: usize, columns: usize) -> Vec<Line> {
        let rows: Vec<(Vec<String>, Style)> = self.rows[..shown]
            .iter()
            .map(|(cells, urgent)| {
                let style = if *urgent { Style::Urgent } else { Style::Plain };
                (cells.iter().map(|cell| clean(cell)).collect(), style)
            })
            .collect();
        let head: Vec<String> = self.columns.iter().map(|(head, _)| (*head).to_owned()).collect();
        let lines: Vec<(Vec<String>, Style)> =
            if shown == 0 { Vec::new() } else { std::iter::once((head, Style::Head)).chain(rows).collect() };
        let widths = self.widths(&lines, columns);
        let join = |(cells, style): &(Vec<String>, Style)| {
            let mut text = String::from(" ");
            for ((cell, column), (_, cut)) in cells.iter().zip(&widths).zip(&self.columns) {
                let cell = if *cut == Cut::Front { clip_front(cell, *column) } else { clip(cell, *column) };
                text.push(' ');
                text.push_str(&cell);
                text.extend(std::iter::repeat_n(' ', column - width(&cell) + 1));
            }
            Line::new(text, *style)
        };
        lines.iter().map(join).collect()
    }

    /// Natural widths, the flexible columns cut one by one from the widest until all fit.
    fn widths(&self, lines: &[(Vec<String>, Style)], columns: usize) -> Vec<usize> {
        let natural = |at: usize| lines.iter().filter_map(|(cells, _)| cells.get(at)).map(|cell| width(cell)).max();
        let mut widths: Vec<usize> = (0..self.columns.len()).map(|at| natural(at).unwrap_or_default()).collect();
        // One blank before the first column, two between columns.
        while widths.iter().map(|width| width + 2).sum::<usize>() > columns {
            let flexible = self.columns.iter().zip(widths.iter_mut()).filter(|((_, cut), _)| *cut != Cut::Never);
            match flexible.map(|(_, width)| width).filter(|width| **width > FLEXIBLE_MIN).max() {
                Some(widest) => *widest -= 1,
                None => break,
            }
        }
        widths
    }
}

/// "and N more".
pub(super) fn others(count: u64, lang: Lang) -> String {
    match lang {
        Lang::Zh => format!("… 另有 {count} 项"),
        Lang::En => format!("… {count} more"),
    }
}

/// The whole screen: the head, then the lists in the room that is left. Lists come in order of importance; each gets a
/// line in turn until nothing is left.
pub(super) fn compose(head: Vec<Line>, lists: &[List], lang: Lang, screen: Screen) -> String {
    let overhead: usize = lists.iter().map(List::overhead).sum();
    let mut left = screen.height.saturating_sub(head.len() + overhead);
    let mut rooms = vec![0; lists.len()];
    loop {
        let before = left;
        for (room, list) in rooms.iter_mut().zip(lists) {
            if *room < list.wants() && left > 0 {
                *room += 1;
                left -= 1;
            }
        }
        if left == before {
            break;
        }
    }
    let mut lines = head;
    lines.extend(lists.iter().zip(&rooms).flat_map(|(list, room)| list.lines(*room, screen.width, lang)));
    if lines.len() > screen.height {
        let cut = lines.len() - screen.height.saturating_sub(1);
        lines.truncate(screen.height.saturating_sub(1));
        let text = format!("… {cut} {}", pick(lang, "行未显示，请放大窗口", "lines not shown: enlarge the window"));
        lines.push(Line::new(text, Style::Plain));
    }
    lines.truncate(screen.height);
    lines.iter().map(|line| line.show(screen) + "\n").collect()
}

/// Words in lines of at most `columns`, at most `lines` of them; what is left out is counted.
pub(super) fn wrap(lead: &str, words: &[String], columns: usize, lines: usize, lang: Lang) -> Vec<String> {
    let mut out = vec![lead.to_owned()];
    for (at, word) in words.iter().enumerate() {
        let last = out.last().map_or(0, |line| width(line));
        let rest = (words.len() - at) as u64;
        let reserve = if out.len() == lines && rest > 1 { width(&others(rest, lang)) + 2 } else { 0 };
        if last + 2 + width(word) + reserve > columns && last > 0 {
            if out.len() == lines {
                if let Some(line) = out.last_mut() {
                    *line += "  ";
                    *line += &others(rest, lang);
                }
                return out;
            }
            out.push(" ".repeat(width(lead)));
        }
        if let Some(line) = out.last_mut() {
            *line += "  ";
            *line += word;
        }
    }
    out
}
