//! A stateful model of Microsoft login (Entra) and Microsoft Graph, as far as Teams Phone needs them, served
//! over HTTP: tokens, licensed users, number assignment with its asynchronous operations, policies, Microsoft's
//! error bodies and throttling. A switchboard under `/_sim` changes the world and makes things go wrong.
//!
//! It is meant to be talked to by production clients and to catch their mistakes, so it shares no code with any
//! of them and follows Microsoft's published documents alone. `docs/simulator.md` describes its use.

mod clock;
mod deliver;
mod demo;
mod faulty;
mod graph;
mod ids;
mod login;
mod model;
mod pipeline;
mod provider;
mod reply;
mod server;
mod settings;
mod state;
mod switchboard;
mod tls;
mod util;
mod world;

pub use demo::{DEMO_APP, DEMO_SIGN_IN_APP, DEMO_TENANT};
pub use graph::captured::Captured;
pub use model::ModelError;
pub use provider::{ProviderPerson, ProviderSpec};
pub use server::{Sim, SimConfig, SimHandle, StartError};
pub use settings::{Budget, Delegated, Landing, LicenceFailure, Settings, Span, Throttling, UnknownPolicy};
pub use switchboard::actions::{Action, IdTokenChange, KeysMode, LinkMode, Signature, When};
pub use switchboard::faults::FaultSpec;
pub use tls::{TlsError, make_cert};
pub use world::{
    AppSpec, BulkSpec, ConsentSpec, DEFAULT_ROLES, FederatedSpec, GroupPolicySpec, MCOEV, MCOEV_VIRTUALUSER,
    MembershipClaims, NumberSpec, Pkce, PlanSpec, PolicySpec, TEAMS1, TenantSpec, UserSpec, World,
};
