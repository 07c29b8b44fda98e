//! Settings of the role.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use tandem_domain::roles::Role;
use url::Url;

/// Where the portal listens, and how it is seen from outside.
#[derive(Clone, Debug)]
pub struct PortalSettings {
    /// The address listened on; TLS ends in front of it.
    pub listen: SocketAddr,
    /// Where people see it, without a path; `https` but on a loopback.
    pub base: Url,
    /// What claims of the provider's issuer mean.
    pub claims: ClaimRules,
}

/// What claims of the provider's issuer mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimRules {
    /// The claim that names roles: a text or a list of texts.
    pub role: String,
    /// The claim that names accounts, by their short names.
    pub account: String,
    /// Which text is which role; any other text is none.
    pub roles: BTreeMap<String, Role>,
}
