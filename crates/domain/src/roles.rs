//! The one table of who may do what: acts that routes and commands name, and fields of an account.
//!
//! Everything else follows from it: the portal builds its router from the acts, the tests walk it, and `docs/roles.md`
//! is written from it. Promised: what the table does not grant is refused, whoever asks. Not said here: whose account
//! it is (row-level security and the memberships decide that) and that an operator has given a reason for the look.

use serde::{Deserialize, Serialize};

use crate::job::text_enum;

text_enum! {
    /// What somebody is to one account. The names are stable: tables, claims and the API use them.
    Role {
        /// The Microsoft Global Administrator linked to the account.
        GlobalAdmin = "global_admin",
        /// Somebody of the same tenant whom the Global Administrator lets sync.
        SyncContributor = "sync_contributor",
        /// Edits mappings, perhaps of several accounts.
        AccountManager = "account_manager",
        /// Edits mappings of the own account.
        AccountAdmin = "account_admin",
        /// The provider's support engineer.
        Operator = "operator",
    }
}

impl Role {
    /// As people call it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::GlobalAdmin => "Global Admin",
            Self::SyncContributor => "Sync Contributor",
            Self::AccountManager => "Account Manager",
            Self::AccountAdmin => "Admin",
            Self::Operator => "Operator",
        }
    }
}

text_enum! {
    /// What a route or a command does. The names are stable: audit records and metrics use them.
    Act {
        /// See which accounts one has.
        ListAccounts = "list_accounts",
        /// Look into any account, with a reason, for a while.
        EnterAccount = "enter_account",
        /// See how an account is doing.
        SeeOverview = "see_overview",
        /// See the jobs of an account and what they did.
        SeeJobs = "see_jobs",
        /// See the users of an account and how each stands.
        SeeUsers = "see_users",
        /// Start a sync with the stored authorization (*Teams*).
        SyncStored = "sync_stored",
        /// Start a sync with a sign-in of one's own (*Manual Sync*).
        SyncSignedIn = "sync_signed_in",
        /// Save mappings.
        SaveMapping = "save_mapping",
        /// See the settings of an account.
        SeeSettings = "see_settings",
        /// Save windows and policy rules.
        SaveSettings = "save_settings",
        /// Switch Auto Sync on or off.
        SwitchAutoSync = "switch_auto_sync",
        /// Switch Next Gen Teams Sync on or off.
        SwitchNextGen = "switch_next_gen",
        /// Say who is a Sync Contributor.
        NameContributors = "name_contributors",
        /// Approve or reject removals that are held.
        DecideHeld = "decide_held",
        /// Undo a job.
        Undo = "undo",
        /// Run failed jobs again.
        Replay = "replay",
        /// Stop a job that is queued or runs.
        Cancel = "cancel",
        /// See which mail was sent and who gets it.
        SeeMail = "see_mail",
        /// Save who gets mail and when, and send a test mail.
        SaveMail = "save_mail",
        /// Pause an account.
        Pause = "pause",
        /// Make an account.
        CreateAccount = "create_account",
        /// See how an account is set up at the provider.
        SeeAdministration = "see_administration",
        /// Say which customer of which PBX source an account is.
        BindSource = "bind_source",
        /// Invite the Global Admin of an account.
        InviteAdmin = "invite_admin",
        /// Set how many integration licences an account has.
        SetLicences = "set_licences",
        /// Remove the integration of an account.
        RemoveIntegration = "remove_integration",
        /// Switch the PBX's *Enable Sync* on for troubleshooting.
        SwitchTroubleshooting = "switch_troubleshooting",
        /// See what the detector reads.
        SeeDetector = "see_detector",
        /// See how all accounts are doing, what fails in many of them, and look for jobs over all of them.
        SeeFleet = "see_fleet",
        /// Make and revoke bearer tokens of one's own.
        OwnTokens = "own_tokens",
        /// Take a support bundle of a job along.
        SupportBundle = "support_bundle",
        /// Run failed jobs of many accounts again, and abort that.
        BulkReplay = "bulk_replay",
    }
}

