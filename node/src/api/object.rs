//! Objects as people name them when they ask where a figure comes from.

use shouwang_domain::ids::MunicipalityCode;
use shouwang_domain::region::Region;
use shouwang_domain::registry::Registry;
use shouwang_domain::resource::{Resource, UnitKind};
use shouwang_domain::subject::Subject;
use tonic::Status;

use super::fields::read_id;
use super::status;

/// The longest name read, in characters.
const NAME_MAX: usize = 100;

/// The kinds of objects that have a UUID: each reads its own resource names, and any UUID that stands alone.
const KINDS: [fn(&str) -> Option<Subject>; 6] = [
    |text| read_id(text).map(Subject::Store),
    |text| read_id(text).map(Subject::Lot),
    |text| read_id(text).map(Subject::Pledge),
    |text| read_id(text).map(Subject::Request),
    |text| read_id(text).map(Subject::Mission),
    |text| read_id(text).map(Subject::Change),
];

/// The subjects that a name stands for: a bare UUID for whatever has it, a working number also for what `bearers` says
/// bears it now.
///
/// # Errors
/// `INVALID_ARGUMENT` for what is no name of an object.
pub fn read(text: &str, bearers: impl FnOnce(&str) -> Vec<Subject>) -> Result<Vec<Subject>, Status> {
    let wrong = || {
        status::violated_one(
            "object",
            "须为资源名（如 missions/<UUID>）、UUID、业务编号，或 published/<代码>/<资源>、resources/<资源>",
            "must be a resource name (missions/<UUID>), a UUID, a working number, published/<code>/<resource> or \
             resources/<resource>",
        )
    };
    if text.is_empty() || text.chars().count() > NAME_MAX || text.chars().any(char::is_control) {
        return Err(wrong());
    }
    let known: Vec<Subject> = KINDS.iter().filter_map(|read| read(text)).collect();
    if !known.is_empty() {
        return Ok(known);
    }
    let Some((collection, rest)) = text.split_once('/') else {
        return Ok([Subject::Number(text.to_owned())].into_iter().chain(bearers(text)).collect());
    };
    let named = match collection {
        "published" => rest.split_once('/').and_then(|(member, of)| {
            let member: MunicipalityCode = Some(member).filter(|code| code.len() == 6)?.parse().ok()?;
            Some(Subject::Figure(member, resource(of)?))
        }),
        "resources" => resource(rest).map(Subject::Resource),
        _ => None,
    };
    named.map(|subject| vec![subject]).ok_or_else(wrong)
}

/// A resource as it is written on the command line.
fn resource(text: &str) -> Option<Resource> {
    match text.split_once(':') {
        None => text.parse().ok().map(Resource::Item),
        Some(("team", kind)) => UnitKind::new(kind).ok().map(Resource::Team),
        Some(("vehicle", kind)) => UnitKind::new(kind).ok().map(Resource::Vehicle),
        Some(_) => None,
    }
}

/// What bears this working number in a region.
pub fn bearers_in_region(region: &Region, number: &str) -> Vec<Subject> {
    let missions = region.missions().filter(|(_, mission)| mission.notice.number == number);
    let requests = region.requests().filter(|(_, request)| request.made.number == number);
    missions.map(|(id, _)| Subject::Mission(*id)).chain(requests.map(|(id, _)| Subject::Request(*id))).collect()
}

/// What bears this working number in a registry, or this name on its door.
pub fn bearers_in_registry(registry: &Registry, text: &str) -> Vec<Subject> {
    let missions = registry.missions().filter(|(_, mission)| mission.notice.number == text);
    let stores = registry.stores().filter(|(_, store)| store.name == text);
    missions.map(|(id, _)| Subject::Mission(*id)).chain(stores.map(|(id, _)| Subject::Store(*id))).collect()
}

#[cfg(test)]
mod tests {
    use shouwang_domain::ids::{CommandId, LotId, MissionId, PledgeId, RequestId, StoreId};
    use uuid::Uuid;

    use super::*;

    const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

    #[test]
    fn names_of_objects_are_read() {
        let uuid = Uuid::parse_str(ID).unwrap();
        let mission = Subject::Mission(MissionId(uuid));
        for (text, expected) in [
            (format!("missions/{ID}"), vec![mission.clone()]),
            (format!("changes/{ID}"), vec![Subject::Change(CommandId(uuid))]),
            (
                ID.to_owned(),
                vec![
                    Subject::Store(StoreId(uuid)),
                    Subject::Lot(LotId(uuid)),
                    Subject::Pledge(PledgeId(uuid)),
                    Subject::Request(RequestId(uuid)),
                    mission.clone(),
                    Subject::Change(CommandId(uuid)),
                ],
            ),
            ("乌-调-2026-0012".to_owned(), vec![Subject::Number("乌-调-2026-0012".to_owned()), mission.clone()]),
            (
                "published/150300/2160401".to_owned(),
                vec![Subject::Figure("150300".parse().unwrap(), Resource::Item("2160401".parse().unwrap()))],
            ),
            (
                "resources/team:hazmat".to_owned(),
                vec![Subject::Resource(Resource::Team(UnitKind::new("hazmat").unwrap()))],
            ),
        ] {
            assert_eq!(read(&text, |_| vec![mission.clone()]).unwrap(), expected, "{text}");
            // What is listed under a name is asked for by the same name.
            if let [only] = expected.as_slice() {
                assert_eq!(only.to_string(), text);
            }
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "",
            "missions/",
            "missions/1",
            "missions/missions/01890a5d-ac96-774b-bcce-b302099a8057",
            "missions/01890a5dac96774bbcceb302099a8057",
            "houses/01890a5d-ac96-774b-bcce-b302099a8057",
            "published/150300",
            "published/15030/2160401",
            "published/150300/9",
            "resources/boat:x",
            "a\u{7}",
            &"n".repeat(NAME_MAX + 1),
        ] {
            assert!(read(text, |_| Vec::new()).is_err(), "{text}");
        }
    }
}
