//! Identifiers. Each is a newtype, so that an account can never be passed where a tenant is meant.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A counter per account, raised under a lock on its row by every change, hence in commit order. 0 = no change yet.
pub type Gen = i64;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl From<Uuid> for $name {
            fn from(value: Uuid) -> Self {
                Self(value)
            }
        }
    };
}

uuid_id! {
    /// A customer of the provider: one PBX domain, at most one tenant.
    AccountId
}
uuid_id! {
    /// A customer's Microsoft 365 directory, the `tid` claim of its tokens.
    TenantId
}
uuid_id! {
    /// A Microsoft user, the `oid` claim and the `id` of the Graph `user` resource.
    ObjectId
}
uuid_id! {
    /// A sync job.
    JobId
}

/// A PBX user, by the stable key that its source gives it (a uuid at FusionPBX, the extension number at FreePBX).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PbxUserId(pub String);

impl PbxUserId {
    /// Longest accepted key in bytes; longer ones are refused where they enter.
    pub const MAX_BYTES: usize = 200;

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PbxUserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PbxUserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PbxUserId({})", self.0)
    }
}

impl From<&str> for PbxUserId {
    fn from(value: &str) -> Self {
        Self(value.to_owned())
    }
}
