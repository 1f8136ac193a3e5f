//! The contract's values as people read and write them: times in Asia/Shanghai, money in yuan, resources, and the words
//! of [`crate::words`].

use jiff::tz::{TimeZone, offset};
use shouwang_proto::v1::{Figure, FigureForm, Resource, resource};

use crate::lang::Lang;
pub use crate::words::*;

/// A point in time in Asia/Shanghai to the second, "-" for none.
pub fn time(at: Option<prost_types::Timestamp>) -> String {
    let at = at.and_then(|at| jiff::Timestamp::new(at.seconds, at.nanos).ok());
    at.map_or_else(|| "-".to_owned(), |at| at.to_zoned(shanghai()).strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// Month, day, hour and minute in Asia/Shanghai, "-" for none.
pub fn short_time(at: Option<prost_types::Timestamp>) -> String {
    let text = time(at);
    // `2026-03-01 23:40:00`; anything of another length is shown whole.
    text.get(5..16).filter(|_| text.len() == 19).map_or_else(|| text.clone(), ToOwned::to_owned)
}

/// China Standard Time: eight hours ahead of UTC, without daylight saving.
pub fn shanghai() -> TimeZone {
    TimeZone::fixed(offset(8))
}

/// Money in yuan.
pub fn yuan(fen: i64) -> String {
    shouwang_domain::quantity::Fen(fen).to_string()
}

/// A resource as it is written on the command line.
pub fn resource(of: Option<&Resource>) -> String {
    match of.and_then(|of| of.kind.as_ref()) {
        Some(resource::Kind::Item(code)) => code.clone(),
        Some(resource::Kind::Team(kind)) => format!("team:{kind}"),
        Some(resource::Kind::Vehicle(kind)) => format!("vehicle:{kind}"),
        None => "-".to_owned(),
    }
}

/// A published figure.
pub fn figure(of: Option<&Figure>, lang: Lang) -> String {
    let Some(of) = of else { return "-".to_owned() };
    match of.form() {
        FigureForm::Exact => of.quantity.to_string(),
        FigureForm::AtLeast => format!("≥ {}", of.quantity),
        FigureForm::AskUs => lang.pick("面议", "ask us").to_owned(),
        FigureForm::Withdrawn => lang.pick("不再发布", "withdrawn").to_owned(),
        FigureForm::Unspecified => "-".to_owned(),
    }
}

/// The last part of a resource name: `lots/<uuid>` without its collection.
pub fn id(name: &str) -> String {
    name.rsplit('/').next().unwrap_or_default().to_owned()
}

/// What a person should read for nothing.
pub fn dash(text: &str) -> String {
    if text.is_empty() { "-" } else { text }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_as_people_read_them() {
        let at = prost_types::Timestamp { seconds: 1_772_380_800, nanos: 5 };
        assert_eq!((time(Some(at)), time(None)), ("2026-03-02 00:00:00".to_owned(), "-".to_owned()));
        assert_eq!((short_time(Some(at)), short_time(None)), ("03-02 00:00".to_owned(), "-".to_owned()));
        assert_eq!((yuan(1_820_050), yuan(-5)), ("18200.50".to_owned(), "-0.05".to_owned()));
        let team = Resource { kind: Some(resource::Kind::Team("hazmat".to_owned())) };
        assert_eq!((resource(Some(&team)), resource(None)), ("team:hazmat".to_owned(), "-".to_owned()));
        let band = Figure { form: FigureForm::AtLeast.into(), quantity: 50 };
        assert_eq!(figure(Some(&band), Lang::En), "≥ 50");
        assert_eq!(id("obligations/a/goods"), "goods");
    }
}
