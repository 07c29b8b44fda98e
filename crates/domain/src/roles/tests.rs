use super::*;

fn who(act: Act) -> Vec<Role> {
    Role::ALL.iter().copied().filter(|role| Roles::new(vec![*role]).may(act)).collect()
}

#[test]
fn i33_without_a_role_nothing_is_allowed_seen_or_saved() {
    let nobody = Roles::default();
    assert!(Act::ALL.iter().all(|act| !nobody.may(*act)));
    assert!(Field::ALL.iter().all(|field| !nobody.sees(*field) && !nobody.saves(*field)));
}

#[test]
fn a3_account_managers_and_admins_save_mappings_and_nobody_else_does() {
    assert_eq!(who(Act::SaveMapping), [AccountManager, AccountAdmin]);
    assert_eq!(Field::Mapping.saved_by(), [AccountManager, AccountAdmin]);
}

#[test]
fn a5_a_sync_is_for_the_global_admin_and_contributors_who_get_only_teams() {
    assert_eq!(who(Act::SyncSignedIn), [GlobalAdmin]);
    assert_eq!(who(Act::SyncStored), [GlobalAdmin, SyncContributor]);
    assert!(Act::SyncStored.refusal().contains("Global Admin"));
    let both = Roles::new(vec![AccountManager, SyncContributor, AccountManager]);
    assert!(both.may(Act::SyncStored) && !both.may(Act::SyncSignedIn));
    assert_eq!(both.iter().count(), 2);
}

#[test]
fn replay_undo_and_approval_are_for_the_global_admin_a_contributor_or_an_operator() {
    for act in [Act::Replay, Act::Undo, Act::DecideHeld, Act::Cancel] {
        assert_eq!(who(act), [GlobalAdmin, SyncContributor, Operator], "{act}");
    }
}

#[test]
fn e14_only_the_global_admin_switches_auto_sync() {
    assert_eq!(who(Act::SwitchAutoSync), [GlobalAdmin]);
    assert_eq!(Field::AutoSync.saved_by(), [GlobalAdmin]);
}

#[test]
fn a25_e28_licences_removal_and_the_troubleshooting_switch_are_the_providers() {
    for act in [
        Act::CreateAccount,
        Act::SeeAdministration,
        Act::BindSource,
        Act::InviteAdmin,
        Act::SetLicences,
        Act::RemoveIntegration,
        Act::SwitchTroubleshooting,
    ] {
        assert_eq!(who(act), [Operator], "{act}");
    }
    assert_eq!(Field::Licences.saved_by(), [Operator]);
}

#[test]
fn e23_the_fleet_and_what_the_detector_reads_are_for_operators_alone() {
    for act in [Act::SeeFleet, Act::SeeDetector, Act::Pause] {
        assert_eq!(who(act), [Operator], "{act}");
        assert!(act.of_operators() && act.anywhere(true) && !act.anywhere(false), "{act}");
    }
    assert!(!Act::ListAccounts.of_operators());
    assert!(Act::ListAccounts.anywhere(true) && Act::ListAccounts.anywhere(false));
    assert!(Act::SyncStored.anywhere(false) && !Act::SyncStored.anywhere(true));
}

#[test]
fn whoever_saves_a_field_sees_it_and_every_refusal_says_whom_to_ask() {
    for field in Field::ALL {
        assert!(field.saved_by().iter().all(|role| field.seen_by().contains(role)), "{field}");
    }
    for act in Act::ALL {
        assert!(act.refusal().contains("Ask "), "{act}");
        assert!(!act.roles().is_empty(), "{act} is for nobody");
    }
}

#[test]
fn the_document_is_up_to_date() {
    let kept = include_str!("../../../../docs/roles.md");
    assert_eq!(kept, document(), "run `make gen`");
}
