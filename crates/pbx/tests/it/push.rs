//! Pushed messages, good and bad: signature, wrapping and content.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tandem_pbx::push::{
    MAX_BULK_USERS, PushError, PushSecret, check_media, parse_account, parse_bulk, parse_user, parse_user_id,
    sign, too_large, verify, webhook_id_reused,
};
use time::OffsetDateTime;

fn secret(fill: u8) -> PushSecret {
    let text = format!("whsec_{}", STANDARD.encode([fill; 32]));
    PushSecret::parse(&text).expect("a good secret")
}

fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).expect("a time")
}

const NOW: i64 = 1_780_000_000;
const BODY: &[u8] = br#"{"display_name": "Ana Costa"}"#;

fn check(headers: &[(&str, &str)], body: &[u8], secrets: &[PushSecret]) -> Result<String, &'static str> {
    let headers: Vec<(&str, &[u8])> = headers.iter().map(|(n, v)| (*n, v.as_bytes())).collect();
    verify(&headers, body, secrets, at(NOW)).map(|v| v.webhook_id).map_err(|e| {
        assert_eq!(e.status, 401, "{e}");
        e.code
    })
}

fn signed(id: &str, time: &str, body: &[u8], secret: &PushSecret) -> String {
    // `sign` takes a time; odd timestamps are signed through the id, since the signed text is id.time.body
    let joined = format!("{id}.{time}");
    let (id, time) = joined.rsplit_once('.').expect("a dot");
    match time.parse::<i64>() {
        Ok(seconds)
            if seconds.to_string() == time && OffsetDateTime::from_unix_timestamp(seconds).is_ok() =>
        {
            sign(id, at(seconds), body, secret)
        }
        _ => sign(id, at(NOW), body, secret),
    }
}

