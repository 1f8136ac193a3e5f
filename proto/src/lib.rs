//! The wire contract and nothing else.
//!
//! One module per package, generated from the files under `shouwang/`; their comments are the documentation. Entry
//! points: [`replication`] (between nodes), and the packages beside it. This room must never contain behaviour, except for
//! how messages are read ([`codec`]), nor a type that is not on the wire.

pub mod codec;
mod parts;

/// Every file of the contract, for server reflection: an encoded `google.protobuf.FileDescriptorSet`.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

pub use generated::shouwang::*;

// Written by the compiler, by its own taste.
#[allow(missing_docs, clippy::pedantic, clippy::all)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/packages.rs"));
}

#[cfg(test)]
mod tests {
    use prost::Message;

    #[test]
    fn the_descriptors_name_every_package_for_reflection() {
        let set = prost_types::FileDescriptorSet::decode(super::FILE_DESCRIPTOR_SET).unwrap();
        assert!(set.file.iter().any(|file| file.package() == "shouwang.replication.v1"));
        assert!(set.file.iter().all(|file| file.syntax() == "proto3"));
    }
}
