//! What a fault wants of the things that a request makes.

use serde_json::Value;
use uuid::Uuid;

use super::actions::{IdTokenChange, KeysMode};
use crate::login::errors::LoginError;

/// Of the operation that a request starts.
#[derive(Clone, Debug, Default)]
pub(crate) struct OperationChange {
    pub(crate) latency_ms: Option<u64>,
    pub(crate) stuck: bool,
    pub(crate) status: Option<String>,
    pub(crate) detail: Option<String>,
    pub(crate) licence_removed: bool,
}

/// Of an access token.
#[derive(Clone, Debug, Default)]
pub(crate) struct TokenChange {
    pub(crate) tid: Option<Uuid>,
    pub(crate) without_roles: bool,
    pub(crate) lifetime_seconds: Option<i64>,
    pub(crate) claims: Option<Value>,
}

/// Of an admin consent.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConsentChange {
    pub(crate) tenant: Option<Uuid>,
    pub(crate) without_roles: Vec<String>,
    pub(crate) permissions_ms: Option<u64>,
}

/// Of a login request.
#[derive(Clone, Debug, Default)]
pub(crate) struct LoginChange {
    pub(crate) error: Option<LoginError>,
    pub(crate) access: TokenChange,
    pub(crate) id: IdTokenChange,
    pub(crate) keys: Option<(KeysMode, usize)>,
    pub(crate) consent: ConsentChange,
}