#[test]
fn a_signed_message_is_known_by_any_current_secret() {
    let (old, new) = (secret(1), secret(2));
    let now = NOW.to_string();
    for secret in [&old, &new] {
        let signature = signed("msg_1", &now, BODY, secret);
        let list = format!("v1a,AAAA v9,x {signature}");
        let headers = [("Webhook-Id", "msg_1"), ("webhook-timestamp", &now), ("webhook-signature", &list)];
        assert_eq!(check(&headers, BODY, &[old.clone(), new.clone()]), Ok("msg_1".to_owned()));
    }
    // the example of the specification's reference libraries
    let known = PushSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let signature =
        sign("msg_p5jXN8AQM9LWM0D4loKWxJek", at(1_614_265_330), br#"{"test": 2432232314}"#, &known);
    assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    assert_eq!(format!("{known:?}"), "PushSecret([redacted])");
}

#[test]
fn the_digest_tells_a_repeated_message_from_another_one() {
    let key = secret(1);
    let now = NOW.to_string();
    let digest = |body: &[u8]| {
        let signature = signed("m", &now, body, &key);
        let headers: [(&str, &[u8]); 3] = [
            ("webhook-id", b"m"),
            ("webhook-timestamp", now.as_bytes()),
            ("webhook-signature", signature.as_bytes()),
        ];
        verify(&headers, body, std::slice::from_ref(&key), at(NOW)).unwrap().body_sha256
    };
    assert_eq!(digest(BODY), digest(BODY));
    assert_ne!(digest(BODY), digest(b"{}"));
    assert_eq!((webhook_id_reused().status, too_large(1).status), (409, 413));
}

#[test]
fn bad_signatures_and_headers_are_refused() {
    let key = secret(1);
    let now = NOW.to_string();
    let good = signed("msg_1", &now, BODY, &key);
    let with = |id: &str, time: &str, signature: &str| {
        check(
            &[("webhook-id", id), ("webhook-timestamp", time), ("webhook-signature", signature)],
            BODY,
            std::slice::from_ref(&key),
        )
    };
    assert_eq!(with("msg_1", &now, &good), Ok("msg_1".to_owned()));
    let hundred = vec!["v1,AAAA"; 99].join(" ") + " " + &good;
    for (signature, code) in [
        ("", "no_signature"),
        (" ", "no_v1_signature"),
        ("v1a,AAAA", "no_v1_signature"),
        ("v9,AAAA", "no_v1_signature"),
        ("v1,", "bad_signature"),
        ("v1,not base64!", "bad_signature"),
        (&good[..good.len() - 4], "bad_signature"),
        (&good.replace("v1,", "v1a,"), "no_v1_signature"),
        (&signed("msg_1", &now, BODY, &secret(9)), "bad_signature"),
        (&signed("msg_1", &now, br#"{"display_name":"Ana Costa"}"#, &key), "bad_signature"),
        (&signed("msg_2", &now, BODY, &key), "bad_signature"),
        (&hundred, "too_many_signatures"),
    ] {
        assert_eq!(with("msg_1", &now, signature), Err(code), "{signature}");
    }
    for id in ["a.b", "a b", "é", "a\tb", &"x".repeat(257)] {
        assert_eq!(with(id, &now, &signed(id, &now, BODY, &key)), Err("bad_webhook_id"), "{id}");
    }
    for time in
        ["0", "-5", "+5", "1e9", "1780000000.0", " 1780000000", "9223372036854775808", "0x10", "017", "１７"]
    {
        assert_eq!(with("msg_1", time, &signed("msg_1", time, BODY, &key)), Err("bad_timestamp"), "{time}");
    }
    for (offset, expected) in [(-300, true), (300, true), (-301, false), (301, false), (-86_400, false)] {
        let time = (NOW + offset).to_string();
        let expected = if expected { Ok("msg_1".to_owned()) } else { Err("stale_timestamp") };
        assert_eq!(with("msg_1", &time, &signed("msg_1", &time, BODY, &key)), expected, "{offset}");
    }
    let headers =
        [("webhook-id", "msg_1"), ("webhook-timestamp", now.as_str()), ("webhook-signature", good.as_str())];
    for (name, missing) in [
        ("webhook-id", "no_webhook_id"),
        ("webhook-timestamp", "no_timestamp"),
        ("webhook-signature", "no_signature"),
    ] {
        let without: Vec<_> = headers.iter().copied().filter(|(n, _)| *n != name).collect();
        assert_eq!(check(&without, BODY, std::slice::from_ref(&key)), Err(missing));
        let twice: Vec<_> =
            headers.iter().copied().chain(headers.iter().copied().filter(|(n, _)| *n == name)).collect();
        assert_eq!(check(&twice, BODY, std::slice::from_ref(&key)), Err("header_twice"));
    }
    assert_eq!(check(&headers, BODY, &[]), Err("bad_signature"));
    for bad in ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAAA", "whsec_!!"] {
        assert_eq!(PushSecret::parse(bad).unwrap_err().code, "bad_secret");
    }
}

#[test]
fn only_plain_json_in_utf8_is_taken() {
    let media = |headers: &[(&str, &[u8])]| check_media(headers).map_err(|e| (e.status, e.code));
    for good in ["application/json", "Application/JSON; charset=UTF-8", "application/json;charset=\"utf-8\""]
    {
        assert_eq!(media(&[("Content-Type", good.as_bytes())]), Ok(()), "{good}");
    }
    assert_eq!(media(&[]), Err((415, "no_content_type")));
    for (bad, code) in [
        ("text/plain", "bad_content_type"),
        ("application/jsonx", "bad_content_type"),
        ("application/json; charset=utf-16", "bad_charset"),
    ] {
        assert_eq!(media(&[("content-type", bad.as_bytes())]), Err((415, code)), "{bad}");
    }
    for encoding in ["gzip", "br", "identity, gzip"] {
        let headers: [(&str, &[u8]); 2] =
            [("content-type", b"application/json"), ("content-encoding", encoding.as_bytes())];
        assert_eq!(media(&headers), Err((415, "bad_encoding")), "{encoding}");
    }
}

fn user(body: &str) -> Result<tandem_domain::Profile, (u16, &'static str)> {
    parse_user(body.as_bytes()).map_err(|e| (e.status, e.code))
}

#[test]
fn a_profile_replaces_the_stored_one_as_a_whole() {
    let full = user(
        r#"{"display_name":" Ana ","email":"ANA@Example.com","did_numbers":["+12125550102","+12125550101","+12125550101"],
            "extension":"1001","voicemail_enabled":true,"voicemail_email":null,"forward_all":"","dnd":false,
            "follow_me":["1002","1001"],"enabled":false,"login_name":"ana"}"#,
    )
    .unwrap();
    assert_eq!(full.did_numbers, ["+12125550101", "+12125550102"]);
    assert_eq!((full.display_name.as_deref(), full.email.as_deref()), (Some("Ana"), Some("ana@example.com")));
    assert_eq!((full.forward_all, full.enabled), (None, false));
    assert_eq!(full.follow_me.unwrap(), ["1002", "1001"]);
    let bare = user("{}").unwrap();
    assert!(bare.enabled && bare.did_numbers.is_empty() && bare.follow_me.is_none());
}

#[test]
fn b9_b33_bad_json_and_names_too_long_are_refused_by_their_kind() {
    let deep = "[".repeat(10_000);
    let deep_member = format!("{{\"follow_me\":{deep}");
    let long = format!("{{\"display_name\":\"{}\"}}", "x".repeat(401));
    let huge = format!("{{\"display_name\":\"{}\"}}", "x".repeat(64 * 1024));
    let many = format!("{{\"follow_me\":[{}\"1\"]}}", "\"1\",".repeat(100));
    for (body, status, code) in [
        ("", 400, "empty_body"),
        (" \n", 400, "empty_body"),
        ("\u{feff}{}", 400, "byte_order_mark"),
        ("{", 400, "bad_json"),
        ("{} {}", 400, "bad_json"),
        ("{},", 400, "bad_json"),
        ("{\"dnd\":NaN}", 400, "bad_json"),
        ("{\"extension\":1e400}", 400, "bad_json"),
        ("{\"display_name\":\"\\ud800\"}", 400, "bad_json"),
        ("{'dnd':true}", 400, "bad_json"),
        (&deep, 422, "wrong_type"),
        (&deep_member, 422, "wrong_type"),
        ("{\"dnd\":true,\"dnd\":true}", 400, "duplicate_member"),
        ("{\"dnd\":true,\"d\\u006ed\":true}", 400, "duplicate_member"),
        ("{\"role\":\"admin\"}", 422, "unknown_field"),
        ("{\"account_id\":1}", 422, "unknown_field"),
        ("{\"tid\":null}", 422, "unknown_field"),
        ("{\"DND\":true}", 422, "unknown_field"),
        ("[]", 422, "wrong_type"),
        ("[\"Ana\"]", 422, "wrong_type"),
        ("null", 422, "wrong_type"),
        ("\"x\"", 422, "wrong_type"),
        ("{\"dnd\":\"true\"}", 422, "wrong_type"),
        ("{\"dnd\":null}", 422, "wrong_type"),
        ("{\"dnd\":1}", 422, "wrong_type"),
        ("{\"extension\":1001}", 422, "wrong_type"),
        ("{\"did_numbers\":\"+12125550101\"}", 422, "wrong_type"),
        ("{\"did_numbers\":[null]}", 422, "wrong_type"),
        ("{\"display_name\":\"a\\u0000b\"}", 422, "control_character"),
        ("{\"display_name\":\"a\\r\\nb\"}", 422, "control_character"),
        (&long, 422, "text_too_long"),
        (&huge, 413, "body_too_large"),
        (&many, 422, "list_too_long"),
    ] {
        let shown: String = body.chars().take(60).collect();
        assert_eq!(user(body), Err((status, code)), "{shown}");
    }
    assert_eq!(parse_user(b"{\"display_name\":\"\xff\"}").unwrap_err().code, "bad_json");
    let unknown = parse_user(br#"{"role":"admin"}"#).unwrap_err();
    assert!(unknown.message.contains("`role`"), "{unknown}");
}

#[test]
fn p19_numbers_must_be_e164() {
    for (number, code) in [
        ("12125550101", "number_no_plus"),
        ("(212) 555-0101", "number_no_plus"),
        ("911", "number_no_plus"),
        ("", "number_no_plus"),
        ("+112", "number_length"),
        ("+1234567890123456", "number_length"),
        ("+0123456789", "number_length"),
        ("+1212555O101", "number_not_digits"),
        ("+1 212 555 0101", "number_not_digits"),
        ("+１２１２５５５０１０１", "number_not_digits"),
        ("+12125550101\u{200f}", "number_not_digits"),
        ("+12125550101;ext=1001", "number_extension"),
        ("+12125550101;ext=x", "number_extension"),
        ("+19005550101", "number_premium"),
        ("+449098790101", "number_premium"),
    ] {
        let body = format!(
            r#"{{"users":[{{"id":"a","profile":{{}}}},{{"id":"b","profile":{{"did_numbers":["+12125550101","{number}"]}}}}]}}"#
        );
        let error = parse_bulk(body.as_bytes()).unwrap_err();
        assert_eq!((error.code, error.status, error.item), (code, 422, Some(1)), "{number}");
    }
}

fn bulk(body: &str) -> Result<usize, (u16, &'static str, Option<usize>)> {
    parse_bulk(body.as_bytes())
        .map(|users| users.len())
        .map_err(|PushError { code, status, item, .. }| (status, code, item))
}

#[test]
fn a_bulk_is_taken_whole_or_not_at_all() {
    let of = |n: usize| {
        let users: Vec<String> =
            (0..n).map(|i| format!(r#"{{"id":"u{i}","profile":{{"extension":"{i}"}}}}"#)).collect();
        format!(r#"{{"users":[{}]}}"#, users.join(","))
    };
    assert_eq!(bulk(&of(MAX_BULK_USERS)), Ok(MAX_BULK_USERS));
    assert_eq!(bulk(&of(MAX_BULK_USERS + 1)), Err((413, "too_many_users", None)));
    // the same number for two users is for the planner to settle, a swap is two users
    let swap = r#"{"users":[{"id":"a","profile":{"did_numbers":["+12125550101"]}},{"profile":{"did_numbers":["+12125550101"]},"id":"b"}]}"#;
    assert_eq!(bulk(swap), Ok(2));
    for (body, status, code, item) in [
        (r#"{"users":[]}"#, 422, "empty_bulk", None),
        ("{}", 422, "missing_field", None),
        ("[]", 422, "bulk_not_object", None),
        (r#"[{"id":"a","profile":{}}]"#, 422, "bulk_not_object", None),
        (r#"{"users":[{"id":"a","profile":{}}],"users":[]}"#, 400, "duplicate_member", None),
        (r#"{"users":[{"id":"a","profile":{}}],"tid":"x"}"#, 422, "unknown_field", None),
        (r#"{"users":[{"id":"a","profile":{}},{"id":"a","profile":{}}]}"#, 422, "duplicate_user", Some(1)),
        (r#"{"users":[{"id":"a","profile":{}},{"id":"b"}]}"#, 422, "missing_field", Some(1)),
        (r#"{"users":[{"id":"","profile":{}}]}"#, 422, "bad_user_id", Some(0)),
        (r#"{"users":[{"id":null,"profile":{}}]}"#, 422, "bad_user_id", Some(0)),
        (r#"{"users":[{"id":" a","profile":{}}]}"#, 422, "bad_user_id", Some(0)),
        (r#"{"users":[{"id":1,"profile":{}}]}"#, 422, "wrong_type", Some(0)),
        (r#"{"users":[{"id":"a","profile":{}},null]}"#, 422, "wrong_type", Some(1)),
        (r#"{"users":[{"id":"a","profile":{"role":1}}]}"#, 422, "unknown_field", Some(0)),
        (r#"{"users":[{"id":"a","profile":{}}]} x"#, 400, "bad_json", None),
    ] {
        assert_eq!(bulk(body), Err((status, code, item)), "{body}");
    }
    assert_eq!(bulk(&" ".repeat(8 * 1024 * 1024 + 1)), Err((413, "body_too_large", None)));
}

#[test]
fn path_segments_have_one_spelling() {
    assert!(parse_account("0190b3f0-0000-7000-8000-000000000001").is_ok());
    for bad in [
        "",
        "0190B3F0-0000-7000-8000-00000000000A",
        "0190b3f0000070008000000000000001",
        "{0190b3f0-0000-7000-8000-000000000001}",
        "00000000-0000-0000-0000-000000000000",
        "' OR 1=1",
        "../x",
    ] {
        assert_eq!(parse_account(bad).map_err(|e| (e.status, e.code)), Err((404, "bad_account")), "{bad}");
    }
    assert!(parse_user_id("ana@example.com").is_ok());
    for bad in ["", " ", "a\0", "a\r\nb", "a ", &"x".repeat(201)] {
        assert_eq!(parse_user_id(bad).unwrap_err().code, "bad_user_id", "{bad:?}");
    }
}
