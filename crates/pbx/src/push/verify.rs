//! Signatures after Standard Webhooks, and what a message may be wrapped in.

use std::fmt;

use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use time::OffsetDateTime;

use super::{MAX_SIGNATURES, PushError, TOLERANCE};

/// Longest accepted `webhook-id`.
const MAX_ID_BYTES: usize = 256;

/// A secret that a sender signs with.
#[derive(Clone)]
pub struct PushSecret {
    key: hmac::Key,
}

impl PushSecret {
    /// Reads `whsec_` and the base64 of 24 to 64 bytes (Standard Webhooks, "Signature scheme").
    ///
    /// # Errors
    /// `bad_secret`; this is for whoever configures it, not for a sender.
    pub fn parse(text: &str) -> Result<Self, PushError> {
        let bytes = text.strip_prefix("whsec_").and_then(|encoded| STANDARD.decode(encoded).ok());
        match bytes.filter(|bytes| (24..=64).contains(&bytes.len())) {
            Some(bytes) => Ok(Self { key: hmac::Key::new(hmac::HMAC_SHA256, &bytes) }),
            None => {
                let message = "a secret is whsec_ and the base64 of 24 to 64 random bytes";
                Err(PushError::new(500, "bad_secret", message))
            }
        }
    }
}

impl fmt::Debug for PushSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PushSecret([redacted])")
    }
}

/// A message whose signature is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Its id; the same id again is the same message.
    pub webhook_id: String,
    /// When the sender says it sent it.
    pub sent_at: OffsetDateTime,
    /// Digest of the body, to tell a repeated message from another one under the same id.
    pub body_sha256: [u8; 32],
}

/// Checks that one of `secrets` signed this message, lately.
///
/// `headers` must hold every header line, so that one sent twice is noticed. Several secrets are for the time in
/// which a secret is being replaced.
///
/// # Errors
/// Status 401 with a code for each way to be wrong; nothing of the body has been read then.
pub fn verify(
    headers: &[(&str, &[u8])],
    body: &[u8],
    secrets: &[PushSecret],
    now: OffsetDateTime,
) -> Result<Verified, PushError> {
    let webhook_id = single(headers, "webhook-id", "no_webhook_id")?;
    // a dot would make the signed text readable in two ways
    if webhook_id.is_empty()
        || webhook_id.len() > MAX_ID_BYTES
        || !webhook_id.bytes().all(|b| b.is_ascii_graphic() && b != b'.')
    {
        let message = format!("webhook-id is 1 to {MAX_ID_BYTES} visible ASCII characters without a dot");
        return Err(PushError::unsigned("bad_webhook_id", message));
    }
    let timestamp = single(headers, "webhook-timestamp", "no_timestamp")?;
    let sent_at = read_timestamp(timestamp)?;
    let signatures = single(headers, "webhook-signature", "no_signature")?;
    let given = read_signatures(signatures)?;

    let content = signed_content(webhook_id, timestamp, body);
    let known =
        secrets.iter().any(|secret| given.iter().any(|tag| hmac::verify(&secret.key, &content, tag).is_ok()));
    if !known {
        let message = "no signature matches; sign `id.timestamp.body` with this account's secret, over the exact bytes sent";
        return Err(PushError::unsigned("bad_signature", message));
    }
    if (now - sent_at).abs() > time::Duration::seconds(TOLERANCE) {
        let message = format!(
            "webhook-timestamp is more than {TOLERANCE} s away from our clock; set the clock and sign anew"
        );
        return Err(PushError::unsigned("stale_timestamp", message));
    }
    let mut body_sha256 = [0; 32];
    body_sha256.copy_from_slice(digest::digest(&digest::SHA256, body).as_ref());
    Ok(Verified { webhook_id: webhook_id.to_owned(), sent_at, body_sha256 })
}

/// The value of `webhook-signature` for a message.
#[must_use]
pub fn sign(webhook_id: &str, at: OffsetDateTime, body: &[u8], secret: &PushSecret) -> String {
    let content = signed_content(webhook_id, &at.unix_timestamp().to_string(), body);
    format!("v1,{}", STANDARD.encode(hmac::sign(&secret.key, &content)))
}