use Role::{AccountAdmin, AccountManager, GlobalAdmin, Operator, SyncContributor};

const EVERYBODY: &[Role] = Role::ALL;
const SYNC: &[Role] = &[GlobalAdmin, SyncContributor];
const MAPPING: &[Role] = &[AccountManager, AccountAdmin];
const DECIDE: &[Role] = &[GlobalAdmin, SyncContributor, Operator];
const GLOBAL_ADMIN: &[Role] = &[GlobalAdmin];
const SETTINGS: &[Role] = &[GlobalAdmin, Operator];
const MAIL: &[Role] = &[GlobalAdmin, AccountManager, AccountAdmin, Operator];
const OPERATOR: &[Role] = &[Operator];

impl Act {
    /// Who may do it; nobody else.
    #[must_use]
    pub fn roles(self) -> &'static [Role] {
        match self {
            Self::ListAccounts
            | Self::SeeOverview
            | Self::SeeJobs
            | Self::SeeUsers
            | Self::SeeSettings
            | Self::OwnTokens => EVERYBODY,
            Self::SaveSettings | Self::SaveMail | Self::SupportBundle => SETTINGS,
            Self::SeeMail => MAIL,
            Self::SyncStored => SYNC,
            Self::SaveMapping => MAPPING,
            Self::DecideHeld | Self::Undo | Self::Replay | Self::Cancel => DECIDE,
            Self::SyncSignedIn | Self::SwitchAutoSync | Self::SwitchNextGen | Self::NameContributors => {
                GLOBAL_ADMIN
            }
            Self::EnterAccount
            | Self::Pause
            | Self::CreateAccount
            | Self::SeeAdministration
            | Self::BindSource
            | Self::InviteAdmin
            | Self::SetLicences
            | Self::RemoveIntegration
            | Self::SwitchTroubleshooting
            | Self::SeeDetector
            | Self::SeeFleet
            | Self::BulkReplay => OPERATOR,
        }
    }

    /// Whether only the provider's own people do it: then each look is on record.
    #[must_use]
    pub fn of_operators(self) -> bool {
        self.roles() == OPERATOR
    }

    /// Whether somebody may do it who is an operator, or is none: for what concerns no single account.
    #[must_use]
    pub fn anywhere(self, operator: bool) -> bool {
        self.roles().iter().any(|role| (*role == Operator) == operator)
    }

    /// Why somebody else is refused, and whom to ask.
    #[must_use]
    pub fn refusal(self) -> &'static str {
        match self {
            Self::ListAccounts
            | Self::SeeOverview
            | Self::SeeJobs
            | Self::SeeUsers
            | Self::SeeSettings
            | Self::OwnTokens => "You have no role for this. Ask your provider for one.",
            Self::SyncStored => {
                "A sync changes your organisation's Microsoft 365, so only the Global Admin linked to the account, and \
                 Sync Contributors whom that Global Admin names, may start one. Ask one of them."
            }
            Self::SyncSignedIn => {
                "A Manual Sync works with the sign-in of the Global Admin linked to the account. Ask that person."
            }
            Self::SaveMapping => "Account Managers and Admins of the account save mappings. Ask one of them.",
            Self::SwitchAutoSync | Self::SwitchNextGen | Self::NameContributors => {
                "Only the Global Admin linked to the account may change this. Ask that person."
            }
            Self::SeeMail => {
                "The Global Admin, Account Managers and Admins of the account, and your provider see its mail. Ask one of them."
            }
            Self::SaveSettings | Self::SaveMail | Self::SupportBundle => {
                "Only the Global Admin linked to the account, or your provider, may change this. Ask one of them."
            }
            Self::DecideHeld | Self::Undo | Self::Replay | Self::Cancel => {
                "The Global Admin, a Sync Contributor or your provider decides this. Ask one of them."
            }
            Self::EnterAccount
            | Self::Pause
            | Self::CreateAccount
            | Self::SeeAdministration
            | Self::BindSource
            | Self::InviteAdmin
            | Self::SetLicences
            | Self::RemoveIntegration
            | Self::SwitchTroubleshooting
            | Self::SeeDetector
            | Self::SeeFleet
            | Self::BulkReplay => "Only your provider may do this. Ask your provider's support.",
        }
    }
}

