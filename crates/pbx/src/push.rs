//! The pure half of the push endpoint: who signed a message, and what it says.
//!
//! Signatures follow the Standard Webhooks specification 1.0, symmetric scheme `v1`. A body is taken whole or not at
//! all, and whatever is not known is refused by its name: a sender that believes it set something must not be wrong.
//! Every refusal has a stable code, a status and says what to do next; `docs/sources.md` lists them.

mod body;
mod json;
mod verify;

use tandem_domain::{AccountId, PbxUserId};
use uuid::Uuid;

pub use body::{parse_bulk, parse_user};
pub use verify::{PushSecret, Verified, check_media, sign, verify};

/// Longest body that carries one user.
pub const MAX_USER_BYTES: usize = 64 * 1024;
/// Longest body that carries many.
pub const MAX_BULK_BYTES: usize = 8 * 1024 * 1024;
/// Most users of one bulk.
pub const MAX_BULK_USERS: usize = 10_000;
/// Seconds that the clocks of sender and receiver may differ, with the way between them.
pub const TOLERANCE: i64 = 300;
/// Most signatures of one message.
pub const MAX_SIGNATURES: usize = 10;

/// Why a message is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct PushError {
    /// Stable name of the kind of refusal.
    pub code: &'static str,
    /// HTTP status that goes with it.
    pub status: u16,
    /// What is wrong and what to do next. It never repeats a secret.
    pub message: String,
    /// Which user of a bulk it is about, from 0.
    pub item: Option<usize>,
}

impl PushError {
    fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { code, status, message: message.into(), item: None }
    }

    fn unsigned(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(401, code, message)
    }

    fn bad(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(400, code, message)
    }

    fn unusable(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(422, code, message)
    }
}

/// The body is longer than `limit` bytes; for whoever reads it from the network.
#[must_use]
pub fn too_large(limit: usize) -> PushError {
    PushError::new(
        413,
        "body_too_large",
        format!("the body has more than {limit} bytes; send fewer users at a time"),
    )
}

/// A `webhook-id` came again with another body; for whoever remembers them.
#[must_use]
pub fn webhook_id_reused() -> PushError {
    let message = "this webhook-id was used for another body; use a new id for each message and repeat it only to retry";
    PushError::new(409, "webhook_id_reused", message)
}

/// Reads the account out of a path: the lower-case form with hyphens and no other, so that one account has one address.
///
/// # Errors
/// `bad_account` with status 404: an address that cannot exist does not.
pub fn parse_account(text: &str) -> Result<AccountId, PushError> {
    let id = Uuid::try_parse(text).ok().filter(|id| id.hyphenated().to_string() == text && !id.is_nil());
    let message =
        "the account in the address is not a uuid in lower case; copy it from `tandem accounts list`";
    id.map(AccountId).ok_or_else(|| PushError::new(404, "bad_account", message))
}

/// Reads the key of a PBX user out of a path segment after percent-decoding, or out of a bulk.
///
/// # Errors
/// `bad_user_id` when it is empty, too long, has blanks around it or holds control characters.
pub fn parse_user_id(text: &str) -> Result<PbxUserId, PushError> {
    let fine = !text.is_empty()
        && text.len() <= PbxUserId::MAX_BYTES
        && text.trim() == text
        && !text.chars().any(char::is_control);
    if fine {
        return Ok(PbxUserId(text.to_owned()));
    }
    let message = format!(
        "the id of a user is 1 to {} bytes without control characters and without blanks around it",
        PbxUserId::MAX_BYTES
    );
    Err(PushError::unusable("bad_user_id", message))
}
