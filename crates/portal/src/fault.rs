//! Everything that ends a request without what it asked for: the one place that says with which status, code and words.
//! Pages show it as a page, the API as a problem document (RFC 9457). Inward causes go to the log and nowhere else.

pub(crate) mod bulk;
pub(crate) mod mapping;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tandem_consent::{LinkError, NoRandom};
use tandem_domain::roles::Act;
use tandem_graph::SignInError;
use tandem_runtime::chain;
use tandem_store::StoreError;
use tandem_wire::WireError;

use self::bulk::BulkFault;
use self::mapping::MappingFault;
use crate::sheet::SheetFault;

/// Why a request ends here. Codes are stable and listed in `docs/codes.md`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nobody is signed in; a page goes on to this path afterwards.
    SignInNeeded(String),
    /// The bearer token of a request counts for nothing.
    TokenRefused,
    NotFound,
    MethodNotAllowed,
    WrongHost(String),
    CrossSite,
    FormStale,
    TwoCookies,
    /// What is wrong with which parameter or field.
    BadInput(&'static str, &'static str),
    TooLarge,
    /// The role table refuses.
    Refused(Act),
    /// An operator has given no reason for being in this account.
    VisitNeeded(String),
    /// A sign-in that cannot be finished, with the code of why.
    SignIn(&'static str),
    /// Somebody without an account here; the name that was signed in.
    NoAccount(String),
    /// Somebody who has been shut out.
    Disabled,
    /// The issuer did not answer usefully.
    LoginUnavailable,
    /// There is no such sign-in here.
    SignInOff,
    NotAuthorized,
    TeamsNeedsAutoSync,
    ManualSyncOff,
    /// Nothing starts before the end of a pause; what is said of it.
    Paused(String),
    /// The held removals have been decided about, or are another list now.
    HeldDecided,
    /// The held removals have waited for too long.
    HeldExpired,
    /// The job left nothing to be done anew.
    NothingToReplay,
    /// The job did nothing that could be undone, or is not over.
    NothingToUndo,
    /// The job is over.
    NothingToCancel,
    /// What is saved now is not what the person saw.
    Stale,
    /// A save of the API names no version.
    VersionMissing,
    /// Auto Sync without Next Gen Teams Sync.
    NextGenFirst,
    KeyMissing,
    KeyReused,
    /// A mapping is not saved.
    Mapping(MappingFault),
    /// An address of the embedded page that was not signed for this account and time.
    EmbedForged,
    EmbedExpired,
    /// One that is good for longer than such addresses may be.
    EmbedTooLong,
    /// The Teams side before the PBX side.
    PbxFirst,
    /// The provider has removed the integration.
    IntegrationRemoved,
    /// Another account has this name.
    NameTaken,
    /// Another account is this customer of the source.
    SourceTaken,
    /// More users are mapped than there would be licences: how many more, and who was mapped last.
    LicencesOver(usize, String),
    /// A file is not read.
    Sheet(SheetFault),
    /// A file would do what cannot be done as a whole.
    ImportNotClean,
    /// A file would take away more than it was said to.
    ImportRemoves,
    /// A bulk act is not made, or not aborted.
    Bulk(BulkFault),
    Unavailable,
    Internal,
}

