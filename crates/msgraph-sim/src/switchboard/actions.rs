//! What a fault does to the request that it hits.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::graph::captured::Captured;

/// Before or after the request had its effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum When {
    /// The request has no effect.
    #[default]
    Before,
    /// The request has its effect, the caller does not learn of it.
    After,
}

/// What is done to the links between pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LinkMode {
    /// The link leads to the same page again.
    Loop,
    /// The link leads to another host.
    Foreign,
    /// The page is empty, the link leads to its content.
    Empty,
    /// The link leads to the same page once more, and from there on.
    Repeat,
}

/// What is done to the answer of the keys endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum KeysMode {
    /// No key.
    Empty,
    /// The keys among thousands of others.
    Huge,
    /// One key that signs nothing, in place of the real ones.
    Other,
}

/// Who signs an ID token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Signature {
    /// The key that should.
    #[default]
    Good,
    /// Nobody: `alg` is `none`.
    None,
    /// HS256, with the PEM of the published public key as secret.
    PublicKey,
    /// A key that is published nowhere.
    Stranger,
    /// The published key of personal accounts.
    Consumer,
}

/// What a fault wants of an ID token.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct IdTokenChange {
    /// Merged into the claims (RFC 7396).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claims: Option<Value>,
    /// Merged into the header, after everything else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<Value>,
    /// Seconds added to `exp`, `nbf`, `iat` or `auth_time`.
    pub shift: BTreeMap<String, i64>,
    /// Who signs.
    pub sign: Signature,
    /// The public key of whoever signs stands in the header, as `jwk`.
    pub embed_key: bool,
    /// ID token and access token change places.
    pub swap: bool,
}

/// What goes wrong.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Action {
    /// Answers with this status; the usual error body if none is given (a text is sent as it is).
    Respond {
        /// HTTP status.
        status: u16,
        /// JSON document, or text.
        #[serde(default)]
        body: Option<Value>,
        /// Further headers.
        #[serde(default)]
        headers: BTreeMap<String, String>,
        /// Effect or not.
        #[serde(default)]
        when: When,
    },
    /// Answers with an error body that Graph was seen to send.
    Captured {
        /// Which.
        name: Captured,
        /// Further headers.
        #[serde(default)]
        headers: BTreeMap<String, String>,
        /// Effect or not.
        #[serde(default)]
        when: When,
    },
    /// The undisturbed answer with further headers.
    Headers {
        /// Name and value.
        headers: BTreeMap<String, String>,
    },
    /// 429 (or another status) with `Retry-After` exactly as given, or without it.
    Throttle {
        /// Header value.
        #[serde(default)]
        retry_after: Option<String>,
        /// HTTP status.
        #[serde(default = "too_many")]
        status: u16,
        /// `x-ms-throttle-scope`; a value that starts with `Application/` makes the caller wait in every tenant.
        #[serde(default)]
        scope: Option<String>,
        /// `x-ms-throttle-information`.
        #[serde(default)]
        information: Option<String>,
        /// `x-ms-throttle-limit-percentage`.
        #[serde(default)]
        limit_percentage: Option<String>,
    },
    /// Closes the connection without an answer.
    Drop {
        /// Effect or not.
        #[serde(default)]
        when: When,
    },
    /// Never answers.
    Hang {
        /// Effect or not.
        #[serde(default)]
        when: When,
    },
    /// Sends status, headers and the first bytes of the content, then nothing, ever.
    Stall {
        /// So many bytes; half of the content if left out.
        #[serde(default)]
        after_bytes: Option<usize>,
    },
    /// Sends the content in small portions.
    Drip {
        /// Bytes of a portion.
        #[serde(default = "one")]
        bytes: usize,
        /// Time between two portions.
        #[serde(default = "a_second")]
        every_ms: u64,
    },
    /// A small compressed content that becomes a large one: white space, and `{}` at its end.
    GzipBomb {
        /// Size of the content once it is decompressed.
        #[serde(default = "a_gibibyte")]
        mebibytes: u64,
    },
    /// The undisturbed content under another media type.
    ContentType {
        /// `Content-Type`.
        value: String,
    },
    /// The effect comes late, also when the caller has gone. With `answerStatus` the caller gets that error at
    /// once while the effect is still on its way.
    DelayEffect {
        /// Delay.
        ms: u64,
        /// Error to answer at once.
        #[serde(default)]
        answer_status: Option<u16>,
    },
    /// The answer comes late.
    DelayReply {
        /// Delay.
        ms: u64,
    },
    /// Half of the content.
    Truncate,
    /// An HTML page, as a proxy would send it.
    Html {
        /// HTTP status.
        #[serde(default = "ok")]
        status: u16,
    },
    /// A broken `@odata.nextLink`.
    NextLink {
        /// How it is broken.
        mode: LinkMode,
        /// Host for `foreign`.
        #[serde(default)]
        host: Option<String>,
    },
    /// Another course of the operation that the request starts.
    Operation {
        /// Instead of the setting.
        #[serde(default)]
        latency_ms: Option<u64>,
        /// Never ends by itself.
        #[serde(default)]
        stuck: bool,
        /// Ends with this status; any text.
        #[serde(default)]
        status: Option<String>,
        /// `statusDetail`.
        #[serde(default)]
        detail: Option<String>,
        /// The user loses the phone licence while the operation runs.
        #[serde(default)]
        licence_removed: bool,
    },
    /// An AADSTS error of the token endpoint, or of a page that sends it back to the application.
    TokenError {
        /// AADSTS number.
        code: u32,
        /// `error`; the one that goes with the number if left out.
        #[serde(default)]
        error: Option<String>,
        /// Text after the number; the one that goes with it if left out.
        #[serde(default)]
        description: Option<String>,
        /// HTTP status; the one that goes with the number if left out.
        #[serde(default)]
        status: Option<u16>,
    },
    /// An access token that differs from what the grant says.
    Token {
        /// Another tenant in the claim `tid`.
        #[serde(default)]
        tid: Option<Uuid>,
        /// No `roles` claim.
        #[serde(default)]
        without_roles: bool,
        /// Another lifetime.
        #[serde(default)]
        lifetime_seconds: Option<i64>,
        /// Merged into the claims (RFC 7396).
        #[serde(default)]
        claims: Option<Value>,
    },
    /// An ID token that differs from what the sign-in says.
    IdToken(IdTokenChange),
    /// Another answer of the keys endpoint.
    Keys {
        /// Which.
        mode: KeysMode,
        /// Keys of `huge`.
        #[serde(default = "ten_thousand")]
        count: usize,
    },
    /// An admin consent that goes another way than the person thinks.
    Consent {
        /// Consent is given in this tenant, and the answer names it.
        #[serde(default)]
        tenant: Option<Uuid>,
        /// These application permissions are not given.
        #[serde(default)]
        without_roles: Vec<String>,
        /// Permissions show this late, instead of the setting.
        #[serde(default)]
        permissions_ms: Option<u64>,
    },
}

fn too_many() -> u16 {
    429
}

fn ok() -> u16 {
    200
}

fn one() -> usize {
    1
}

fn a_second() -> u64 {
    1000
}

fn a_gibibyte() -> u64 {
    1024
}

fn ten_thousand() -> usize {
    10_000
}
