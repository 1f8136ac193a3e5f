//! Of how many parts a message consists, told from its bytes and the contract before anything of it is read.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use prost::{Message as _, Name};
use prost_types::field_descriptor_proto::Type;
use prost_types::{DescriptorProto, FileDescriptorSet};

/// prost reads no deeper.
const DEPTH_MAX: usize = 100;

/// Where a message holds further messages: by the number of the field, which shape they have.
type Shape = BTreeMap<u64, usize>;

static SHAPES: LazyLock<Shapes> = LazyLock::new(Shapes::of_the_contract);

/// Every message of the contract.
struct Shapes {
    by_name: HashMap<String, usize>,
    shapes: Vec<Shape>,
}

impl Shapes {
    fn of_the_contract() -> Self {
        // Written beside the generated code by the same compiler: a test reads it.
        let files = FileDescriptorSet::decode(crate::FILE_DESCRIPTOR_SET).unwrap_or_default().file;
        let mut messages = Vec::new();
        for file in &files {
            let package = format!(".{}", file.package());
            file.message_type.iter().for_each(|message| gather(&package, message, &mut messages));
        }
        let by_name: HashMap<_, _> = messages.iter().zip(0..).map(|((name, _), at)| (name.clone(), at)).collect();
        let shape = |message: &DescriptorProto| {
            let fields = message.field.iter().filter(|field| field.r#type() == Type::Message);
            let held = fields.filter_map(|field| {
                Some((u64::try_from(field.number()).ok()?, by_name.get(field.type_name()).copied()?))
            });
            held.collect()
        };
        let shapes = messages.iter().map(|(_, message)| shape(message)).collect();
        Self { by_name, shapes }
    }
}

fn gather<'a>(within: &str, message: &'a DescriptorProto, into: &mut Vec<(String, &'a DescriptorProto)>) {
    let name = format!("{within}.{}", message.name());
    message.nested_type.iter().for_each(|nested| gather(&name, nested, into));
    into.push((name, message));
}

/// Whether the message has so many parts at most: texts, bytes and further messages, at any depth.
pub fn has_at_most<M: Name>(message: &[u8], most: usize) -> bool {
    let shape = SHAPES.by_name.get(&format!(".{}", M::full_name())).copied();
    count(message, shape, most, DEPTH_MAX).is_some()
}

/// How many parts may still come; none if there were too many. Bytes that are no message end it: prost refuses them, and has
/// read no more of them than was counted.
fn count(mut message: &[u8], shape: Option<usize>, mut left: usize, depth: usize) -> Option<usize> {
    while let Some(key) = varint(&mut message) {
        let skipped = match key & 7 {
            0 => varint(&mut message).map(|_| ()),
            1 => take(&mut message, 8).map(|_| ()),
            2 => {
                let length = varint(&mut message).and_then(|length| usize::try_from(length).ok());
                let Some(part) = length.and_then(|length| take(&mut message, length)) else { break };
                left = left.checked_sub(1)?;
                let within = shape.and_then(|shape| SHAPES.shapes.get(shape)?.get(&(key >> 3)).copied());
                if within.is_some() && depth > 0 {
                    left = count(part, within, left, depth - 1)?;
                }
                Some(())
            }
            // Where a group begins and ends: what is in it is counted like the rest.
            3 | 4 => Some(()),
            5 => take(&mut message, 4).map(|_| ()),
            _ => None,
        };
        if skipped.is_none() {
            break;
        }
    }
    Some(left)
}

fn take<'a>(message: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (part, rest) = message.split_at_checked(length)?;
    *message = rest;
    Some(part)
}

/// The number that the message begins with, which is taken off it; none if it begins with none.
fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for (at, byte) in message.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if *byte < 0x80 {
            *message = &message[at + 1..];
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use prost::encoding::encode_varint;

    use super::*;
    use crate::v1::{CallsRequest, MethodCalls};

    /// A field of this number with this content.
    fn part(number: u64, content: &[u8]) -> Vec<u8> {
        let mut part = Vec::new();
        encode_varint(number << 3 | 2, &mut part);
        encode_varint(content.len() as u64, &mut part);
        part.extend(content);
        part
    }

    #[test]
    fn every_message_of_the_contract_is_known_with_what_it_holds() {
        let shape = |name: &str| &SHAPES.shapes[SHAPES.by_name[name]];
        let frame = shape(&format!(".{}", CallsRequest::full_name()));
        assert_eq!(frame.len(), 1);
        assert_eq!(frame[&1], SHAPES.by_name[&format!(".{}", MethodCalls::full_name())]);
        assert!(SHAPES.shapes.len() > 200, "{} messages", SHAPES.shapes.len());
    }

    #[test]
    fn parts_are_counted_at_every_depth_and_nothing_else_is() {
        let calls = [part(2, b""), part(2, b"")].concat();
        let numbers = [0x78, 0x96, 0x01, 0x79, 1, 2, 3, 4, 5, 6, 7, 8, 0x7d, 1, 2, 3, 4];
        let cases: [(&str, Vec<u8>, usize); 9] = [
            ("nothing", Vec::new(), 0),
            ("numbers", numbers.to_vec(), 0),
            ("two beside each other", [part(1, b""), part(1, b"")].concat(), 2),
            ("two within one", part(1, &calls), 3),
            ("numbers before a part", [numbers.as_slice(), &part(1, b"")].concat(), 1),
            ("within a group", [&[0x7b], part(1, &calls).as_slice(), &[0x7c]].concat(), 3),
            ("a text that could be a message", part(1, &part(1, &calls)), 2),
            ("a field that the contract does not know", part(99, &calls), 1),
            ("what is read before it breaks off", [part(1, &calls).as_slice(), &[0x0a, 9, 1]].concat(), 3),
        ];
        for (what, message, parts) in cases {
            assert!(has_at_most::<CallsRequest>(&message, parts), "{what}: at most {parts}");
            let fewer = parts.checked_sub(1).is_some_and(|fewer| has_at_most::<CallsRequest>(&message, fewer));
            assert!(!fewer, "{what}: there are {parts}");
        }
    }
}
