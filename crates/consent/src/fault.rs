//! Everything that ends a way through the connect pages, with what the person who reads it can do.

use serde_json::{Value, json};
use tandem_domain::TenantId;

/// A way that ends here. Codes are stable and listed in `docs/codes.md`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    LinkUnknown,
    LinkExpired,
    LinkUsed,
    /// No sync starts now; what is said of the pause.
    Paused(String),
    WrongHost(String),
    MethodNotAllowed,
    CrossSite,
    FormStale,
    SignInOld,
    TooManySignIns,
    NoSession,
    TwoSessions,
    Unfinished,
    StateMissing,
    StateUnknown,
    StateUsed,
    StateExpired,
    AnswerAmbiguous,
    AnswerIncomplete,
    SignInDenied(String),
    CodeRefused(String),
    LoginUnavailable,
    /// The code of what is wrong with the id token.
    IdToken(&'static str),
    PersonalAccount,
    Guest,
    RoleUnproved,
    NotGlobalAdmin,
    RoleNotConfirmed,
    OtherTenantExpected {
        expected: String,
        got: TenantId,
    },
    OtherTenantBound {
        bound: TenantId,
        got: TenantId,
    },
    TenantTaken,
    NotConnected,
    NobodyLinked,
    NotTheLinkedAdmin,
    OtherPerson,
    ConsentDenied(String),
    ConsentOtherTenant {
        signed_in: TenantId,
        got: String,
    },
    /// teams-sync found this.
    Proof {
        code: String,
        detail: String,
    },
    Unavailable,
    Internal,
}

/// Who is involved, where naming them helps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Who {
    /// Who has signed in.
    pub(crate) signed_in: Option<String>,
    /// Who is linked to the account.
    pub(crate) linked: Option<String>,
}

/// A fault as it is shown and kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) code: String,
    pub(crate) title: String,
    pub(crate) happened: String,
    pub(crate) todo: String,
    pub(crate) who: Who,
}

const AGAIN: &str = "Start again from the link. Nothing was changed.";
const OTHER_ACCOUNT: &str =
    "Start again and choose “Use another account” at Microsoft’s sign-in, or use a private window.";

