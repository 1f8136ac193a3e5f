//! Compiles every proto file under `shouwang/` with a compiler written in Rust: a bare machine with cargo builds all.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=shouwang");
    let mut files = Vec::new();
    collect(Path::new("shouwang"), &mut files)?;
    files.sort();
    let descriptors = protox::compile(&files, ["."])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    // By its name the codec knows what a message may hold.
    let mut names = tonic_prost_build::Config::new();
    names.enable_type_names();
    // Payloads are handed from buffer to buffer, never copied per hop.
    tonic_prost_build::configure()
        .bytes(".shouwang.replication.v1")
        .bytes(".shouwang.v1.Call")
        .bytes(".shouwang.v1.CallAnswer")
        .codec_path("crate::codec::Counted")
        .include_file("packages.rs")
        .compile_fds_with_config(descriptors, names)?;
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            println!("cargo:rerun-if-changed={}", path.display());
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            println!("cargo:rerun-if-changed={}", path.display());
            files.push(path);
        }
    }
    Ok(())
}