fn signed_content(webhook_id: &str, timestamp: &str, body: &[u8]) -> Vec<u8> {
    [webhook_id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat()
}

fn values<'h>(headers: &'h [(&str, &'h [u8])], name: &str) -> impl Iterator<Item = &'h [u8]> {
    headers.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
}

fn single<'h>(
    headers: &'h [(&str, &'h [u8])],
    name: &str,
    missing: &'static str,
) -> Result<&'h str, PushError> {
    let mut found = values(headers, name);
    let Some(value) = found.next().filter(|value| !value.is_empty()) else {
        return Err(PushError::unsigned(missing, format!("the header {name} is missing; send it once")));
    };
    if found.next().is_some() {
        return Err(PushError::unsigned(
            "header_twice",
            format!("the header {name} came twice; send it once"),
        ));
    }
    std::str::from_utf8(value)
        .map_err(|_| PushError::unsigned("bad_header", format!("the header {name} is not ASCII; correct it")))
}

fn read_timestamp(text: &str) -> Result<OffsetDateTime, PushError> {
    let digits =
        (1..=12).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    let seconds: Option<i64> = if digits { text.parse().ok() } else { None };
    seconds.and_then(|s| OffsetDateTime::from_unix_timestamp(s).ok()).ok_or_else(|| {
        PushError::unsigned("bad_timestamp", "webhook-timestamp is whole seconds since 1970, in digits only")
    })
}

fn read_signatures(text: &str) -> Result<Vec<Vec<u8>>, PushError> {
    let list: Vec<&str> = text.split(' ').filter(|part| !part.is_empty()).take(MAX_SIGNATURES + 1).collect();
    if list.len() > MAX_SIGNATURES {
        let message = format!("webhook-signature holds more than {MAX_SIGNATURES} signatures; send fewer");
        return Err(PushError::unsigned("too_many_signatures", message));
    }
    // other versions are skipped, as the specification says: a sender may sign in several ways at once
    let known: Vec<&str> = list.iter().filter_map(|part| part.strip_prefix("v1,")).collect();
    if known.is_empty() {
        let message =
            "webhook-signature holds no signature of version v1; write v1, and the base64 of the HMAC-SHA256";
        return Err(PushError::unsigned("no_v1_signature", message));
    }
    Ok(known.into_iter().filter_map(|encoded| STANDARD.decode(encoded).ok()).collect())
}

/// Checks what the body is wrapped in: JSON in UTF-8, not compressed.
///
/// # Errors
/// Status 415.
pub fn check_media(headers: &[(&str, &[u8])]) -> Result<(), PushError> {
    let refuse = |code, message: &str| Err(PushError::new(415, code, message));
    let mut types = values(headers, "content-type");
    let wanted = "send Content-Type: application/json";
    let text = match (types.next().map(std::str::from_utf8), types.next()) {
        (Some(Ok(text)), None) => text.to_ascii_lowercase(),
        (None, _) => return refuse("no_content_type", &format!("the content type is missing; {wanted}")),
        _ => return refuse("bad_content_type", &format!("the content type cannot be read; {wanted}")),
    };
    let mut parts = text.split(';').map(str::trim);
    if parts.next() != Some("application/json") {
        return refuse("bad_content_type", &format!("the content type is not JSON; {wanted}"));
    }
    for parameter in parts {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if name.trim() == "charset" && value.trim().trim_matches('"') != "utf-8" {
            return refuse("bad_charset", "JSON is UTF-8; send it so and leave the charset out");
        }
    }
    let mut encodings = values(headers, "content-encoding");
    if encodings
        .any(|value| !value.trim_ascii().eq_ignore_ascii_case(b"identity") && !value.trim_ascii().is_empty())
    {
        return refuse("bad_encoding", "compressed bodies are not taken; send the body as it is");
    }
    Ok(())
}
