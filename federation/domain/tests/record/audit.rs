//! What leaves a ledger record and what does not, and what an auditor finds who decides once more.

use super::*;

#[test]
fn a_numbered_message_that_moves_nothing_leaves_no_trace() {
    let parties = [150_300, 152_900].map(municipality);
    let mut desk = Desk { record: Record::found(&charter("r", &parties, None)).expect("a region"), ledger: Vec::new() };
    let from = parties[1];
    let up = |incarnation, number, message| R::Up(UpEnvelope { incarnation, number, message });
    let said = |desk: &mut Desk<Region>, at, body| desk.speak(at, &[envelope(7, actor(from, Role::Node, 1), at, body)]);
    let first = said(&mut desk, NOW, up(1, 1, figure(5)));
    assert_eq!((verdicts(&first), first.outcomes[0].1.revision), (vec![Verdict::Accepted], 1));
    let before = (desk.record.digest(), desk.record.revision());
    let later = NOW.plus_ms(HOUR_MS);
    for (what, body, code) in [
        ("sent again", up(1, 1, figure(5)), "ok"),
        ("a fork", up(1, 1, figure(6)), "CHANNEL_FORK"),
        ("a gap", up(1, 3, figure(6)), "CHANNEL_GAP"),
        ("another life", up(2, 2, figure(6)), "WRONG_INCARNATION"),
        ("taken twice", R::AckDown { through: 0 }, "ok"),
        ("taken ahead", R::AckDown { through: 9 }, "CHANNEL_GAP"),
    ] {
        let applied = said(&mut desk, later, body.clone());
        assert!(applied.written.is_empty(), "{what}");
        let [(_, outcome)] = &applied.outcomes[..] else { panic!("{what}: one outcome") };
        let told = match &outcome.verdict {
            Verdict::Refused(refusal) => refusal.code(),
            Verdict::Accepted => "ok",
            other => panic!("{what}: {other:?}"),
        };
        assert_eq!((told, outcome.revision), (code, 0), "{what}");
        assert_eq!((desk.record.digest(), desk.record.revision()), before, "{what}");
        let forged = forged(&first.written[0].record, later, &desk.record, (body, outcome.verdict.clone()));
        assert!(!desk.record.agrees(&forged), "{what}: nobody who decides once more writes it down");
    }
    assert_eq!(said(&mut desk, later, up(1, 2, figure(6))).written.len(), 1, "the next one is taken");
}

/// A ledger record such as no node would write: of a message that moved nothing.
fn forged(
    like: &LedgerRecord<RegionEvent>,
    at: Timestamp,
    record: &Record<Region>,
    (body, verdict): (R, Verdict),
) -> LedgerRecord<RegionEvent> {
    let Cause::Command { proof, .. } = &like.cause else { panic!("a command caused it") };
    let from = proof.node.municipality();
    let bytes = Bytes(code::encode(&envelope(7, actor(from, Role::Node, 1), at, body)));
    let refusal = if let Verdict::Refused(refusal) = verdict { Some(refusal) } else { None };
    let (revision, cause) = (record.revision() + 1, Cause::Command { bytes, proof: proof.clone() });
    LedgerRecord { revision, at, cause, events: Vec::new(), refusal }
}

#[test]
fn an_auditor_who_decides_once_more_notices_every_alteration() {
    let desk = region_with_holds(2);
    let parties = [150_300, 152_900].map(municipality);
    let mut before = Record::<Region>::found(&charter("r", &parties, None)).expect("a region");
    for bytes in &desk.ledger {
        let written: LedgerRecord<RegionEvent> = code::decode("ledger record", bytes).expect("a ledger record");
        assert!(before.agrees(&written));
        let less = LedgerRecord { events: written.events[1..].to_vec(), ..written.clone() };
        let refused = LedgerRecord { refusal: Some(Refusal::ExerciseMixed), ..written.clone() };
        let earlier = LedgerRecord { at: written.at.plus_ms(-HOUR_MS), ..written.clone() };
        let by_itself = LedgerRecord { cause: Cause::Timer, ..written.clone() };
        for (what, altered) in [("events", less), ("refusal", refused), ("time", earlier), ("cause", by_itself)] {
            let first = before.revision() == 0 && what == "time";
            assert!(first || !before.agrees(&altered), "{what} of revision {}", written.revision);
        }
        before.replay(bytes).expect("the next ledger record");
        assert!(!before.agrees(&written), "revision {} once more", written.revision);
    }
}

/// The batch was signed while the key was in force; what follows the command that ends it was not said by a member.
#[test]
fn the_rest_of_a_batch_falls_with_the_key_that_signed_it() {
    let parties = [150_300, 152_900, 150_800].map(municipality);
    let [hub, other, leaving] = parties;
    let mut auditor = Record::<Region>::found(&charter("r", &parties, None)).expect("a region");
    let mut desk = Desk { record: auditor.clone(), ledger: Vec::new() };
    let propose = |n, by, base_version, change| {
        envelope(n, leader(by), NOW.plus_ms(DAY_MS), R::ProposeChange { base_version, change })
    };
    let gone = desk.speak(NOW, &[propose(1, hub, 1, CharterChange::RemoveMember(leaving))]);
    assert_eq!(verdicts(&gone), [Verdict::Accepted]);
    let sign = R::SignChange { change: CommandId::from_u128(1) };
    let commands = [
        propose(2, leaving, 1, CharterChange::RemoveMember(other)),
        envelope(3, leader(leaving), NOW.plus_ms(DAY_MS), sign),
        propose(4, leaving, 2, CharterChange::RemoveMember(other)),
        propose(5, leaving, 2, CharterChange::RemoveMember(other)),
    ];
    let batch = desk.batch(leaving, commands.iter().map(code::encode).collect());
    let applied = desk.enter(NOW, std::slice::from_ref(&batch));
    assert!(desk.record.machine().signers(node_of(leaving), NOW).is_empty(), "the change is in force");
    assert_eq!(verdicts(&applied), [Verdict::Accepted, Verdict::Accepted]);
    assert_eq!(applied.written.len(), 2);
    assert_eq!(applied.dropped, [Hash32::of(&[&code::encode(&batch)])], "once, so that who waits for the rest is told");
    for bytes in &desk.ledger {
        let written: LedgerRecord<RegionEvent> = code::decode("ledger record", bytes).expect("a ledger record");
        assert!(auditor.agrees(&written), "revision {}", written.revision);
        auditor.replay(bytes).expect("the next ledger record");
    }
}