text_enum! {
    /// What is shown or saved of an account, where not everybody sees or saves it.
    Field {
        /// Integration licences sold.
        Licences = "licences",
        /// Which PBX user is which Microsoft user.
        Mapping = "mapping",
        /// Auto Sync.
        AutoSync = "auto_sync",
        /// Pause with its reason.
        Pause = "pause",
        /// Who connected the tenant, and what Microsoft said about the authorization.
        AuthorizationDetail = "authorization_detail",
    }
}

impl Field {
    /// Who sees it.
    #[must_use]
    pub fn seen_by(self) -> &'static [Role] {
        match self {
            Self::Licences | Self::AutoSync | Self::Pause => EVERYBODY,
            Self::Mapping => &[GlobalAdmin, AccountManager, AccountAdmin, Operator],
            Self::AuthorizationDetail => &[GlobalAdmin, Operator],
        }
    }

    /// Who saves it.
    #[must_use]
    pub fn saved_by(self) -> &'static [Role] {
        match self {
            Self::Licences | Self::Pause => OPERATOR,
            Self::Mapping => MAPPING,
            Self::AutoSync => GLOBAL_ADMIN,
            // teams-sync alone finds it out
            Self::AuthorizationDetail => &[],
        }
    }
}

/// What one person is to one account: any number of roles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles(Vec<Role>);

impl Roles {
    /// These roles and no others.
    #[must_use]
    pub fn new(mut roles: Vec<Role>) -> Self {
        roles.sort_unstable();
        roles.dedup();
        Self(roles)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this is one of them.
    #[must_use]
    pub fn has(&self, role: Role) -> bool {
        self.0.contains(&role)
    }

    /// Whether one of them may do this.
    #[must_use]
    pub fn may(&self, act: Act) -> bool {
        self.any(act.roles())
    }

    /// Whether one of them sees this.
    #[must_use]
    pub fn sees(&self, field: Field) -> bool {
        self.any(field.seen_by())
    }

    /// Whether one of them saves this.
    #[must_use]
    pub fn saves(&self, field: Field) -> bool {
        self.any(field.saved_by())
    }

    /// All of them, as they are called.
    #[must_use]
    pub fn labels(&self) -> String {
        self.0.iter().map(|role| role.label()).collect::<Vec<_>>().join(", ")
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Role> + '_ {
        self.0.iter().copied()
    }

    fn any(&self, granted: &[Role]) -> bool {
        granted.iter().any(|role| self.has(*role))
    }
}

/// The table as a document.
#[must_use]
pub fn document() -> String {
    let mut text = String::from(
        "# Roles\n\nWho may do what. Written by `make gen` from the one table that the portal works with; whatever is not \
         granted here is\nrefused. An operator sees an account only after giving a reason, for an hour at most.\n\n## Acts\n\n",
    );
    let heads: String = Role::ALL.iter().map(|role| format!(" {} |", role.label())).collect();
    let lines = "---|".repeat(Role::ALL.len());
    text += &format!("| act |{heads}\n|---|{lines}\n");
    let marks = |granted: &[Role], mark: &str| -> String {
        let one = |role: &Role| if granted.contains(role) { format!(" {mark} |") } else { " |".to_owned() };
        Role::ALL.iter().map(one).collect()
    };
    for act in Act::ALL {
        text += &format!("| `{act}` |{}\n", marks(act.roles(), "yes"));
    }
    text += &format!("\n## Fields\n\n| field |{heads}\n|---|{lines}\n");
    for field in Field::ALL {
        let cells: String = Role::ALL
            .iter()
            .map(|role| {
                let word = match (field.seen_by().contains(role), field.saved_by().contains(role)) {
                    (_, true) => " saves |",
                    (true, false) => " sees |",
                    (false, false) => " |",
                };
                word.to_owned()
            })
            .collect();
        text += &format!("| `{field}` |{cells}\n");
    }
    text
}

#[cfg(test)]
mod tests;
