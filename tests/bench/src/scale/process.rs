//! What the kernel says of a node: its memory, and what its files take on the disk.

use std::path::Path;

use anyhow::{Context as _, Result};

/// Bytes of memory that are a process's share (PSS): its own pages, and its part of those it shares.
///
/// # Errors
/// The process is gone.
pub fn memory(process: u32) -> Result<u64> {
    let path = format!("/proc/{process}/smaps_rollup");
    let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    pss(&text).with_context(|| format!("{path}: {text}"))
}

/// Whether a process has ended, waited for or not.
pub fn has_ended(process: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{process}/stat")).map_or(true, |stat| state(&stat) == Some('Z'))
}

/// The state in `/proc/PID/stat`, behind the name, which may hold anything.
fn state(stat: &str) -> Option<char> {
    stat.rsplit_once(") ")?.1.chars().next()
}

/// The line `Pss:`, which is in KiB; those of its parts (`Pss_Anon:`) follow it.
fn pss(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    Some(kib * 1024)
}

/// Bytes that the files in a folder take on the disk, those in folders within it too. What goes away meanwhile counts
/// nothing.
///
/// # Errors
/// There is no such folder.
pub fn disk(folder: &Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt as _;
    let mut bytes = 0;
    let mut left = vec![folder.to_owned()];
    std::fs::read_dir(folder).with_context(|| format!("{}", folder.display()))?;
    while let Some(folder) = left.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(found) if found.is_dir() => left.push(entry.path()),
                // Blocks are of 512 bytes, whatever the file system's are.
                Ok(found) => bytes += found.blocks() * 512,
                Err(_) => {}
            }
        }
    }
    Ok(bytes)
}

/// The value of a gauge, of the record whose label begins like this, in the text of `/metrics`.
pub fn gauge(metrics: &str, name: &str, record: &str) -> Option<f64> {
    let begin = format!("{name}{{record=\"{record}");
    metrics.lines().find(|line| line.starts_with(&begin))?.rsplit_once(' ')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_ended_when_nothing_but_its_name_is_left() {
        assert_eq!(state("7 (a) Z b) S 1 7"), Some('S'));
        assert_eq!(state("7 (node) Z 1 7"), Some('Z'));
        assert!(!has_ended(std::process::id()));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        while !has_ended(child.id()) {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(has_ended(child.id()));
    }

    #[test]
    fn the_share_of_memory_is_read_and_not_one_of_its_parts() {
        let text = "55d0 ---p [rollup]\nRss:  9000 kB\nPss:    1234 kB\nPss_Dirty:   7 kB\nPss_Anon:  8 kB\n";
        assert_eq!(pss(text), Some(1234 * 1024));
        assert_eq!((pss("Pss_Anon: 8 kB\n"), pss("Pss: many kB\n"), pss("")), (None, None, None));
        assert!(memory(std::process::id()).unwrap() > 0);
        assert!(memory(0).is_err());
    }

    #[test]
    fn files_in_all_folders_count_as_what_they_take() {
        let folder = tempfile::tempdir().unwrap();
        let within = folder.path().join("a/b");
        std::fs::create_dir_all(&within).unwrap();
        std::fs::write(folder.path().join("one"), vec![7; 5000]).unwrap();
        std::fs::write(within.join("two"), vec![7; 5000]).unwrap();
        let bytes = disk(folder.path()).unwrap();
        assert!((10_000..100_000).contains(&bytes), "{bytes}");
        assert!(disk(&folder.path().join("none")).is_err());
    }

    #[test]
    fn a_gauge_is_that_of_its_record() {
        let text =
            "# TYPE x gauge\nx{record=\"region-12\"} 5\nx{record=\"registry-34\"} 1.5e3\nxy{record=\"registry\"} 9\n";
        assert_eq!(gauge(text, "x", "registry"), Some(1500.0));
        assert_eq!((gauge(text, "x", "other"), gauge(text, "z", "region")), (None, None));
    }
}
