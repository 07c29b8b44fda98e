//! Bytes on the wire, subjects and settings.
//!
//! The snapshots below `snapshots/v1-*` are the contract of version 1: they are added, never edited. A change that makes
//! one of them differ breaks services that are already running.

use proptest::prelude::*;
use tandem_wire::{
    Changed, Due, EventType, Headers, JobEvent, MAX_MESSAGE_BYTES, MAX_USERS, Subject, Subjects,
    SubjectsError, decode_changed, decode_due, decode_event, encode_changed, encode_due, encode_event,
    headers, settings,
};
use time::{OffsetDateTime, macros::datetime};
use uuid::{Uuid, uuid};

const ACCOUNT: Uuid = uuid!("0195a5e0-7a00-7000-8000-000000000001");
const JOB: Uuid = uuid!("0195a5e0-7a00-7000-8000-000000000002");
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn changed() -> Changed {
    Changed {
        account: ACCOUNT,
        generation: 9_007_199_254_740_993,
        users: vec!["101".to_owned(), "102".to_owned()],
        first_detected_at: datetime!(2026-03-01 12:00:00.000001 UTC),
        last_detected_at: datetime!(2026-03-01 13:00:05.5 +1),
        traceparent: None,
    }
}

fn other() -> Changed {
    let account = uuid!("0195a5e0-7a00-7000-8000-000000000003");
    Changed { account, users: vec!["103".to_owned()], traceparent: Some(PARENT.to_owned()), ..changed() }
}

fn event() -> JobEvent {
    JobEvent {
        account: ACCOUNT,
        job: JOB,
        number: 3,
        at: datetime!(2026-03-01 12:01:00 UTC),
        kind: "step.confirmed".to_owned(),
        data: serde_json::json!({"user": "101", "after": {"number": "+12125550101"}, "size": 9_007_199_254_740_993_i64}),
    }
}

fn text(body: Vec<u8>) -> String {
    String::from_utf8(body).expect("JSON is UTF-8")
}

#[test]
fn version_1_bytes_stay_as_they_are() {
    let mut insta = insta::Settings::clone_current();
    insta.set_prepend_module_to_snapshot(false);
    insta.set_omit_expression(true);
    insta.bind(|| {
        insta::assert_snapshot!("v1-changed", text(encode_changed(&changed(), &[]).unwrap()));
        insta::assert_snapshot!("v1-changed-several", text(encode_changed(&changed(), &[other()]).unwrap()));
        let due = Due { account: ACCOUNT, job: JOB, job_type: "auto".to_owned() };
        insta::assert_snapshot!("v1-due", text(encode_due(&due).unwrap()));
        insta::assert_snapshot!("v1-event", text(encode_event(&event()).unwrap()));
        let at = datetime!(2026-03-01 12:00 UTC);
        let lines: Vec<String> =
            headers::cloud_event(EventType::Changed, "/tandem/detector", JOB, at, Some(PARENT))
                .iter()
                .map(|(name, value)| format!("{name}: {value}"))
                .collect();
        insta::assert_snapshot!("v1-headers", lines.join("\n"));
    });
}

#[test]
fn settings_stay_as_they_are() {
    let mut insta = insta::Settings::clone_current();
    insta.set_prepend_module_to_snapshot(false);
    insta.set_omit_expression(true);
    insta.bind(|| {
        let subjects = Subjects::new("").unwrap();
        insta::assert_debug_snapshot!("streams", settings::all_streams(&subjects, 1));
        insta::assert_debug_snapshot!("consumers", settings::all_consumers(&subjects));
    });
    let subjects = Subjects::new("acme.eu-1").unwrap();
    for stream in settings::all_streams(&subjects, 3) {
        assert!(stream.name.starts_with("ACME_EU-1_TANDEM_"), "{}", stream.name);
        assert_eq!(stream.replicas, 3);
    }
    for consumer in settings::all_consumers(&subjects) {
        assert!(consumer.filter_subject.starts_with("acme.eu-1.tandem.v1."));
        // else a message is stranded in the broker before we have written it down
        assert!(i64::from(consumer.max_attempts) < consumer.max_deliver);
        assert!(consumer.backoff.len() < usize::try_from(consumer.max_deliver).unwrap());
        assert_eq!(consumer.backoff.first(), Some(&consumer.ack_wait));
    }
}

#[test]
fn what_is_written_is_read() {
    let back = decode_changed(&encode_changed(&changed(), &[]).unwrap()).unwrap();
    assert_eq!(back, [changed()]);
    let back = decode_changed(&encode_changed(&changed(), &[other(), changed()]).unwrap()).unwrap();
    assert_eq!(back, [changed(), other(), changed()]);
    assert_eq!(decode_event(&encode_event(&event()).unwrap()).unwrap(), event());
    let due = Due { account: ACCOUNT, job: JOB, job_type: "manual".to_owned() };
    assert_eq!(decode_due(&encode_due(&due).unwrap()).unwrap(), due);
}

