//! Writing keys and certificates so that a crash leaves a whole file or none, and nothing is ever replaced.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::pki::PkiError;

/// The largest key, certificate, request or configuration file that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 1 << 20;

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Its owner only (0600): keys.
    Secret,
    /// Everyone (0644): certificates, requests, configuration.
    Public,
}

impl Access {
    const fn mode(self) -> u32 {
        match self {
            Self::Secret => 0o600,
            Self::Public => 0o644,
        }
    }
}

fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> PkiError {
    let path = path.to_owned();
    move |source| PkiError::Io { doing, path, source }
}

/// Writes a new file: beside its place, synced, then given its name in one step that fails if the name is taken.
///
/// # Errors
/// [`PkiError::Exists`] when there is such a file; [`PkiError::Io`].
pub fn write_new(path: &Path, bytes: &[u8], access: Access) -> Result<(), PkiError> {
    if path.symlink_metadata().is_ok() {
        return Err(PkiError::Exists(path.to_owned()));
    }
    let aside = aside(path)?;
    let written = write_aside(&aside, bytes, access).and_then(|()| give_name(&aside, path));
    // What is left aside is of no use either way; a name that cannot be removed must not hide how the writing ended.
    let removed = fs::remove_file(&aside);
    written?;
    if let Err(source) = removed
        && source.kind() != ErrorKind::NotFound
    {
        return Err(PkiError::Io { doing: "removing", path: aside, source });
    }
    sync_folder(path)
}

/// Writes a file that is made anew each time, so that a reader finds the old one or the new one whole. For what can be
/// made again only: keys and certificates are never replaced.
///
/// # Errors
/// [`PkiError::Io`].
pub(crate) fn replace(path: &Path, bytes: &[u8], access: Access) -> Result<(), PkiError> {
    let aside = aside(path)?;
    let written = write_aside(&aside, bytes, access);
    let named = written.and_then(|()| fs::rename(&aside, path).map_err(io("naming", path)));
    if named.is_err() {
        // Whatever is left aside is of no use; how the writing ended is what counts.
        let _ = fs::remove_file(&aside);
    }
    named?;
    sync_folder(path)
}

fn aside(path: &Path) -> Result<PathBuf, PkiError> {
    let name = path
        .file_name()
        .ok_or_else(|| io("writing", path)(std::io::Error::new(ErrorKind::InvalidInput, "this is no file name")))?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.new", std::process::id()));
    Ok(path.with_file_name(hidden))
}

fn write_aside(aside: &Path, bytes: &[u8], access: Access) -> Result<(), PkiError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(access.mode())
        .open(aside)
        .map_err(io("creating", aside))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(io("writing", aside))
}

fn give_name(aside: &Path, path: &Path) -> Result<(), PkiError> {
    match fs::hard_link(aside, path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(PkiError::Exists(path.to_owned())),
        // A file system without hard links: rename would replace, so look once more right before.
        Err(_) if path.symlink_metadata().is_ok() => Err(PkiError::Exists(path.to_owned())),
        Err(_) => fs::rename(aside, path).map_err(io("naming", path)),
    }
}

/// Appends one line to a file that only grows, and syncs it.
pub(super) fn append_line(path: &Path, line: &str) -> Result<(), PkiError> {
    let new = !path.exists();
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(Access::Public.mode())
        .open(path)
        .map_err(io("opening", path))?;
    file.write_all(format!("{line}\n").as_bytes()).and_then(|()| file.sync_all()).map_err(io("writing", path))?;
    if new { sync_folder(path) } else { Ok(()) }
}

fn sync_folder(path: &Path) -> Result<(), PkiError> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io("syncing", folder))
}

/// Makes a folder and those above it; `Secret` ones are for their owner only (0700).
///
/// # Errors
/// [`PkiError::Io`].
pub fn make_folder(path: &Path, access: Access) -> Result<(), PkiError> {
    use std::os::unix::fs::DirBuilderExt as _;
    let mode = match access {
        Access::Secret => 0o700,
        Access::Public => 0o755,
    };
    fs::DirBuilder::new().recursive(true).mode(mode).create(path).map_err(io("creating the folder", path))
}

/// Reads a file that anyone may read, up to [`MAX_FILE_BYTES`].
///
/// # Errors
/// [`PkiError::Io`]; [`PkiError::Content`] when it is too large.
pub fn read_public(path: &Path) -> Result<Vec<u8>, PkiError> {
    read(path, File::open(path).map_err(io("reading", path))?)
}

/// Reads a key, and refuses one that everybody can read or that the group can write.
///
/// # Errors
/// [`PkiError::TooOpen`]; otherwise as [`read_public`].
pub fn read_secret(path: &Path) -> Result<Vec<u8>, PkiError> {
    let file = File::open(path).map_err(io("reading", path))?;
    let mode = file.metadata().map_err(io("reading", path))?.permissions().mode() & 0o777;
    // The group may read: secrets mounted by an orchestrator come as 0440 or 0640.
    if mode & 0o027 != 0 {
        return Err(PkiError::TooOpen { path: path.to_owned(), mode });
    }
    read(path, file)
}

fn read(path: &Path, file: File) -> Result<Vec<u8>, PkiError> {
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(io("reading", path))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(PkiError::content(path, "文件超过 1 MiB", "the file is larger than 1 MiB"));
    }
    Ok(bytes)
}

/// Reads a file as text.
///
/// # Errors
/// As [`read_public`]; [`PkiError::Content`] when it is not UTF-8.
pub fn read_text(path: &Path) -> Result<String, PkiError> {
    String::from_utf8(read_public(path)?)
        .map_err(|_| PkiError::content(path, "不是 UTF-8 文本", "it is not UTF-8 text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_file_is_written_once_with_its_mode_and_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.key");
        write_new(&path, b"one", Access::Secret).unwrap();
        assert!(matches!(write_new(&path, b"two", Access::Secret), Err(PkiError::Exists(_))));
        assert_eq!((read_secret(&path).unwrap(), mode(&path)), (b"one".to_vec(), 0o600));
        let public = dir.path().join("a.pem");
        write_new(&public, b"x", Access::Public).unwrap();
        assert_eq!(mode(&public) & 0o600, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_dangling_link_counts_as_taken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.key");
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), &path).unwrap();
        assert!(matches!(write_new(&path, b"one", Access::Secret), Err(PkiError::Exists(_))));
        assert!(!dir.path().join("elsewhere").exists());
    }

    #[test]
    fn a_key_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.key");
        write_new(&path, b"one", Access::Secret).unwrap();
        for (bits, accepted) in
            [(0o600, true), (0o400, true), (0o640, true), (0o660, false), (0o644, false), (0o604, false)]
        {
            fs::set_permissions(&path, fs::Permissions::from_mode(bits)).unwrap();
            assert_eq!(read_secret(&path).is_ok(), accepted, "{bits:o}");
        }
    }

    #[test]
    fn what_is_too_large_or_missing_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("large");
        File::create(&path).unwrap().set_len(MAX_FILE_BYTES + 1).unwrap();
        assert!(matches!(read_public(&path), Err(PkiError::Content { .. })));
        assert!(matches!(read_public(&dir.path().join("none")), Err(PkiError::Io { .. })));
    }
}
