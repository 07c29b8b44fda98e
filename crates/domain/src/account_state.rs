//! What an account shows as its state, and what its *Sync Now* button offers: pure functions of what the tables say.

use serde::{Deserialize, Serialize};

use crate::job::{JobState, text_enum};
use crate::roles::{Act, Roles};

text_enum! {
    /// The state of an account in one word. The names are stable: the API uses them.
    AccountState {
        /// Nothing waits, everything has landed.
        InSync = "in_sync",
        /// Saved changes wait for a sync.
        ChangesQueued = "changes_queued",
        /// A job runs, or is about to.
        Syncing = "syncing",
        /// Microsoft has accepted everything, and not every read shows it yet.
        Landing = "landing",
        /// Some users could not be brought in line.
        SyncIssue = "sync_issue",
        /// The last job as a whole failed.
        SyncFailed = "sync_failed",
        /// Removals wait for a person.
        Held = "held",
        /// The tenant does not let us in.
        NotAuthorized = "not_authorized",
        /// Something is missing before there can be a sync.
        SetupPartial = "setup_partial",
    }
}

impl AccountState {
    /// As people see it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::InSync => "In sync",
            Self::ChangesQueued => "Changes queued",
            Self::Syncing => "Syncing",
            Self::Landing => "Landing",
            Self::SyncIssue => "Sync issue",
            Self::SyncFailed => "Sync failed",
            Self::Held => "Held",
            Self::NotAuthorized => "Not authorized",
            Self::SetupPartial => "Setup partially complete",
        }
    }
}

/// What the tables say of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// A customer of a PBX source is bound to it.
    pub bound: bool,
    /// A tenant is bound to it.
    pub connected: bool,
    /// Users are mapped, or something of ours stands in the tenant.
    pub mapped: bool,
    /// It syncs by itself.
    pub auto_sync: bool,
    /// The stored authorization was given and does not work any more.
    pub broken: bool,
    /// There is a stored authorization that works.
    pub healthy: bool,
    /// A job is queued and may start, or runs.
    pub under_way: bool,
    /// How the last job that ended did.
    pub last: Option<JobState>,
    /// Removals wait for a person.
    pub held: bool,
    /// Users that need somebody: in conflict, failed, or not settled after a day.
    pub issues: i64,
    /// Saved changes that no job has confirmed yet.
    pub queued: i64,
    /// Users confirmed and not settled.
    pub landing: i64,
}

/// The state of an account. What keeps every sync from working comes before what one sync left behind, and what needs a
/// person before what passes by itself.
#[must_use]
pub fn state(facts: &Facts) -> AccountState {
    let Facts { bound, connected, mapped, auto_sync, broken, healthy, under_way, last, held, .. } = *facts;
    if !(bound && connected && mapped) {
        AccountState::SetupPartial
    } else if under_way {
        AccountState::Syncing
    } else if broken || (auto_sync && !healthy) {
        AccountState::NotAuthorized
    } else if last == Some(JobState::Failed) {
        AccountState::SyncFailed
    } else if held {
        AccountState::Held
    } else if facts.issues > 0 {
        AccountState::SyncIssue
    } else if facts.queued > 0 {
        AccountState::ChangesQueued
    } else if facts.landing > 0 {
        AccountState::Landing
    } else {
        AccountState::InSync
    }
}

text_enum! {
    /// An entry of the *Sync Now* menu.
    MenuEntry {
        /// A sync with a sign-in of one's own.
        ManualSync = "manual_sync",
        /// A sync with the stored authorization.
        Teams = "teams",
        /// The jobs of the past.
        SyncLogs = "sync_logs",
    }
}

impl MenuEntry {
    /// As people see it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::ManualSync => "Manual Sync",
            Self::Teams => "Teams",
            Self::SyncLogs => "Sync Logs",
        }
    }

    /// What choosing it does.
    #[must_use]
    pub fn act(self) -> Act {
        match self {
            Self::ManualSync => Act::SyncSignedIn,
            Self::Teams => Act::SyncStored,
            Self::SyncLogs => Act::SeeJobs,
        }
    }
}

/// The entries of the menu, each with the reason why this person may not choose it, if so. There is no entry for the
/// PBX: its side needs no sync.
#[must_use]
pub fn menu(auto_sync: bool, roles: &Roles) -> Vec<(MenuEntry, Option<&'static str>)> {
    let all = [MenuEntry::ManualSync, MenuEntry::Teams, MenuEntry::SyncLogs];
    let shown = all.into_iter().filter(|entry| auto_sync || *entry != MenuEntry::Teams);
    shown.map(|entry| (entry, (!roles.may(entry.act())).then(|| entry.act().refusal()))).collect()
}

/// What the button reads.
#[must_use]
pub fn button(queued: i64) -> &'static str {
    if queued > 0 { "Sync Now \u{2014} Changes Queued" } else { "Sync Now" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roles::Role;

    fn well() -> Facts {
        Facts {
            bound: true,
            connected: true,
            mapped: true,
            auto_sync: true,
            healthy: true,
            ..Facts::default()
        }
    }

    #[test]
    fn p1_p5_each_state_comes_up_and_yields_to_what_is_worse() {
        let mut facts = well();
        assert_eq!(state(&facts), AccountState::InSync);
        facts.landing = 1;
        assert_eq!(state(&facts), AccountState::Landing);
        facts.queued = 1;
        assert_eq!(state(&facts), AccountState::ChangesQueued);
        facts.issues = 1;
        assert_eq!(state(&facts), AccountState::SyncIssue);
        facts.held = true;
        assert_eq!(state(&facts), AccountState::Held);
        facts.last = Some(JobState::Failed);
        assert_eq!(state(&facts), AccountState::SyncFailed);
        facts.broken = true;
        facts.healthy = false;
        assert_eq!(state(&facts), AccountState::NotAuthorized);
        facts.under_way = true;
        assert_eq!(state(&facts), AccountState::Syncing);
        facts.mapped = false;
        assert_eq!(state(&facts), AccountState::SetupPartial);
    }

    #[test]
    fn e6_an_account_that_stays_manual_needs_no_stored_authorization() {
        let manual = Facts { auto_sync: false, healthy: false, ..well() };
        assert_eq!(state(&manual), AccountState::InSync);
        let auto = Facts { healthy: false, ..well() };
        assert_eq!(state(&auto), AccountState::NotAuthorized);
    }

    #[test]
    fn a21_p1_the_button_says_that_changes_wait() {
        assert_eq!(button(0), "Sync Now");
        assert_eq!(button(3), "Sync Now \u{2014} Changes Queued");
    }

    #[test]
    fn e22_e31_e32_e33_the_menu_has_teams_with_auto_sync_only_and_never_the_pbx() {
        let admin = Roles::new(vec![Role::GlobalAdmin]);
        let labels = |auto| menu(auto, &admin).iter().map(|(e, _)| e.label()).collect::<Vec<_>>();
        assert_eq!(labels(false), ["Manual Sync", "Sync Logs"]);
        assert_eq!(labels(true), ["Manual Sync", "Teams", "Sync Logs"]);
        let manager = Roles::new(vec![Role::AccountManager]);
        let refused: Vec<bool> = menu(true, &manager).iter().map(|(_, why)| why.is_some()).collect();
        assert_eq!(refused, [true, true, false]);
    }
}
