//! A node's configuration file.

use std::collections::BTreeMap;

use shouwang::config::{Sources, load};

use super::Target;

const SAMPLES: [&str; 2] = [
    "federation = \"wuhai-region\"\n[municipality]\ncode = 150300\nshort = \"乌\"\n",
    "federation = \"wuhai-region\"\nnode = 2\nregistry_node = 1\ndata_dir = \"data\"\nsigning_key = \"signing.key\"\ntiming = \"lan\"\n\n\
     [municipality]\ncode = 150300\nshort = \"乌\"\n\n[peer]\nlisten = \"[::1]:7300\"\nadvertise = \"node.example:7300\"\n\n\
     [operator]\nlisten = \"127.0.0.1:7301\"\n\n[log]\nformat = \"json\"\nlevel = \"info,h2=warn\"\n\n\
     [limits]\npeer_connections = 64\noperator_connections = 1_000\ndrain_seconds = 0x0a\n\n\
     [[regions]]\nname = \"wuhai\"\ncharter = \"charter.json\"\npeers = [\n  \
     { node = \"150600/1\", address = \"127.0.0.1:7400\" },\n  { node = \"152900/1\", address = \"[::1]:7500\" },\n]\n\n\
     [[regions]]\nname = \"hetao\"\ncharter = '''/etc/charter.json'''\npeers = []\n",
];

pub struct Configs {
    folder: tempfile::TempDir,
    samples: Vec<Vec<u8>>,
}

impl Configs {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder for the file");
        Self { folder, samples: SAMPLES.map(|text| text.as_bytes().to_vec()).to_vec() }
    }
}

impl Target for Configs {
    fn samples(&self) -> &[Vec<u8>] {
        &self.samples
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[
            b"[[regions]]\n",
            b"[[regions.peers]]\n",
            b"peers = [",
            b"{ node = \"1/1\" }, ",
            b"[limits]\n",
            b"\"\"\"",
            b"'''",
            b"\\u{10ffff}",
            b"\\UFFFFFFFF",
            b"1e999",
            b"nan",
            b"1979-05-27T07:32:00Z",
            b"0xFFFFFFFFFFFFFFFFFF",
            b"\r\n",
            b"#",
            b"[a.b.c.d.e]\n",
            b"true",
            b"= ",
            b"\xe4\xb9\x8c",
            b"limits.peer_connections = 1\n",
        ]
    }

    fn decode(&mut self, input: &[u8]) -> Result<(), String> {
        let path = self.folder.path().join("shouwang.toml");
        std::fs::write(&path, input).expect("the file can be written");
        let sources = Sources { file: Some(path), environment: BTreeMap::new(), flags: Vec::new() };
        load(&sources).map(|_| ()).map_err(|error| error.to_string())
    }
}
