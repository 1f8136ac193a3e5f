//! A clock that a test can set wrong, for one node: the node itself is the program that everybody runs, and asks the
//! operating system for the time; what answers it stands between them.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// The clock of one process.
#[derive(Clone, Debug)]
pub struct Clock {
    library: PathBuf,
    off: PathBuf,
}

impl Clock {
    /// A clock that is right, kept in this folder.
    ///
    /// # Errors
    /// The C compiler, which building the node needs as well, is not there or fails.
    pub fn within(dir: &Path) -> Result<Self> {
        let (source, library, off) = (dir.join("clock.c"), dir.join("clock.so"), dir.join("clock.off"));
        std::fs::write(&source, include_str!("clock.c"))?;
        let compiled = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).args([&library, &source]).output();
        let compiled = compiled.context("a clock that can be set wrong takes `cc`")?;
        ensure!(compiled.status.success(), "clock.c: {}", String::from_utf8_lossy(&compiled.stderr));
        std::fs::write(&off, 0_i64.to_ne_bytes())?;
        Ok(Self { library, off })
    }

    /// From now on the process sees the time so many seconds ahead (below zero: behind).
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set(&self, seconds: i64) -> Result<()> {
        // In place: the process has mapped it.
        Ok(File::options().write(true).open(&self.off)?.write_all_at(&seconds.to_ne_bytes(), 0)?)
    }

    /// Lets a command that is about to start live by this clock.
    pub fn wear(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library).env("TEST_CLOCK", &self.off);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(clock: Option<&Clock>) -> i64 {
        let mut date = Command::new("date");
        date.arg("+%s");
        if let Some(clock) = clock {
            clock.wear(&mut date);
        }
        let output = date.output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
    }

    #[test]
    fn a_process_lives_by_the_clock_it_is_given() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::within(folder.path()).unwrap();
        for off in [0, 3_600, -3_600] {
            clock.set(off).unwrap();
            let ahead = seconds(Some(&clock)) - seconds(None);
            assert!((ahead - off).abs() < 60, "{ahead} s ahead, set to {off}");
        }
    }
}
