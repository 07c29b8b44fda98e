//! Settings of the role.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use tandem_domain::reminder::Calendar;
use tandem_domain::roles::Role;
use tandem_domain::window::Timing;
use tandem_letters::Office;
use time::Duration;
use url::Url;

use crate::embed::EmbedSettings;

/// Where the portal listens, and how it is seen from outside.
#[derive(Clone, Debug)]
pub struct PortalSettings {
    /// The address listened on; TLS ends in front of it.
    pub listen: SocketAddr,
    /// Where people see it, without a path; `https` but on a loopback.
    pub base: Url,
    /// What claims of the provider's issuer mean.
    pub claims: ClaimRules,
    /// Windows of accounts.
    pub windows: Windows,
    /// The page for the PBX's own pages; none where they show none.
    pub embed: Option<EmbedSettings>,
    /// How mail is written; none where no mail is sent.
    pub mail: Option<Mailing>,
}

/// How mail is written, for previews of it.
#[derive(Clone, Debug)]
pub struct Mailing {
    /// Who writes.
    pub office: Office,
    /// Time zone and hour of accounts that set none.
    pub calendar: Calendar,
}

/// What the whole installation says about windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Of accounts that set none.
    pub usual: Timing,
    /// The longest wait that an account may set: beyond it the promise of ten minutes could not be kept.
    pub longest: Duration,
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