impl Fault {
    /// The stable code.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::SignInNeeded(_) => "sign_in_needed",
            Self::TokenRefused => "token_refused",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::WrongHost(_) => "wrong_host",
            Self::CrossSite => "cross_site",
            Self::FormStale => "form_stale",
            Self::TwoCookies => "session_ambiguous",
            Self::BadInput(..) => "bad_input",
            Self::TooLarge => "too_large",
            Self::Refused(_) => "role_missing",
            Self::VisitNeeded(_) => "visit_needed",
            Self::SignIn(code) => code,
            Self::NoAccount(_) => "no_account",
            Self::Disabled => "person_disabled",
            Self::LoginUnavailable => "login_unavailable",
            Self::SignInOff => "sign_in_off",
            Self::NotAuthorized => "not_authorized",
            Self::TeamsNeedsAutoSync => "teams_needs_auto_sync",
            Self::ManualSyncOff => "manual_sync_off",
            Self::Paused(_) => "paused",
            Self::Stale => "version_stale",
            Self::VersionMissing => "if_match_missing",
            Self::HeldDecided => "held_decided",
            Self::HeldExpired => "held_expired",
            Self::NothingToReplay => "replay_nothing",
            Self::NothingToUndo => "undo_nothing",
            Self::NothingToCancel => "cancel_nothing",
            Self::NextGenFirst => "next_gen_needed",
            Self::KeyMissing => "idempotency_key_missing",
            Self::KeyReused => "idempotency_key_reused",
            Self::Mapping(fault) => fault.code(),
            Self::EmbedForged => "embed_forged",
            Self::EmbedExpired => "embed_expired",
            Self::EmbedTooLong => "embed_too_long",
            Self::PbxFirst => "pbx_first",
            Self::IntegrationRemoved => "integration_removed",
            Self::NameTaken => "name_taken",
            Self::SourceTaken => "source_taken",
            Self::LicencesOver(..) => "licences_over",
            Self::Sheet(fault) => fault.code(),
            Self::ImportNotClean => "import_not_clean",
            Self::ImportRemoves => "import_removes_many",
            Self::Bulk(fault) => fault.code(),
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }

    /// The status.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::SignInNeeded(_) | Self::TokenRefused => StatusCode::UNAUTHORIZED,
            Self::NotFound | Self::SignInOff => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::WrongHost(_) => StatusCode::MISDIRECTED_REQUEST,
            Self::CrossSite
            | Self::FormStale
            | Self::Refused(_)
            | Self::VisitNeeded(_)
            | Self::NoAccount(_)
            | Self::Disabled
            | Self::EmbedForged
            | Self::EmbedExpired
            | Self::EmbedTooLong => StatusCode::FORBIDDEN,
            Self::TwoCookies | Self::BadInput(..) | Self::SignIn(_) | Self::KeyMissing => {
                StatusCode::BAD_REQUEST
            }
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::LoginUnavailable => StatusCode::BAD_GATEWAY,
            Self::NotAuthorized
            | Self::TeamsNeedsAutoSync
            | Self::ManualSyncOff
            | Self::Paused(_)
            | Self::HeldDecided
            | Self::HeldExpired
            | Self::NothingToReplay
            | Self::NothingToUndo
            | Self::NothingToCancel
            | Self::NextGenFirst => StatusCode::CONFLICT,
            Self::Stale => StatusCode::PRECONDITION_FAILED,
            Self::VersionMissing => StatusCode::PRECONDITION_REQUIRED,
            Self::KeyReused | Self::Sheet(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::PbxFirst
            | Self::IntegrationRemoved
            | Self::NameTaken
            | Self::SourceTaken
            | Self::LicencesOver(..) => StatusCode::CONFLICT,
            Self::Bulk(fault) if fault.is_input() => StatusCode::BAD_REQUEST,
            Self::Mapping(_) | Self::ImportNotClean | Self::ImportRemoves | Self::Bulk(_) => {
                StatusCode::CONFLICT
            }
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// In a few words.
    pub(crate) fn title(&self) -> &'static str {
        match self {
            Self::SignInNeeded(_) | Self::TokenRefused => "You are not signed in",
            Self::NotFound => "There is no such page",
            Self::Refused(_) | Self::VisitNeeded(_) => "You may not do this",
            Self::SignIn(_) | Self::TwoCookies => "The sign-in was not completed",
            Self::NoAccount(_) => "You have no account here",
            Self::Disabled => "You cannot sign in",
            Self::NotAuthorized | Self::TeamsNeedsAutoSync | Self::ManualSyncOff | Self::Paused(_) => {
                "This sync cannot start"
            }
            Self::Mapping(_) => "The mapping was not saved",
            Self::Sheet(_) => "The file cannot be read",
            Self::ImportNotClean | Self::ImportRemoves => "The file was not saved",
            Self::LoginUnavailable | Self::Unavailable | Self::Internal => "This did not work just now",
            _ => "This request cannot be carried out",
        }
    }

    /// What happened.
    pub(crate) fn happened(&self) -> String {
        match self {
            Self::SignInNeeded(_) => {
                "There is no sign-in, or it has ended: after 30 minutes without a click, and after 8 hours."
                    .into()
            }
            Self::TokenRefused => {
                "The token is unknown here, has ended or was revoked, or its person is shut out.".into()
            }
            Self::NotFound => "There is nothing at this address, or nothing that you may see.".into(),
            Self::MethodNotAllowed => "The address was asked for in a way that it does not answer.".into(),
            Self::WrongHost(right) => format!("The portal is at {right}; another name was asked for."),
            Self::CrossSite => "Another web site sent your browser here with a form of its own.".into(),
            Self::FormStale => "The form does not belong to the sign-in of this browser.".into(),
            Self::TwoCookies => {
                "Your browser sent two cookies of the same name, and it cannot be told which is right.".into()
            }
            Self::BadInput(field, why) => format!("{field} {why}."),
            Self::TooLarge => "More was sent than is read here.".into(),
            Self::Refused(_) => "Your role does not cover this.".into(),
            Self::VisitNeeded(_) => {
                "Operators see an account only after giving a reason, for an hour.".into()
            }
            Self::SignIn(_) => "What came back from the sign-in cannot be used.".into(),
            Self::NoAccount(name) => format!("{name} is signed in, but no account names that person."),
            Self::Disabled => "Your provider has shut this person out.".into(),
            Self::LoginUnavailable => "The sign-in did not answer usefully.".into(),
            Self::SignInOff => "This kind of sign-in is not set up here.".into(),
            Self::NotAuthorized => {
                "The tenant does not let us in: there is no stored authorization that works.".into()
            }
            Self::TeamsNeedsAutoSync => {
                "Without Auto Sync there is no stored authorization to sync with.".into()
            }
            Self::Paused(why) => format!("{why}."),
            Self::ManualSyncOff => "A sync with a sign-in of one's own is not set up here.".into(),
            Self::Stale => "Somebody else has saved in between. Nothing of yours was saved.".into(),
            Self::VersionMissing => "The header If-Match is missing.".into(),
            Self::HeldDecided => {
                "These removals were approved, rejected or replaced by another list already.".into()
            }
            Self::HeldExpired => "These removals have waited for more than seven days.".into(),
            Self::NothingToReplay => "This sync is not over, or it has done all that it was to do.".into(),
            Self::NothingToUndo => "This sync is not over, or it has changed nothing.".into(),
            Self::NothingToCancel => "This sync is over.".into(),
            Self::NextGenFirst => "Auto Sync needs Next Gen Teams Sync, which is off.".into(),
            Self::KeyMissing => {
                "The header Idempotency-Key is missing, or is not 1 to 200 visible characters.".into()
            }
            Self::KeyReused => "The Idempotency-Key was used for another request.".into(),
            Self::Mapping(fault) => fault.happened(),
            Self::EmbedForged => "The address of this page was not signed for this account.".into(),
            Self::EmbedExpired => "The address of this page is good no more.".into(),
            Self::EmbedTooLong => "The address of this page was signed for longer than it may be good.".into(),
            Self::PbxFirst => "The account is not set up at the PBX yet, so its users and numbers are not known.".into(),
            Self::IntegrationRemoved => "Your provider has removed the integration of this account.".into(),
            Self::NameTaken => "Another account has this short name.".into(),
            Self::SourceTaken => "Another account is bound to this customer of the source.".into(),
            Self::LicencesOver(over, who) => {
                format!("{over} users more are mapped than there would be licences. Mapped last: {who}.")
            }
            Self::Sheet(fault) => fault.happened(),
            Self::ImportNotClean => {
                "The file changes nothing, has a row that cannot be used, or needs more licences than there are.".into()
            }
            Self::ImportRemoves => "So many users would lose their mapping that this has to be confirmed.".into(),
            Self::Bulk(fault) => fault.happened().into(),
            Self::Unavailable => "The database is busy or away.".into(),
            Self::Internal => "Something went wrong on our side. It is in the log.".into(),
        }
    }

    /// What to do next.
    pub(crate) fn todo(&self) -> &'static str {
        match self {
            Self::SignInNeeded(_) => "Sign in.",
            Self::TokenRefused => {
                "Make a new one in the portal, under Tokens, and send it in the header Authorization."
            }
            Self::NotFound => "Go to your accounts, or sign in as somebody else.",
            Self::MethodNotAllowed | Self::BadInput(..) | Self::TooLarge => {
                "Correct the request and send it again."
            }
            Self::WrongHost(_) => "Open the portal as it was given to you.",
            Self::CrossSite | Self::FormStale => "Open the page anew and try again. Nothing was changed.",
            Self::TwoCookies => "Delete the cookies of this site and sign in again.",
            Self::Refused(act) => act.refusal(),
            Self::VisitNeeded(_) => {
                "Enter the account with a reason first; with a token, say why in the header Tandem-Reason."
            }
            Self::SignIn(_) => "Sign in again. If it happens twice, tell your provider the code below.",
            Self::NoAccount(_) => {
                "Sign in as somebody else, or ask your provider, or the Global Admin of your organisation, for a role."
            }
            Self::Disabled => "Ask your provider.",
            Self::LoginUnavailable | Self::Unavailable => "Wait a minute and try again. Nothing was changed.",
            Self::SignInOff => "Sign in the other way.",
            Self::NotAuthorized => "Have the Global Admin connect the tenant anew, or start a Manual Sync.",
            Self::TeamsNeedsAutoSync => "Start a Manual Sync, or have the Global Admin switch Auto Sync on.",
            Self::ManualSyncOff => "Ask your provider.",
            Self::Paused(_) => {
                "Wait for the end: what waits then starts by itself where Auto Sync is on. Or ask your provider."
            }
            Self::Stale => "Open the page anew, look at what is there now, and save again.",
            Self::VersionMissing => "Read first, and send the ETag that comes with it.",
            Self::HeldDecided => "Look at what is held now.",
            Self::HeldExpired => "Start a new sync over everybody; it looks anew.",
            Self::NothingToReplay | Self::NothingToUndo | Self::NothingToCancel => "Look at the sync again.",
            Self::NextGenFirst => "Have the Global Admin switch that on and save it first.",
            Self::KeyMissing => "Send a key of your own, a new one for each new request.",
            Self::KeyReused => "Send a new key for a new request.",
            Self::Mapping(fault) => fault.todo(),
            Self::EmbedExpired => "Open the page around it anew.",
            Self::EmbedForged | Self::EmbedTooLong => "Ask your provider.",
            Self::PbxFirst => "Have your provider bind the account to its PBX first.",
            Self::IntegrationRemoved => "Ask your provider to invite you again.",
            Self::NameTaken => "Choose another short name.",
            Self::SourceTaken => "Look which account that is, and take the binding from it first.",
            Self::LicencesOver(..) => "Have so many mappings taken away first.",
            Self::Sheet(fault) => fault.todo(),
            Self::ImportNotClean => {
                "Look at the preview, mend the file and upload it again. Nothing was saved."
            }
            Self::ImportRemoves => "Look at the preview and say that it is meant. Nothing was saved.",
            Self::Bulk(fault) => fault.todo(),
            Self::Internal => "Try again. If it happens twice, tell your provider the code below.",
        }
    }
}

impl From<SheetFault> for Fault {
    fn from(fault: SheetFault) -> Self {
        Self::Sheet(fault)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        tracing::error!(error = %chain(&error), "the portal could not do its work");
        if error.retryable() { Self::Unavailable } else { Self::Internal }
    }
}

impl From<WireError> for Fault {
    fn from(error: WireError) -> Self {
        tracing::error!(error = %chain(&error), "the portal could not announce what it saved");
        Self::Internal
    }
}

impl From<NoRandom> for Fault {
    fn from(error: NoRandom) -> Self {
        tracing::error!(error = %chain(&error), "the portal could not do its work");
        Self::Internal
    }
}

impl From<LinkError> for Fault {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Random(error) => error.into(),
            LinkError::Store(error) => error.into(),
        }
    }
}

impl From<SignInError> for Fault {
    fn from(error: SignInError) -> Self {
        tracing::warn!(error = %chain(&error), "a sign-in gave nothing to go by");
        match error {
            SignInError::Refused { status: 400..=499, .. } => Self::SignIn("code_refused"),
            _ => Self::LoginUnavailable,
        }
    }
}

/// The frame around all routes finds the fault in the answer and gives it its form.
impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}
