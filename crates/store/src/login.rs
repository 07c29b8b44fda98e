//! Who a part of Tandem is to the database.

/// One PostgreSQL login per role of the binary, also when all run in one process: grants follow the table of owners
/// in `docs/architecture.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Login {
    /// Reads PBX sources, records changes.
    Detector,
    /// Keeps windows, cuts jobs.
    Debouncer,
    /// Claims and runs jobs.
    TeamsSync,
    /// Keeps the log.
    SyncLog,
    /// People-facing work, one account at a time.
    Portal,
    /// What the portal looks up over many accounts; it writes nothing.
    PortalFleet,
    /// What the provider's operators do in the portal, one account at a time.
    PortalProvider,
    /// Writes mail.
    Notifier,
    /// The provider's operators at a terminal.
    Operator,
}

impl Login {
    /// All logins.
    pub const ALL: [Self; 9] = [
        Self::Detector,
        Self::Debouncer,
        Self::TeamsSync,
        Self::SyncLog,
        Self::Portal,
        Self::PortalFleet,
        Self::PortalProvider,
        Self::Notifier,
        Self::Operator,
    ];

    /// Name of the PostgreSQL role.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Detector => "tandem_detector",
            Self::Debouncer => "tandem_debouncer",
            Self::TeamsSync => "tandem_teams_sync",
            Self::SyncLog => "tandem_sync_log",
            Self::Portal => "tandem_portal",
            Self::PortalFleet => "tandem_portal_fleet",
            Self::PortalProvider => "tandem_portal_provider",
            Self::Notifier => "tandem_notifier",
            Self::Operator => "tandem_operator",
        }
    }
}
