//! Table tests of the field readers.

use super::*;

struct NoRegions;

impl Regions for NoRegions {
    fn region(&self, _text: &str) -> Result<RegionId, Bilingual> {
        Err(Bilingual::fixed("没有", "none"))
    }
}

const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

fn own() -> MunicipalityCode {
    MunicipalityCode::new(150_300).unwrap()
}

fn parsing() -> Parsing<'static> {
    Parsing::new(ID, own(), &NoRegions)
}

/// Whether a reader accepts, and that it notes a violation exactly when it does not.
fn accepts<T>(read: impl Fn(&mut Parsing<'_>) -> Option<T>) -> bool {
    let mut parsing = parsing();
    let accepted = read(&mut parsing).is_some();
    assert_eq!(accepted, parsing.violations().is_empty());
    accepted
}

#[test]
fn ids_are_read_bare_and_as_resource_names() {
    let names = format!("lots/{ID}");
    for (text, good) in [
        (ID, true),
        (names.as_str(), true),
        ("", false),
        ("lots/", false),
        ("stores/01890a5d-ac96-774b-bcce-b302099a8057", false),
        ("01890a5dac96774bbcceb302099a8057", false),
        ("lots/lots/01890a5d-ac96-774b-bcce-b302099a8057", false),
    ] {
        assert_eq!(accepts(|p| p.id::<LotId>("lot", text)), good, "{text}");
    }
    let lot: LotId = parsing().id("lot", &names).unwrap();
    assert_eq!(lot.name(), names);
}

#[test]
fn what_is_left_out_is_derived_from_the_request_id() {
    let derive = |label| parsing().id_or_derived::<LotId>("lot", "", label).unwrap();
    assert_eq!(derive("lot:0"), derive("lot:0"));
    assert_ne!(derive("lot:0"), derive("lot:1"));
    assert_eq!(parsing().happened_at(None), Some(RequestKey::parse(ID).unwrap().asked_at()));
}

#[test]
fn texts_quantities_and_amounts_have_bounds() {
    for (text, good) in [("甲", true), ("", false), ("一二三四五六", false), ("a\nb", false)] {
        assert_eq!(accepts(|p| p.text("t", text, 5)), good, "{text}");
    }
    for (qty, good) in [(1, true), (0, false), (1_000_000_000_000, true), (1_000_000_000_001, false), (u64::MAX, false)]
    {
        assert_eq!(accepts(|p| p.quantity("q", qty)), good, "{qty}");
    }
    assert!(accepts(|p| p.total("q", 0)));
    assert!(accepts(|p| p.amount("a", 0)) && !accepts(|p| p.amount("a", -1)));
    assert!(accepts(|p| p.reason_if_any("r", "", 5)) && !accepts(|p| p.reason_if_any("r", "一二三四五六", 5)));
}

#[test]
fn times_and_days_exist() {
    let time = |seconds, nanos| WireTime { seconds, nanos };
    for (given, good) in [
        (Some(time(0, 0)), true),
        (Some(time(1_772_000_000, 999_999_999)), true),
        (Some(time(-1, 0)), false),
        (Some(time(0, -1)), false),
        (Some(time(0, 1_000_000_000)), false),
        (Some(time(i64::MAX, 0)), false),
        (None, false),
    ] {
        assert_eq!(accepts(|p| p.time("t", given.as_ref())), good, "{given:?}");
    }
    assert_eq!(parsing().time("t", Some(&time(2, 5_999_999))), Some(Timestamp(2005)));
    for (text, good) in [
        ("", true),
        ("2027-06-30", true),
        ("2024-02-29", true),
        ("2023-02-29", false),
        ("2027-6-30", false),
        ("2027/06/30", false),
        ("2027-06-30 ", false),
        ("+027-06-30", false),
        ("2027-06-30-01", false),
    ] {
        assert_eq!(accepts(|p| p.optional_date("d", text)), good, "{text}");
    }
}

#[test]
fn codes_nodes_and_lines_are_checked() {
    for (text, good) in [("150300", true), ("15030", false), ("1503000", false), ("999999", false), ("", false)] {
        assert_eq!(accepts(|p| p.municipality("m", text)), good, "{text}");
    }
    for (text, good) in [
        ("150300/1", true),
        ("150300/9999", true),
        ("150300/0", false),
        ("150300/01", false),
        ("150300", false),
        ("1503000001", false),
    ] {
        assert_eq!(accepts(|p| p.node("n", text)), good, "{text}");
    }
    for (line, good) in [(1, true), (0, false), (65_535, true), (65_536, false)] {
        assert_eq!(accepts(|p| p.line("l", line)), good, "{line}");
    }
}

#[test]
fn resources_are_items_teams_or_vehicles() {
    use v1::resource::Kind;
    let resource = |kind| v1::Resource { kind: Some(kind) };
    for (given, good) in [
        (Some(resource(Kind::Item("2160401".to_owned()))), true),
        (Some(resource(Kind::Team("hazmat".to_owned()))), true),
        (Some(resource(Kind::Vehicle("air-refill-truck".to_owned()))), true),
        (Some(resource(Kind::Item("0160401".to_owned()))), false),
        (Some(resource(Kind::Team("Hazmat".to_owned()))), false),
        (Some(v1::Resource { kind: None }), false),
        (None, false),
    ] {
        assert_eq!(accepts(|p| p.resource("r", given.as_ref())), good, "{given:?}");
    }
}

#[test]
fn all_violations_come_at_once() {
    let mut parsing = Parsing::new("no", own(), &NoRegions);
    let _ = (parsing.quantity("quantity", 0), parsing.text("reason", "", 5), parsing.region("x"));
    let fields: Vec<&str> = parsing.violations().iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(fields, ["request_id", "quantity", "reason", "region"]);
    assert_eq!(parsing.finish(Some(())).unwrap_err().code(), tonic::Code::InvalidArgument);
    assert!(Parsing::new(ID, own(), &NoRegions).finish(None::<()>).is_err());
}

#[test]
fn regions_are_found_by_name_prefix_or_being_alone() {
    let (a, b) = (Hash32([0xaa; 32]), Hash32([0xab; 32]));
    let one = [(a, "乌海".to_owned())];
    let two = [(a, "乌海".to_owned()), (b, "呼包鄂".to_owned())];
    assert_eq!(find_region(&one, ""), Ok(a));
    assert_eq!(find_region(&two, "呼包鄂"), Ok(b));
    assert_eq!(find_region(&two, "aaaaaaaa"), Ok(a));
    assert_eq!(find_region(&two, &b.to_string()), Ok(b));
    for (regions, text) in
        [(&[][..], ""), (&two[..], ""), (&two[..], "aaaaaaa"), (&two[..], "cccccccc"), (&two[..], "呼")]
    {
        assert!(find_region(regions, text).is_err(), "{text}");
    }
}
