//! Fitting lists into a screen: columns that give way, lists that say what they leave out.

use crate::cli::text::{clean, clip, clip_front, width};
use crate::lang::Lang;

/// A flexible column gives way down to this width …
const FLEXIBLE_MIN: usize = 6;
/// … but below this one, columns that may be left out go first.
const READABLE_MIN: usize = 20;

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
    /// Left out as a whole: when nothing is in it, and in need of room, the last of them first.
    Drop,
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
        if shown == 0 {
            return Vec::new();
        }
        let head = self.columns.iter().map(|(head, _)| (*head).to_owned()).collect();
        let rows = self.rows[..shown].iter().map(|(cells, urgent)| {
            let style = if *urgent { Style::Urgent } else { Style::Plain };
            (cells.iter().map(|cell| clean(cell)).collect(), style)
        });
        let lines: Vec<(Vec<String>, Style)> = std::iter::once((head, Style::Head)).chain(rows).collect();
        let widths = self.widths(&lines, columns);
        let join = |(cells, style): &(Vec<String>, Style)| {
            let mut text = String::from(" ");
            for ((cell, column), (_, cut)) in cells.iter().zip(&widths).zip(&self.columns) {
                let Some(column) = *column else { continue };
                let cell = if *cut == Cut::Front { clip_front(cell, column) } else { clip(cell, column) };
                text.push(' ');
                text.push_str(&cell);
                text.extend(std::iter::repeat_n(' ', column - width(&cell) + 1));
            }
            Line::new(text, *style)
        };
        lines.iter().map(join).collect()
    }

    /// The widths of the columns that are shown. What is too wide to be read first loses columns that may be dropped,
    /// then the flexible columns are cut one by one from the widest.
    fn widths(&self, lines: &[(Vec<String>, Style)], columns: usize) -> Vec<Option<usize>> {
        let cells = |at: usize| lines.iter().filter_map(move |(cells, _)| cells.get(at));
        let is_idle =
            |at: usize, cut: Cut| cut == Cut::Drop && cells(at).skip(1).all(|cell| cell.is_empty() || cell == "-");
        let natural =
            |(at, (_, cut)): (usize, &(_, Cut))| cells(at).map(|cell| width(cell)).max().filter(|_| !is_idle(at, *cut));
        let mut widths: Vec<Option<usize>> = self.columns.iter().enumerate().map(natural).collect();
        let is_flexible = |cut: Cut| matches!(cut, Cut::End | Cut::Front);
        let least = |widths: &[Option<usize>]| -> usize {
            let all = widths.iter().zip(&self.columns).filter_map(|(width, (_, cut))| Some(((*width)?, *cut)));
            // One blank before the first column, two between columns.
            all.map(|(width, cut)| 2 + if is_flexible(cut) { width.min(READABLE_MIN) } else { width }).sum()
        };
        let droppable = self.columns.iter().enumerate().rev().filter(|(_, (_, cut))| *cut == Cut::Drop);
        for (at, _) in droppable {
            if least(&widths) > columns {
                widths[at] = None;
            }
        }
        while widths.iter().flatten().map(|width| width + 2).sum::<usize>() > columns {
            let flexible = widths.iter_mut().zip(&self.columns).filter(|(_, (_, cut))| is_flexible(*cut));
            match flexible.filter_map(|(width, _)| width.as_mut()).filter(|width| **width > FLEXIBLE_MIN).max() {
                Some(widest) => *widest -= 1,
                None => break,
            }
        }
        widths
    }
}

/// "and N more".
fn others(count: u64, lang: Lang) -> String {
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
        let text = match lang {
            Lang::Zh => format!("… {cut} 行未显示，请放大窗口"),
            Lang::En => format!("… {cut} lines not shown: enlarge the window"),
        };
        lines.push(Line::new(text, Style::Plain));
    }
    lines.truncate(screen.height);
    lines.iter().map(|line| line.show(screen) + "\n").collect()
}
