//! Microsoft login and Microsoft Graph, as Tandem needs them.
//!
//! The crate speaks to Microsoft and says precisely what happened: it fetches app-only tokens, keeps
//! within the budget of requests, waits out `Retry-After`, follows pages, and turns every failure into
//! a [`GraphError`] with an [`ErrorClass`] (what to do about it) and an [`Effect`] (whether a write may
//! have landed). It decides nothing: which number goes to whom is the planner's business.
//!
//! Start at [`Graph::new`], then [`Graph::tenant`]. Processes that work side by side share their budgets
//! through [`Graph::share_budgets`].

mod bucket;
mod budget;
mod call;
mod certificate;
mod circuit;
mod client;
mod config;
mod credential;
mod directory;
mod error;
mod exchange;
mod fetch;
mod issuer;
mod ledger;
mod login_gate;
mod metrics;
mod model;
mod open;
mod pages;
mod reads;
mod refusal;
mod retries;
mod retry_after;
mod scope;
mod sign_in;
mod token;
mod token_error;
mod who;
mod writes;

pub use budget::OperationSlot;
pub use call::{Priority, StartCheck};
pub use certificate::{CertificateInfo, CertificatePem};
pub use circuit::HostAway;
pub use client::{Graph, Now, TenantClient};
pub use config::{AppCredential, ConfigError, GraphConfig, RetryPolicy};
pub use directory::{AssignedPlan, CapabilityStatus, Organization, User, VerifiedDomain};
pub use error::{Effect, ErrorClass, GraphError, RequestIds, Unusable};
pub use issuer::{Issuer, IssuerConfig};
pub use ledger::{CUT, EASE, EASE_PAUSE, FLOOR, Ledger, LocalLedger, Offer, RECOVERY_PER_S, ScopeId, Terms};
pub use model::{
    AccountType, AssignmentCategory, AssignmentStatus, AssignmentType, HeldNumber, NumberAssignment,
    NumberSource, NumberType, Operation, OperationNumber, OperationStatus, PolicyAssignment, PolicyId,
    PolicyOfUser, UserConfiguration,
};
pub use pages::Pages;
pub use reads::{NumberFilter, PHONE_SYSTEM_PLAN, Probe, VIRTUAL_USER_PLAN};
pub use refusal::Refusal;
pub use sign_in::{Discovery, Me, PublishedKey, Redeemed, SignIn, SignInConfig, SignInError};
pub use token::TokenInfo;
pub use token_error::{TokenError, TokenErrorKind};
pub use who::{OwnApp, UserToken};
pub use writes::{Accepted, AssignNumber, Done, OperationRef};
