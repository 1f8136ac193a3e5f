//! A terminal taken over for a live screen: another page, no cursor, no wrapping; all given back at the end.

use std::io::{IsTerminal as _, stdout};

use tokio::signal::unix::{SignalKind, signal};

use super::Screen;
use crate::cli::output::text_out;
use crate::exit::Failure;

/// The other page of the terminal, without cursor and wrapping. Its own page and what was scrolled off it stay.
const TAKE: &str = "\u{1b}[?1049h\u{1b}[?25l\u{1b}[?7l\u{1b}[2J";
/// The terminal's own page as it was.
const GIVE_BACK: &str = "\u{1b}[?7h\u{1b}[?25h\u{1b}[?1049l";

/// The terminal while it shows the live screen.
pub(super) struct Terminal {
    colour: bool,
}

impl Terminal {
    /// Takes the terminal over; `None` if stdout is none, or one that cannot move its cursor.
    ///
    /// # Errors
    /// Stdout takes nothing.
    pub fn take() -> Result<Option<Self>, Failure> {
        let variable = |name: &str| std::env::var(name).ok();
        if !stdout().is_terminal() || variable("TERM").as_deref() == Some("dumb") {
            return Ok(None);
        }
        text_out(TAKE)?;
        Ok(Some(Self { colour: colours(variable) }))
    }

    /// What there is to fill; asked each time, for the window may have changed.
    pub fn screen(&self) -> Screen {
        let (width, height) = size();
        Screen { width, height, colour: self.colour }
    }

    /// Draws a screen in place of the one before, without a flicker.
    ///
    /// # Errors
    /// Stdout takes nothing.
    pub fn draw(&self, text: &str) -> Result<(), Failure> {
        text_out(&frame(text, self.screen().height))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A terminal that takes nothing any more needs nothing back.
        let _ = text_out(GIVE_BACK);
    }
}

/// A screen as it is sent: every line of the page is cleared and then written, for what is cleared behind a full line
/// would take its last letter; and no line feed stands behind the last line, so that the page does not roll.
fn frame(text: &str, height: usize) -> String {
    let lines = text.lines().chain(std::iter::repeat("")).take(height);
    let lines: Vec<String> = lines.map(|line| format!("\u{1b}[K{line}")).collect();
    format!("\u{1b}[H{}", lines.join("\n"))
}

/// Colours, unless <https://no-color.org> says no.
fn colours(variable: impl Fn(&str) -> Option<String>) -> bool {
    variable("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Columns and lines of the terminal; the usual ones where it does not say.
fn size() -> (usize, usize) {
    match rustix::termios::tcgetwinsize(stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
        _ => (80, 24),
    }
}

/// Where a picture is written once: a terminal that rolls is as wide as it is, a file has room for everything.
pub(super) fn paper() -> Screen {
    let width = if stdout().is_terminal() { size().0 } else { usize::MAX };
    Screen { width, height: usize::MAX, colour: false }
}

/// Resolves when somebody stops the command.
pub(super) async fn interrupted() {
    let signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = signals else {
        // Without signals the command can still be killed; it must not stop by itself.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_covers_the_one_before_and_does_not_roll() {
        assert_eq!(frame("一\nb\n", 3), "\u{1b}[H\u{1b}[K一\n\u{1b}[Kb\n\u{1b}[K");
        assert_eq!(frame("一\nb\n", 1), "\u{1b}[H\u{1b}[K一");
    }

    #[test]
    fn colours_go_by_the_environment() {
        for (value, coloured) in [(None, true), (Some(""), true), (Some("1"), false)] {
            assert_eq!(colours(|_| value.map(str::to_owned)), coloured, "{value:?}");
        }
    }
}
