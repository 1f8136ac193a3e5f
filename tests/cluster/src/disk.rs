//! A disk that a test can fill: a small file system in memory.

use std::fs::{File, remove_file};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// How large it is at first.
pub const SMALL_BYTES: u64 = 8 << 20;

/// A file system of its own, as long as this lives.
#[derive(Debug)]
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Puts a small disk at a folder that has nothing in it yet; nothing where that may not be done, which is said.
    ///
    /// # Errors
    /// Under CI: root may not mount.
    pub fn at(folder: &Path) -> Result<Option<Self>> {
        std::fs::create_dir_all(folder)?;
        match mount(folder, &format!("size={SMALL_BYTES},mode=700")) {
            Ok(()) => Ok(Some(Self(folder.to_owned()))),
            Err(why) => {
                let why = format!("a disk of {SMALL_BYTES} bytes cannot be mounted here, which takes root: {why}");
                let must = std::env::var_os("CI").is_some() && rustix::process::geteuid().is_root();
                ensure!(!must, "{why}");
                println!("left out: {why}");
                Ok(None)
            }
        }
    }

    /// Fills it to the last byte.
    ///
    /// # Errors
    /// It has no end.
    pub fn fill(&self) -> Result<()> {
        let mut ballast = File::create(self.ballast())?;
        let block = vec![0x5A; 4096];
        for _ in 0..SMALL_BYTES {
            match ballast.write_all(&block) {
                Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(()),
                other => other?,
            }
        }
        anyhow::bail!("a disk without an end")
    }

    /// Takes away what filled it.
    ///
    /// # Errors
    /// It was not filled.
    pub fn free(&self) -> Result<()> {
        remove_file(self.ballast()).context("what filled the disk")
    }

    /// Makes it large, for what comes after.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn enlarge(&self) -> Result<()> {
        mount(&self.0, "remount,size=4g")
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Best effort: it is in memory, and nobody else knows it.
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

fn mount(folder: &Path, options: &str) -> Result<()> {
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(folder).output()?;
    ensure!(mounted.status.success(), "{}", String::from_utf8_lossy(&mounted.stderr).trim());
    Ok(())
}