impl Fault {
    /// The stable code.
    pub(crate) fn code(&self) -> &str {
        match self {
            Self::LinkUnknown => "link_unknown",
            Self::LinkExpired => "link_expired",
            Self::LinkUsed => "link_used",
            Self::Paused(_) => "paused",
            Self::WrongHost(_) => "wrong_host",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::CrossSite => "cross_site",
            Self::FormStale => "form_stale",
            Self::SignInOld => "sign_in_old",
            Self::TooManySignIns => "too_many_sign_ins",
            Self::NoSession => "session_unknown",
            Self::TwoSessions => "session_ambiguous",
            Self::Unfinished => "sign_in_unfinished",
            Self::StateMissing => "state_missing",
            Self::StateUnknown => "state_unknown",
            Self::StateUsed => "state_used",
            Self::StateExpired => "state_expired",
            Self::AnswerAmbiguous => "answer_ambiguous",
            Self::AnswerIncomplete => "answer_incomplete",
            Self::SignInDenied(_) => "sign_in_denied",
            Self::CodeRefused(_) => "code_refused",
            Self::LoginUnavailable => "login_unavailable",
            Self::IdToken(code) => code,
            Self::PersonalAccount => "personal_account",
            Self::Guest => "guest_account",
            Self::RoleUnproved => "role_unproved",
            Self::NotGlobalAdmin => "not_global_admin",
            Self::RoleNotConfirmed => "role_not_confirmed",
            Self::OtherTenantExpected { .. } => "other_tenant_expected",
            Self::OtherTenantBound { .. } => "other_tenant_bound",
            Self::TenantTaken => "tenant_taken",
            Self::NotConnected => "not_connected",
            Self::NobodyLinked => "nobody_linked",
            Self::NotTheLinkedAdmin => "not_the_linked_admin",
            Self::OtherPerson => "other_person",
            Self::ConsentDenied(_) => "consent_denied",
            Self::ConsentOtherTenant { .. } => "consent_other_tenant",
            Self::Proof { code, .. } => code,
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }

    /// HTTP status of the page.
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::LinkUnknown => 404,
            Self::LinkExpired | Self::LinkUsed => 410,
            Self::WrongHost(_) => 421,
            Self::MethodNotAllowed => 405,
            Self::Paused(_) => 409,
            Self::TooManySignIns => 429,
            Self::LoginUnavailable => 502,
            Self::Unavailable => 503,
            Self::Internal => 500,
            Self::CrossSite
            | Self::FormStale
            | Self::SignInOld
            | Self::SignInDenied(_)
            | Self::PersonalAccount
            | Self::Guest
            | Self::RoleUnproved
            | Self::NotGlobalAdmin
            | Self::RoleNotConfirmed
            | Self::OtherTenantExpected { .. }
            | Self::OtherTenantBound { .. }
            | Self::TenantTaken
            | Self::NotConnected
            | Self::NobodyLinked
            | Self::NotTheLinkedAdmin
            | Self::OtherPerson
            | Self::ConsentDenied(_)
            | Self::ConsentOtherTenant { .. } => 403,
            _ => 400,
        }
    }

    fn title(&self) -> &'static str {
        match self {
            Self::LinkUnknown | Self::LinkExpired | Self::LinkUsed => "This link cannot be used",
            Self::Paused(_) => "This sync cannot start",
            Self::SignInDenied(_) => "You were not signed in",
            Self::ConsentDenied(_) => "Consent was not given",
            Self::PersonalAccount
            | Self::Guest
            | Self::RoleUnproved
            | Self::NotGlobalAdmin
            | Self::RoleNotConfirmed
            | Self::NotTheLinkedAdmin => "This Microsoft account cannot do this",
            Self::OtherTenantExpected { .. }
            | Self::OtherTenantBound { .. }
            | Self::TenantTaken
            | Self::ConsentOtherTenant { .. } => "This is another Microsoft 365 organisation",
            Self::NotConnected | Self::NobodyLinked => "This account is not connected yet",
            Self::Proof { .. } => "Your organisation could not be connected",
            Self::LoginUnavailable | Self::Unavailable | Self::Internal | Self::TooManySignIns => {
                "This did not work just now"
            }
            _ => "The sign-in was not completed",
        }
    }

    fn happened(&self) -> String {
        match self {
            Self::LinkUnknown => "There is no such link. It may have been copied incompletely.".into(),
            Self::LinkExpired => "The link is too old.".into(),
            Self::LinkUsed => "The link has done its work already.".into(),
            Self::Paused(why) => format!("{why}."),
            Self::WrongHost(right) => format!("These pages are at {right}; your browser asked for another name."),
            Self::MethodNotAllowed => "The page was asked for in a way that it does not answer.".into(),
            Self::CrossSite => "Another web site sent your browser here with a form of its own.".into(),
            Self::FormStale => "The form does not belong to the sign-in that is under way in this browser.".into(),
            Self::SignInOld => "Your sign-in is more than ten minutes old.".into(),
            Self::TooManySignIns => "This link has been used for very many sign-ins within the last hour.".into(),
            Self::NoSession => "This browser has no sign-in under way here; it may have begun in another browser, or cookies are off.".into(),
            Self::TwoSessions => "Your browser sent two cookies of the same name, and it cannot be told which is right.".into(),
            Self::Unfinished => "The sign-in was begun in this browser and did not reach its end.".into(),
            Self::StateMissing => "The answer says not which sign-in it belongs to.".into(),
            Self::StateUnknown => "The answer does not belong to the sign-in that is under way in this browser.".into(),
            Self::StateUsed => "This answer has been used already. It counts once.".into(),
            Self::StateExpired => "More than ten minutes passed at Microsoft’s pages.".into(),
            Self::AnswerAmbiguous => "The answer says two things at once.".into(),
            Self::AnswerIncomplete => "The answer says neither that it worked nor why it did not.".into(),
            Self::SignInDenied(text) => format!("Microsoft says: {text}."),
            Self::CodeRefused(text) => format!("Microsoft did not accept the code of this sign-in: {text}."),
            Self::LoginUnavailable => "Microsoft’s sign-in did not answer usefully.".into(),
            Self::IdToken(_) => "What Microsoft’s sign-in handed out does not prove who you are.".into(),
            Self::PersonalAccount => "This is a personal Microsoft account. A work account of your organisation is needed.".into(),
            Self::Guest => "This account is a guest in the organisation. What guests may do says nothing about who runs it.".into(),
            Self::RoleUnproved => "The sign-in does not say which administrator roles the account holds.".into(),
            Self::NotGlobalAdmin => "The account does not hold the role Global Administrator.".into(),
            Self::RoleNotConfirmed => "The directory does not confirm the role Global Administrator. A role that was given a moment ago takes up to an hour; an eligible role has to be activated first.".into(),
            Self::OtherTenantExpected { expected, got } => {
                format!("The link is for the organisation {expected}; you signed in to {got}.")
            }
            Self::OtherTenantBound { bound, got } => {
                format!("The account is connected to the organisation {bound}; you signed in to {got}.")
            }
            Self::TenantTaken => "This organisation is connected to another account of the provider. An organisation belongs to one account.".into(),
            Self::NotConnected => "No Microsoft 365 organisation is connected to this account.".into(),
            Self::NobodyLinked => "The organisation was connected without a sign-in, so no Global Administrator is linked to this account.".into(),
            Self::NotTheLinkedAdmin => "Only the Global Administrator who is linked to this account may do this.".into(),
            Self::OtherPerson => "Somebody else signed in at the second look than at the first.".into(),
            Self::ConsentDenied(text) => format!("Microsoft says: {text}."),
            Self::ConsentOtherTenant { signed_in, got } => {
                format!("You signed in to the organisation {signed_in}, but the answer names {got}.")
            }
            Self::Proof { detail, .. } => format!("You have consented, but the proof failed: {detail}."),
            Self::Unavailable => "The database is busy or away.".into(),
            Self::Internal => "Something went wrong on our side. It is in the log.".into(),
        }
    }

    fn todo(&self) -> &'static str {
        match self {
            Self::LinkUnknown => {
                "Copy the whole link from the message that brought it, or ask your provider for a new one."
            }
            Self::LinkExpired => "Ask your provider for a new one.",
            Self::Paused(_) => "Wait for the end, or ask your provider.",
            Self::LinkUsed => {
                "There is nothing left to do. For another sign-in, ask your provider for a new link."
            }
            Self::WrongHost(_) => "Open the link as it was given to you.",
            Self::SignInOld => {
                "Sign in again: whoever allows something for a whole organisation has just shown who they are."
            }
            Self::TooManySignIns => {
                "Wait an hour, or ask your provider for a new link. If it was not you, tell your provider."
            }
            Self::TwoSessions => "Delete the cookies of this site and start again.",
            Self::SignInDenied(_) => {
                "Start again, and sign in as the Global Administrator of your organisation."
            }
            Self::CodeRefused(_) | Self::IdToken(_) => {
                "Start again. If it happens twice, tell your provider the code below. Nothing was changed."
            }
            Self::LoginUnavailable | Self::Unavailable => {
                "Wait a minute and start again. Nothing was changed."
            }
            Self::PersonalAccount | Self::NotTheLinkedAdmin => OTHER_ACCOUNT,
            Self::Guest => "Sign in with an account that belongs to the organisation itself.",
            Self::RoleUnproved => {
                "Tell your provider the code below: the application must be registered so that it is told directory roles."
            }
            Self::NotGlobalAdmin => {
                "Start again as a Global Administrator. Global Reader, Teams Administrator and other roles are not enough."
            }
            Self::RoleNotConfirmed => "Activate the role, wait until it has taken effect, and start again.",
            Self::OtherTenantExpected { .. } | Self::ConsentOtherTenant { .. } => {
                "Start again and sign in to the right organisation. If the link names the wrong one, ask your provider for another link; consent to nothing before that."
            }
            Self::OtherTenantBound { .. } => {
                "Start again and sign in to the connected organisation. To move the account to another one, ask your provider."
            }
            Self::TenantTaken => "Ask your provider which account the organisation belongs to.",
            Self::NotConnected | Self::NobodyLinked => "Ask your provider for a link to connect it.",
            Self::ConsentDenied(_) => {
                "Start again and accept, if you want your provider to keep your users in step. Nothing was changed."
            }
            Self::Proof { .. } => {
                "Start again in a few minutes; if it fails again, tell your provider the code below."
            }
            Self::Internal => "Start again. If it happens twice, tell your provider the code below.",
            _ => AGAIN,
        }
    }

    /// As it is shown and kept.
    pub(crate) fn told(&self, who: Who) -> Told {
        Told {
            code: self.code().to_owned(),
            title: self.title().to_owned(),
            happened: self.happened(),
            todo: self.todo().to_owned(),
            who,
        }
    }
}

impl Told {
    /// As it is kept.
    pub(crate) fn json(&self) -> Value {
        json!({
            "code": self.code, "title": self.title, "happened": self.happened, "todo": self.todo,
            "signed_in": self.who.signed_in, "linked": self.who.linked,
        })
    }

    /// From what was kept.
    pub(crate) fn read(value: &Value) -> Self {
        let text = |name: &str| value[name].as_str().map(str::to_owned);
        let need = |name: &str| text(name).unwrap_or_default();
        Self {
            code: need("code"),
            title: need("title"),
            happened: need("happened"),
            todo: need("todo"),
            who: Who { signed_in: text("signed_in"), linked: text("linked") },
        }
    }
}
