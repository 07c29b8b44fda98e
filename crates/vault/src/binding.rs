//! What a sealed secret is for. It is not stored with the secret: whoever opens it must know.

use tandem_domain::{AccountId, ObjectId, TenantId};
use uuid::Uuid;

/// What kind of secret it is. The names are stable: tables and the binding of stored secrets use them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Client id, certificate and key of a customer's own app registration.
    AppCredential,
    /// The delegated access token of a signed-in Global Administrator, for one job.
    JobToken,
}

impl Kind {
    /// The stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AppCredential => "app_credential",
            Self::JobToken => "job_token",
        }
    }
}

/// For what a secret is sealed; it opens for nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    kind: Kind,
    account: AccountId,
    tenant: TenantId,
    person: Option<(Uuid, ObjectId)>,
}

impl Binding {
    /// The credential of an account's own app registration.
    #[must_use]
    pub fn app_credential(account: AccountId, tenant: TenantId) -> Self {
        Self { kind: Kind::AppCredential, account, tenant, person: None }
    }

    /// The token of the person `oid`, for the job that carries out `request`.
    #[must_use]
    pub fn job_token(account: AccountId, tenant: TenantId, request: Uuid, oid: ObjectId) -> Self {
        Self { kind: Kind::JobToken, account, tenant, person: Some((request, oid)) }
    }

    /// The kind of secret.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The associated data: fields in a fixed order, each of fixed length or behind its length, so that no two
    /// bindings have the same bytes.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let kind = self.kind.as_str().as_bytes();
        let mut bytes = Vec::with_capacity(kind.len() + 66);
        bytes.push(u8::try_from(kind.len()).unwrap_or_else(|_| unreachable!("names of kinds are short")));
        bytes.extend_from_slice(kind);
        bytes.extend_from_slice(self.account.0.as_bytes());
        bytes.extend_from_slice(self.tenant.0.as_bytes());
        match self.person {
            None => bytes.push(0),
            Some((request, oid)) => {
                bytes.push(1);
                bytes.extend_from_slice(request.as_bytes());
                bytes.extend_from_slice(oid.0.as_bytes());
            }
        }
        bytes
    }
}
