//! Ledgers and catalogues that people bring as files: CSV in two encodings, and workbooks.

use std::io::{Cursor, Read as _, Write as _};
use std::path::{Path, PathBuf};

use shouwang::documents::Table;
use shouwang::documents::catalogue::Catalogue;
use shouwang::documents::ledger::{Reading, read_stock};
use shouwang::documents::units::read_units;
use shouwang_domain::testing::municipality;
use shouwang_domain::time::Date;

use super::Target;
use crate::mutate::{Rng, mutated};

/// 防护服,套,100,中心库 under the names of its columns, in GB 18030.
const GBK: &[u8] = b"\xce\xef\xd7\xca\xc3\xfb\xb3\xc6,\xb5\xa5\xce\xbb,\xca\xfd\xc1\xbf,\xb2\xd6\xbf\xe2\n\
    \xb7\xc0\xbb\xa4\xb7\xfe,\xcc\xd7,100,\xd6\xd0\xd0\xc4\xbf\xe2\n";

const CSV_WORDS: &[&[u8]] = &[
    b"\"",
    b"\"\"",
    b",",
    b"\t",
    b"\r",
    b"\n",
    b"\xef\xbb\xbf",
    "数量".as_bytes(),
    "有效期至".as_bytes(),
    b"2026-02-30",
    b"1e308",
    b"-1",
    b"1.000000001",
    "１２３".as_bytes(),
    "24/箱".as_bytes(),
    "千".as_bytes(),
    b"\x81\x30\x81\x30",
    b"\xff",
    b"99999999999999999999",
];

fn demo_files(ending: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/demo-data");
    let entries = std::fs::read_dir(folder).expect("the ledgers of the demonstration are in the checkout");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a folder that reads").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|found| found == ending));
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("a file that reads")).collect()
}

/// Reads a file as everything that a file can be.
fn read(input: &[u8], catalogue: &Catalogue) -> Result<(), String> {
    let table = Table::from_bytes("ledger", input, None).map_err(|error| error.to_string())?;
    let today = Date::new(2026, 3, 1).expect("a day");
    let reading = Reading { municipality: municipality(150_300), today, catalogue, default_store: Some("中心库") };
    let stock = read_stock(&table, &reading).map(|_| ());
    let units = read_units(&table, &reading).map(|_| ());
    let catalogue = Catalogue::from_table(&table).map(|_| ());
    stock.or(units).or(catalogue).map_err(|error| error.to_string())
}

pub struct Csv {
    samples: Vec<Vec<u8>>,
    catalogue: Catalogue,
}

impl Csv {
    pub fn new() -> Self {
        let mut samples = demo_files("csv");
        samples.push(GBK.to_vec());
        Self { samples, catalogue: Catalogue::default() }
    }
}

impl Target for Csv {
    fn samples(&self) -> &[Vec<u8>] {
        &self.samples
    }

    fn words(&self) -> &'static [&'static [u8]] {
        CSV_WORDS
    }

    fn decode(&mut self, input: &[u8]) -> Result<(), String> {
        read(input, &self.catalogue)
    }
}

pub struct Xlsx {
    samples: Vec<Vec<u8>>,
    /// Each sample's parts, by name.
    parts: Vec<Vec<(String, Vec<u8>)>>,
    catalogue: Catalogue,
}

impl Xlsx {
    pub fn new() -> Self {
        let samples = demo_files("xlsx");
        let parts = samples.iter().map(|sample| unpacked(sample)).collect();
        Self { samples, parts, catalogue: Catalogue::default() }
    }
}

fn unpacked(file: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = zip::ZipArchive::new(Cursor::new(file)).expect("a sample is an archive");
    let part = |index| {
        let mut part = archive.by_index(index).expect("a sample's parts read");
        let mut bytes = Vec::new();
        part.read_to_end(&mut bytes).expect("a sample's parts unpack");
        (part.name().expect("a sample's names read").to_string(), bytes)
    };
    (0..zip::ZipArchive::new(Cursor::new(file)).expect("a sample is an archive").len()).map(part).collect()
}

fn packed(parts: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in parts {
        let options = zip::write::SimpleFileOptions::default();
        archive.start_file(name.as_str(), options).expect("an archive in memory is written");
        archive.write_all(bytes).expect("an archive in memory is written");
    }
    archive.finish().expect("an archive in memory is written").into_inner()
}

impl Target for Xlsx {
    fn samples(&self) -> &[Vec<u8>] {
        &self.samples
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[
            b"<c r=\"A1048576\"><v>1</v></c>",
            b"<row r=\"4294967295\">",
            b"r=\"XFD1\"",
            b"r=\"ZZZZZZZ9999999999\"",
            b"t=\"s\"",
            b"<v>4294967295</v>",
            b"uniqueCount=\"4000000\"",
            b"count=\"4294967295\"",
            b"<si>",
            b"</si>",
            b"&#x110000;",
            b"&lol;",
            b"<!DOCTYPE a [<!ENTITY lol \"lol\">]>",
            b"<mergeCell ref=\"A1:XFD1048576\"/>",
            b"<dimension ref=\"A1:XFD1048576\"/>",
            b"numFmtId=\"999999\"",
            b"<v>-1e308</v>",
            b"<f>A1</f>",
            b"<f t=\"shared\" ref=\"A1:XFD1048576\" si=\"0\">A1</f>",
            b"date1904=\"1\"",
            b"xml:space=\"preserve\"",
        ]
    }

    fn input(&self, rng: &mut Rng) -> Vec<u8> {
        let which = rng.index(self.samples.len());
        if rng.chance(30) {
            return mutated(rng, &self.samples[which], &self.samples, &[]);
        }
        let mut parts = self.parts[which].clone();
        for _ in 0..=rng.below(2) {
            let at = rng.index(parts.len());
            let others: Vec<Vec<u8>> = parts.iter().map(|(_, bytes)| bytes.clone()).collect();
            match rng.below(12) {
                0 => drop(parts.remove(at)),
                1 => parts[at].0 = parts[rng.index(parts.len())].0.clone() + ["", "x", "/../x"][rng.index(3)],
                _ => parts[at].1 = mutated(rng, &others[at], &others, self.words()),
            }
        }
        parts.sort();
        parts.dedup_by(|one, other| one.0 == other.0);
        packed(&parts)
    }

    fn decode(&mut self, input: &[u8]) -> Result<(), String> {
        read(input, &self.catalogue)
    }
}