#[test]
fn a_newer_sender_is_understood() {
    let body =
        format!(r#"{{"account":"{ACCOUNT}","job":"{JOB}","job_type":"weekly","mood":{{"new":[1,2]}}}}"#);
    assert_eq!(decode_due(body.as_bytes()).unwrap().job_type, "weekly");
    let body = format!(
        r#"{{"account":"{ACCOUNT}","job":"{JOB}","number":1,"at":"2026-03-01T12:00:00Z","kind":"odd"}}"#
    );
    assert_eq!(decode_event(body.as_bytes()).unwrap().data, serde_json::Value::Null);
}

#[test]
fn bad_bodies_are_told_apart() {
    let changed_with = |account: &str, generation: &str, at: &str| {
        let body = format!(
            r#"{{"account":"{account}","gen":"{generation}","firstDetectedAt":"{at}","lastDetectedAt":"{at}"}}"#
        );
        decode_changed(body.as_bytes()).map_err(|error| error.code())
    };
    let (id, at) = (ACCOUNT.to_string(), "2026-03-01T12:00:00Z");
    assert!(changed_with(&id, "1", at).is_ok());
    assert_eq!(changed_with("seven", "1", at), Err("wire.bad_id"));
    assert_eq!(changed_with("", "1", at), Err("wire.missing"));
    assert_eq!(changed_with(&id, "0", at), Err("wire.bad_number"));
    assert_eq!(changed_with(&id, "many", at), Err("wire.bad_json"));
    assert_eq!(changed_with(&id, "1", "noon"), Err("wire.bad_time"));
    assert_eq!(decode_due(b"\xff\xfe").unwrap_err().code(), "wire.bad_json");
    assert_eq!(decode_due(b"{\"account\":").unwrap_err().code(), "wire.bad_json");
    assert_eq!(decode_due(&vec![b' '; MAX_MESSAGE_BYTES + 1]).unwrap_err().code(), "wire.too_big");
    let mut event = event();
    event.data = serde_json::Value::String("x".repeat(MAX_MESSAGE_BYTES));
    assert_eq!(encode_event(&event).unwrap_err().code(), "wire.too_big");
    let crowd = Changed { users: vec![String::new(); MAX_USERS + 1], ..changed() };
    assert_eq!(encode_changed(&crowd, &[]).unwrap_err().code(), "wire.too_many_users");
    let half = Changed { users: vec![String::new(); MAX_USERS / 2], ..changed() };
    assert!(encode_changed(&half, std::slice::from_ref(&half)).is_ok());
    let crowd = encode_changed(&half, &[half.clone(), other()]);
    assert_eq!(crowd.unwrap_err().code(), "wire.too_many_users");
    let bad_data = format!(
        r#"{{"account":"{ACCOUNT}","job":"{JOB}","number":"1","at":"{at}","kind":"odd","dataJson":"{{"}}"#
    );
    assert_eq!(decode_event(bad_data.as_bytes()).unwrap_err().code(), "wire.bad_data");
}

#[test]
fn subjects_are_built_and_read() {
    let subjects = Subjects::new("test.a1").unwrap();
    assert_eq!(subjects.changed(ACCOUNT), format!("test.a1.tandem.v1.changed.{ACCOUNT}"));
    assert_eq!(subjects.parse(&subjects.changed_several()), Some(Subject::ChangedSeveral));
    let due = subjects.due("auto", ACCOUNT).unwrap();
    assert_eq!(subjects.parse(&due), Some(Subject::Due { job_type: "auto".to_owned(), account: ACCOUNT }));
    let event = subjects.event(ACCOUNT, JOB);
    assert_eq!(subjects.parse(&event), Some(Subject::Event { account: ACCOUNT, job: JOB }));
    assert_eq!(Subjects::new("").unwrap().parse(&event), None);
    assert_eq!(subjects.parse("test.a1.tandem.v1.changed.seven"), None);
    assert!(matches!(subjects.due("weekly.>", ACCOUNT), Err(SubjectsError::BadJobType { .. })));
    for bad in [".", "a.", "A", "a b", "a.*", "a_b", ">", "ä"] {
        assert!(Subjects::new(bad).is_err(), "{bad}");
    }
}

#[test]
fn the_documented_examples_are_real() -> Result<(), Box<dyn std::error::Error>> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/events.md"))?;
    let mut examples =
        text.split("```json").skip(1).filter_map(|rest| rest.split("```").next()).map(str::as_bytes);
    let mut next = || examples.next().ok_or("an example is missing");
    let changed = decode_changed(next()?)?;
    assert_eq!((changed[0].generation, changed[0].users.len()), (42, 2));
    let several = decode_changed(next()?)?;
    assert!(several.len() == 2 && several[1].traceparent.is_some());
    assert_eq!(decode_due(next()?)?.job_type, "auto");
    assert_eq!(decode_event(next()?)?.kind, "step.confirmed");
    let subjects = Subjects::new("")?;
    for stream in settings::all_streams(&subjects, 1) {
        assert!(text.contains(&format!("`{}`", stream.name)), "{} is documented", stream.name);
    }
    for consumer in settings::all_consumers(&subjects) {
        assert!(text.contains(&format!("`{}`", consumer.name)), "{} is documented", consumer.name);
        assert!(text.contains(&format!("`{}`", consumer.filter_subject)), "{}", consumer.filter_subject);
    }
    Ok(())
}

#[test]
fn header_names_have_no_case() {
    let mut headers = Headers::from_iter([("CE-Type", "a")]);
    headers.insert("ce-TYPE", "b");
    assert_eq!((headers.get("Ce-Type"), headers.iter().count()), (Some("b"), 1));
}

proptest! {
    #[test]
    fn any_message_survives_the_wire(
        generation in 1..=i64::MAX,
        users in prop::collection::vec(any::<String>(), 0..20),
        micros in 0..4_000_000_000_000_000_i64,
    ) {
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000).unwrap();
        let sent = Changed { generation, users, first_detected_at: at, last_detected_at: at, ..changed() };
        prop_assert_eq!(decode_changed(&encode_changed(&sent, &[]).unwrap()).unwrap(), [sent]);
    }

    #[test]
    fn no_body_makes_the_reader_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = (decode_changed(&body), decode_due(&body), decode_event(&body));
    }
}
