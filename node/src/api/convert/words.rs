//! The words all subjects share: resources, figures, times, enumerations, outcomes.

use prost_types::Timestamp as WireTime;
use shouwang_domain::actor::{Actor, Role};
use shouwang_domain::ids::NodeId;
use shouwang_domain::record::{Outcome, Verdict};
use shouwang_domain::refusal::Refusal;
use shouwang_domain::resource::{Figure, Resource, Visibility, Warning};
use shouwang_domain::time::{Date, Timestamp};
use shouwang_proto::v1;

use crate::api::status::parameters_of;

/// A point in time; `None` for "never".
pub fn time(at: Timestamp) -> Option<WireTime> {
    // Less than a thousand milliseconds are less than 2^31 nanoseconds.
    let nanos = i32::try_from(at.0.rem_euclid(1000) * 1_000_000).unwrap_or_default();
    (at != Timestamp::NEVER).then(|| WireTime { seconds: at.0.div_euclid(1000), nanos })
}

/// A day, empty for none.
pub fn date(day: Option<Date>) -> String {
    day.map(|day| day.to_string()).unwrap_or_default()
}

/// A node as `<code>/<number>`.
pub fn node(node: NodeId) -> String {
    node.spoken()
}

/// A resource.
pub fn resource(resource: &Resource) -> v1::Resource {
    use v1::resource::Kind;
    let kind = match resource {
        Resource::Item(code) => Kind::Item(code.to_string()),
        Resource::Team(kind) => Kind::Team(kind.to_string()),
        Resource::Vehicle(kind) => Kind::Vehicle(kind.to_string()),
    };
    v1::Resource { kind: Some(kind) }
}

/// A figure.
pub fn figure(figure: Figure) -> v1::Figure {
    use v1::FigureForm as Form;
    let (form, quantity) = match figure {
        Figure::Exact(qty) => (Form::Exact, qty.0),
        Figure::AtLeast(qty) => (Form::AtLeast, qty.0),
        Figure::AskUs => (Form::AskUs, 0),
        Figure::Withdrawn => (Form::Withdrawn, 0),
    };
    v1::Figure { form: form.into(), quantity }
}

/// An operator.
pub fn actor(actor: &Actor) -> v1::Actor {
    v1::Actor {
        municipality: actor.municipality.to_string(),
        operator: actor.operator.clone(),
        role: actor.role.slug().to_owned(),
    }
}

/// A refusal.
pub fn refusal(refusal: &Refusal) -> v1::Refusal {
    v1::Refusal {
        reason: refusal.code().to_owned(),
        zh: refusal.zh(),
        en: refusal.en(),
        parameters: parameters_of(refusal).into_iter().collect(),
    }
}

/// What came of a command, with the working number it was given.
pub fn outcome(outcome: &Outcome, number: String) -> v1::Outcome {
    let verdict = match &outcome.verdict {
        Verdict::Accepted => v1::Verdict::Accepted,
        Verdict::Refused(_) => v1::Verdict::Refused,
        Verdict::Expired => v1::Verdict::Expired,
        Verdict::IdReused => v1::Verdict::IdReused,
    };
    let refusal = match &outcome.verdict {
        Verdict::Refused(refusal) => Some(self::refusal(refusal)),
        _ => None,
    };
    let (revision, at) = (outcome.revision, time(outcome.at));
    v1::Outcome { verdict: verdict.into(), revision, at, refusal, number, awaits_region: false, record_gone: false }
}

/// A role as certificates spell it, for the domain.
pub fn role(role: crate::auth::Role) -> Role {
    use crate::auth::Role as R;
    match role {
        R::Duty => Role::Duty,
        R::SigningLeader => Role::Leader,
        R::StoreKeeper => Role::Keeper,
        R::Coordinator => Role::Coordinator,
        R::Secretariat => Role::Secretariat,
        R::Superior => Role::Superior,
        R::Admin => Role::Admin,
    }
}

/// A pair of readings of one enumeration: the wire's word for the domain's, and back.
macro_rules! enumeration {
    ($(#[$doc:meta])* $write:ident, $read:ident: $domain:ty = $wire:ty { $($inner:ident <=> $outer:ident),* $(,)? }) => {
        $(#[$doc])*
        pub fn $write(value: $domain) -> $wire {
            match value { $(<$domain>::$inner => <$wire>::$outer,)* }
        }

        /// The domain's word; `None` for "not said".
        pub fn $read(value: $wire) -> Option<$domain> {
            match value {
                $(<$wire>::$outer => Some(<$domain>::$inner),)*
                <$wire>::Unspecified => None,
            }
        }
    };
}
pub(crate) use enumeration;

enumeration! {
    /// A warning's word on the wire.
    warning, read_warning: Warning = v1::Warning {
        None <=> None, Blue <=> Blue, Yellow <=> Yellow, Orange <=> Orange, Red <=> Red,
    }
}

enumeration! {
    /// A visibility's word on the wire.
    visibility, read_visibility: Visibility = v1::Visibility {
        Exact <=> Exact, Banded <=> Banded, AskUs <=> AskUs, Hidden <=> Hidden,
    }
}

#[cfg(test)]
mod tests {
    use shouwang_domain::quantity::Qty;

    use super::*;

    #[test]
    fn times_cross_to_the_millisecond() {
        for (ms, seconds, nanos) in [(0, 0, 0), (1_999, 1, 999_000_000), (-1, -1, 999_000_000)] {
            assert_eq!(time(Timestamp(ms)), Some(WireTime { seconds, nanos }));
        }
        assert_eq!(time(Timestamp::NEVER), None);
    }

    #[test]
    fn enumerations_read_back_as_they_are_written() {
        for value in [Warning::None, Warning::Blue, Warning::Yellow, Warning::Orange, Warning::Red] {
            assert_eq!(read_warning(warning(value)), Some(value));
        }
        for value in [Visibility::Exact, Visibility::Banded, Visibility::AskUs, Visibility::Hidden] {
            assert_eq!(read_visibility(visibility(value)), Some(value));
        }
        assert_eq!(read_warning(v1::Warning::Unspecified), None);
    }

    #[test]
    fn figures_say_how_exactly_they_are_told() {
        use v1::FigureForm as Form;
        for (value, form, quantity) in [
            (Figure::Exact(Qty(7)), Form::Exact, 7),
            (Figure::AtLeast(Qty(100)), Form::AtLeast, 100),
            (Figure::AskUs, Form::AskUs, 0),
            (Figure::Withdrawn, Form::Withdrawn, 0),
        ] {
            assert_eq!(figure(value), v1::Figure { form: form.into(), quantity });
        }
    }

    #[test]
    fn every_role_of_a_certificate_has_a_post() {
        for at_the_door in crate::auth::Role::ALL {
            assert_eq!(role(at_the_door).slug(), at_the_door.slug());
        }
    }

    #[test]
    fn a_refused_outcome_says_why() {
        let refused = Outcome { revision: 4, at: Timestamp(9), verdict: Verdict::Refused(Refusal::ExerciseMixed) };
        let said = outcome(&refused, String::new());
        assert_eq!((said.verdict(), said.revision), (v1::Verdict::Refused, 4));
        assert_eq!(said.refusal.unwrap().reason, "EXERCISE_MIXED");
    }
}
