//! The cases everybody asks about first.

use insta::assert_snapshot;
use tandem_domain::policy::PolicyType;

use crate::tenant::{CALLING, Tenant, told};

#[test]
fn a_number_goes_on_with_its_policies_and_location() {
    let mut tenant = Tenant::new();
    let wanted = tenant.mapped(1, None, Some(1));
    wanted.policies.insert(CALLING.into(), "Alpha".into());
    wanted.location_id = Some("location-1".into());
    assert_snapshot!(told(&tenant.plan()), @r"
    1. 1001 assign_number - -> +12125550101: the PBX gives the user this number
    2. 1001 assign_policy - -> Alpha: the account's policy rules ask for it
    1001: steps
    ");
}

#[test]
fn a_replaced_number_comes_off_before_the_new_one_goes_on() {
    let mut tenant = Tenant::new();
    tenant.mapped(1, Some(1), Some(2));
    assert_snapshot!(told(&tenant.plan()), @r"
    1. 1001 unassign_number +12125550101 -> - [1]: replaced by +12125550102
    2. 1001 assign_number - -> +12125550102 after [1] [1]: the PBX gives the user this number
    1001: steps
    ");
}

#[test]
fn what_is_right_is_left_alone() {
    let mut tenant = Tenant::new();
    tenant.mapped(1, Some(1), Some(1)).policies.insert(CALLING.into(), "alpha".into());
    tenant.has_policy(1, "Alpha", false, false);
    // the default of the organisation is in effect where nothing else is
    tenant.wanted[0].policies.insert(PolicyType::from("TeamsCallParkPolicy"), "global".into());
    assert_snapshot!(told(&tenant.plan()), @r"
    1001: unchanged
    ");
}

#[test]
fn a_leaving_user_loses_what_is_ours_number_first() {
    let mut tenant = Tenant::new();
    tenant.leaving(1, 1, Some(1));
    tenant.has_policy(1, "Alpha", true, true);
    assert_snapshot!(told(&tenant.plan()), @r"
    1. 1001 unassign_number +12125550101 -> -: the PBX user was unmapped, deleted or disabled
    2. 1001 unassign_policy Tag:Alpha -> - after [1]: the PBX user was unmapped, deleted or disabled
    1001: steps
    ");
}

#[test]
fn what_somebody_else_put_on_a_leaving_user_stays() {
    let mut tenant = Tenant::new();
    tenant.leaving(1, 1, Some(1));
    tenant.standing.values_mut().for_each(|standing| standing.number = None);
    tenant.has_policy(1, "Alpha", true, false);
    assert_snapshot!(told(&tenant.plan()), @r"
    1001: unchanged
    ");
}

#[test]
fn a_policy_no_longer_wanted_comes_off_unless_a_person_changed_it() {
    let mut tenant = Tenant::new();
    for n in [1, 2, 3] {
        tenant.mapped(n, Some(n), Some(n));
        tenant.has_policy(n, "Alpha", true, true);
    }
    tenant.has_policy(2, "Beta", true, false);
    tenant.has_policy(3, "Alpha", false, false);
    assert_snapshot!(told(&tenant.plan()), @r"
    1. 1001 unassign_policy Tag:Alpha -> -: the account's policy rules no longer ask for it
    1001: steps
    1002: unchanged
    1003: unchanged
    ");
}

#[test]
fn a_swap_of_two() {
    let mut tenant = Tenant::new();
    tenant.mapped(1, Some(1), Some(2));
    tenant.mapped(2, Some(2), Some(1));
    assert_snapshot!(told(&tenant.plan()), @r"
    1. 1001 unassign_number +12125550101 -> - [1]: the number goes to PBX user 1002
    2. 1002 unassign_number +12125550102 -> - after [1] [1]: the number goes to PBX user 1001
    3. 1001 assign_number - -> +12125550102 after [1, 2] [1]: the PBX gives the user this number, freed by PBX user 1002
    4. 1002 assign_number - -> +12125550101 after [1, 2] [1]: the PBX gives the user this number, freed by PBX user 1001
    1001: steps
    1002: steps
    ");
}

#[test]
fn a_ring_of_four_is_cut_by_one_unassign() {
    let mut tenant = Tenant::new();
    for n in 1..=4 {
        tenant.mapped(n, Some(n), Some(n % 4 + 1));
    }
    assert_snapshot!(told(&tenant.plan()), @r"
    1. 1001 unassign_number +12125550101 -> - [1]: the number goes to PBX user 1004
    2. 1002 unassign_number +12125550102 -> - after [1] [1]: the number goes to PBX user 1001
    3. 1001 assign_number - -> +12125550102 after [1, 2] [1]: the PBX gives the user this number, freed by PBX user 1002
    4. 1003 unassign_number +12125550103 -> - after [1] [1]: the number goes to PBX user 1002
    5. 1002 assign_number - -> +12125550103 after [2, 4] [1]: the PBX gives the user this number, freed by PBX user 1003
    6. 1004 unassign_number +12125550104 -> - after [1] [1]: the number goes to PBX user 1003
    7. 1003 assign_number - -> +12125550104 after [4, 6] [1]: the PBX gives the user this number, freed by PBX user 1004
    8. 1004 assign_number - -> +12125550101 after [1, 6] [1]: the PBX gives the user this number, freed by PBX user 1001
    1001: steps
    1002: steps
    1003: steps
    1004: steps
    ");
}

#[test]
fn in_a_chain_nobody_gives_up_before_the_next_number_is_free() {
    let mut tenant = Tenant::new();
    tenant.mapped(1, Some(1), Some(9));
    tenant.mapped(2, Some(2), Some(1));
    tenant.mapped(3, None, Some(2));
    assert_snapshot!(told(&tenant.plan()), @r"
    1. 1001 unassign_number +12125550101 -> - [1]: the number goes to PBX user 1002
    2. 1001 assign_number - -> +12125550109 after [1] [1]: the PBX gives the user this number
    3. 1002 unassign_number +12125550102 -> - after [1] [1]: the number goes to PBX user 1003
    4. 1002 assign_number - -> +12125550101 after [1, 3] [1]: the PBX gives the user this number, freed by PBX user 1001
    5. 1003 assign_number - -> +12125550102 after [3] [1]: the PBX gives the user this number, freed by PBX user 1002
    1001: steps
    1002: steps
    1003: steps
    ");
}

#[test]
fn a_pbx_user_mapped_anew_takes_its_number_along() {
    let mut tenant = Tenant::new();
    tenant.guard = tandem_domain::guard::RemovalGuard { floor: 0, percent: 0 };
    tenant.leaving(1, 8, Some(1));
    tenant.mapped(1, None, Some(1));
    assert_snapshot!(told(&tenant.plan()), @r"
    1. 1001 unassign_number +12125550101 -> - [1]: the PBX user goes on with another Microsoft user
    2. 1001 assign_number - -> +12125550101 after [1] [1]: the PBX gives the user this number, freed by PBX user 1001
    1001: steps
    1001: steps
    ");
}
