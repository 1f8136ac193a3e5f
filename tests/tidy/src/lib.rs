//! The house rules as functions over source text and manifests, so that they are kept by a test and not by memory.
//!
//! Entry points: [`Tree::read`] for the checkout, then one function per rule in [`graph`], [`bans`], [`size`] and
//! [`words`]; each returns the faults it found, as `path:line: what, and what to do`. The rules run in `tests/tidy.rs`.
//!
//! This room must never contain a dependency on another room: it has to build in seconds, and to work on a tree in which
//! another room does not compile. It reads files and never writes one.

pub mod bans;
pub mod graph;
pub mod size;
pub mod source;
pub mod words;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use source::Source;

/// Folders that hold nothing of ours.
const SKIPPED: &[&str] = &["target", "data", "node_modules", "dist"];
/// What a text file of ours may end with; files without an ending are scripts and the like.
const TEXT: &[&str] = &["rs", "toml", "md", "proto", "yml", "yaml", "sh", "py", "json", "html", "css", "ts", "vue"];

/// The checkout as tidy sees it: every text file of ours by its path from the root, in order.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// Rust files, masked and marked.
    pub rust: Vec<Source>,
    /// All other text files.
    pub other: BTreeMap<String, String>,
}

impl Tree {
    /// Reads the checkout that this package stands in.
    ///
    /// # Errors
    /// A file or folder that cannot be read.
    pub fn read() -> io::Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let (mut tree, mut folders) = (Self::default(), vec![PathBuf::new()]);
        while let Some(folder) = folders.pop() {
            let mut entries = fs::read_dir(root.join(&folder))?.collect::<io::Result<Vec<_>>>()?;
            entries.sort_by_key(fs::DirEntry::file_name);
            for entry in entries {
                let (name, path) = (entry.file_name().to_string_lossy().into_owned(), folder.join(entry.file_name()));
                let hidden = name.starts_with('.') && name != ".ci";
                if entry.file_type()?.is_dir() {
                    if !hidden && !SKIPPED.contains(&name.as_str()) {
                        folders.push(path);
                    }
                } else if !hidden && is_text(&path) {
                    let text = fs::read_to_string(root.join(&path))?;
                    tree.add(&path.to_string_lossy(), text);
                }
            }
        }
        source::mark_test_modules(&mut tree.rust);
        Ok(tree)
    }

    fn add(&mut self, path: &str, text: String) {
        if Path::new(path).extension().is_some_and(|ending| ending == "rs") {
            self.rust.push(Source::new(path, &text));
        } else {
            self.other.insert(path.to_owned(), text);
        }
    }

    /// The text of a file that is not Rust; empty when there is no such file, which the rules then report.
    pub fn text(&self, path: &str) -> &str {
        self.other.get(path).map_or("", String::as_str)
    }
}

fn is_text(path: &Path) -> bool {
    path.extension().is_none_or(|ending| TEXT.iter().any(|known| ending == *known))
}
