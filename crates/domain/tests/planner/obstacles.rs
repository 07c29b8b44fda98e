//! What stands in the way, and how it reaches others.

use std::collections::BTreeSet;

use insta::assert_snapshot;
use tandem_domain::NumberError;
use tandem_domain::guard::RemovalGuard;
use tandem_domain::ladder::DeferReason;
use tandem_domain::plan::{AccountKind, Code, HolderKind, Licence, Lock, Scope, Verdict};
use tandem_domain::wanted::WantedNumber;

use crate::tenant::{CALLING, Tenant, number, oid, told, user};

fn code(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Conflict { code, .. } | Verdict::Failed { code, .. } | Verdict::Kept { code, .. } => {
            code.as_str()
        }
        Verdict::Deferred { reason, .. } => reason.as_str(),
        Verdict::Steps | Verdict::Unchanged | Verdict::Held { .. } => "",
    }
}

#[test]
fn f55_every_kind_of_foreign_holder_is_named_and_left_alone() {
    let mut tenant = Tenant::new();
    for n in 1..=11 {
        tenant.mapped(n, None, Some(n));
    }
    tenant.person(21).licensed = Licence::Missing;
    tenant.line(1, Some(21));
    tenant.person(22).kind = AccountKind::ResourceAccount;
    tenant.line(2, Some(22));
    for (n, holder) in [
        (3, HolderKind::Conference),
        (4, HolderKind::VoiceApp),
        (5, HolderKind::ThirdPartyApp),
        (6, HolderKind::Policy),
        (7, HolderKind::Unknown),
    ] {
        tenant.line(n, None).holder = holder;
    }
    tenant.line(8, None).direct_routing = false;
    // held by an object that is no user any more
    tenant.line(9, Some(29));
    // deleted, still in the bin
    tenant.line(10, Some(30));
    tenant.deleted.insert(oid(30), "Dana Doe".into());
    tenant.person(31);
    tenant.line(11, Some(31));
    assert_snapshot!(told(&tenant.plan()), @r"
    1001: conflict number_held_by_unlicensed_user: +12125550101 is held by user21@customer.example (without phone licence); give that user a Teams Phone licence for as long as it takes to take the number off <user21@customer.example (without phone licence)>
    1002: conflict number_held_by_resource_account: +12125550102 is held by user22@customer.example (resource account); take it off under Resource accounts in the Teams admin center <user22@customer.example (resource account)>
    1003: conflict number_held_by_conference: +12125550103 is held by an audio conference; take it off the conference bridge in the Teams admin center <an audio conference>
    1004: conflict number_held_by_voice_app: +12125550104 is held by a voice application (auto attendant or call queue); take it off the application's resource account in the Teams admin center <a voice application (auto attendant or call queue)>
    1005: conflict number_held_by_third_party_app: +12125550105 is held by a third-party app; take it off in that app <a third-party app>
    1006: conflict number_held_by_policy: +12125550106 is held by a policy; take it out of that policy in the Teams admin center <a policy>
    1007: conflict number_held_by_unknown_holder: +12125550107 is held by a holder that Microsoft does not name; look the number up under Phone numbers in the Teams admin center and take it off there <a holder that Microsoft does not name>
    1008: conflict number_not_direct_routing: +12125550108 is a Calling Plan or operator number of the tenant <->
    1009: conflict number_held_by_unknown_id: +12125550109 is held by 00000000-0000-4000-8000-000000000029 (not in the directory); take the number off that id with Remove-CsPhoneNumberAssignment in Teams PowerShell <00000000-0000-4000-8000-000000000029 (not in the directory)>
    1010: conflict number_held_by_deleted_user: +12125550110 is held by Dana Doe (deleted user 00000000-0000-4000-8000-000000000030); restore the user under Deleted users in Microsoft Entra and take the number off <Dana Doe (deleted user 00000000-0000-4000-8000-000000000030)>
    1011: conflict number_held_by_unmanaged_user: +12125550111 is held by user31@customer.example; take it off that user in the Teams admin center <user31@customer.example>
    ");
}

#[test]
fn every_unfit_user_is_told_why() {
    let mut tenant = Tenant::new();
    for n in 1..=13 {
        tenant.mapped(n, None, Some(n));
    }
    tenant.users.remove(&oid(1));
    tenant.person(2).kind = AccountKind::ResourceAccount;
    tenant.person(3).kind = AccountKind::Guest;
    tenant.person(4).kind = AccountKind::Ineligible;
    tenant.person(5).licensed = Licence::Missing;
    tenant.person(6).licensed = Licence::Unknown;
    tenant.person(7).in_teams = false;
    tenant.wanted[7].number = WantedNumber::Unusable { text: "2125550108".into(), why: NumberError::NoPlus };
    tenant.wanted[8].policies.insert(CALLING.into(), "Gamma".into());
    tenant.policy_ids.values_mut().for_each(|ids| _ = ids.insert("gamma".into(), None));
    tenant.line(10, Some(10)).primary = false;
    tenant.line(30, Some(11)).direct_routing = false;
    tenant.line(12, None).pending = true;
    tenant.line(13, Some(13)).failed = true;
    assert_snapshot!(told(&tenant.plan()), @r#"
    1001: failed user_unknown_in_tenant: the tenant has no user 00000000-0000-4000-8000-000000000001; it was deleted or never existed
    1002: conflict user_is_resource_account: user2@customer.example is a resource account; map the PBX user to a person <->
    1003: conflict user_is_guest: user3@customer.example is a guest; map the PBX user to a person <->
    1004: conflict user_is_ineligible: user4@customer.example is not eligible for Teams; map the PBX user to a person <->
    1005: failed no_phone_licence: user5@customer.example has no Teams Phone licence; assign one in Microsoft 365
    1006: deferred licence_pending: the Teams Phone licence of user6@customer.example is not active yet
    1007: deferred not_in_teams_yet: Teams does not know user7@customer.example yet
    1008: failed number_unusable: the PBX number "2125550108" cannot be used in Teams: number does not begin with + and a country code
    1009: conflict policy_not_in_tenant: the tenant has no TeamsCallingPolicy named Gamma; create it there or change the rule <->
    1010: conflict number_is_secondary_line: +12125550110 is a private or alternate line of user10@customer.example <user10@customer.example>
    1011: conflict user_number_not_direct_routing: user11@customer.example has +12125550130 from a Calling Plan or an operator; take it off there first <user11@customer.example>
    1012: deferred operation_running: Microsoft is still working on +12125550112
    1013: failed number_activation_failed: user13@customer.example has +12125550113, but Microsoft could not activate it; take it off under Phone numbers in the Teams admin center, the next sync gives it again
    "#);
}

#[test]
fn a_number_wanted_twice_stays_where_it_is() {
    let mut tenant = Tenant::new();
    tenant.mapped(1, Some(1), Some(1));
    tenant.mapped(2, None, Some(1));
    assert_snapshot!(told(&tenant.plan()), @r"
    1001: conflict number_wanted_by_two_users: +12125550101 belongs to several mapped PBX users: 1001, 1002 <1001, 1002>
    1002: conflict number_wanted_by_two_users: +12125550101 belongs to several mapped PBX users: 1001, 1002 <1001, 1002>
    ");
}

#[test]
fn who_cannot_get_a_number_keeps_the_old_one_and_so_on_up_the_chain() {
    let mut tenant = Tenant::new();
    tenant.mapped(1, Some(1), Some(9));
    tenant.person(20);
    tenant.line(9, Some(20));
    tenant.mapped(2, Some(2), Some(1));
    tenant.mapped(3, None, Some(2));
    assert_snapshot!(told(&tenant.plan()), @r"
    1001: conflict number_held_by_unmanaged_user: +12125550109 is held by user20@customer.example; take it off that user in the Teams admin center <user20@customer.example>
    1002: conflict number_held_by_blocked_user: +12125550101 is held by user1@customer.example (PBX user 1001), whose own change is not possible <user1@customer.example (PBX user 1001)>
    1003: conflict number_held_by_blocked_user: +12125550102 is held by user2@customer.example (PBX user 1002), whose own change is not possible <user2@customer.example (PBX user 1002)>
    ");
}

#[test]
fn a_lock_stops_its_user_its_number_and_those_who_depend_on_them() {
    let mut tenant = Tenant::new();
    tenant.mapped(1, Some(1), Some(2));
    tenant.mapped(2, Some(2), Some(1));
    tenant.mapped(3, None, Some(3));
    // looks right, yet an open request may still change it
    tenant.mapped(4, Some(4), Some(4));
    for (n, locked) in [(1, None), (9, Some(3)), (4, Some(5))] {
        let reason = DeferReason::OutcomeUnknown;
        tenant.locks.push(Lock { oid: oid(n), number: locked.map(number), reason });
    }
    let plan = tenant.plan();
    assert!(plan.steps.is_empty());
    let codes: Vec<_> = plan.users.iter().map(|user| code(&user.verdict)).collect();
    assert_eq!(codes, ["outcome_unknown", "depends_on_deferred", "outcome_unknown", "outcome_unknown"]);
}

#[test]
fn a_former_user_keeps_the_number_until_its_successor_can_take_over() {
    let mut tenant = Tenant::new();
    tenant.leaving(1, 8, Some(1));
    tenant.mapped(1, None, Some(1));
    tenant.person(1).in_teams = false;
    assert_snapshot!(told(&tenant.plan()), @r"
    1001: deferred not_in_teams_yet: Teams does not know user1@customer.example yet
    1001: deferred depends_on_deferred: keeps its number until user1@customer.example (PBX user 1001) can take over
    ");
    tenant.person(1).licensed = Licence::Missing;
    assert_eq!(code(&tenant.plan().users[1].verdict), Code::SuccessorBlocked.as_str());
}

#[test]
fn a_managed_user_without_wanted_number_does_not_lose_a_foreign_one() {
    let mut tenant = Tenant::new();
    tenant.mapped(1, Some(1), None);
    tenant.standing.clear();
    tenant.mapped(2, None, Some(1));
    assert_snapshot!(told(&tenant.plan()), @r"
    1001: unchanged
    1002: conflict number_not_ours: +12125550101 is held by user1@customer.example, who did not get it from Tandem; take it off there first <user1@customer.example>
    ");
}

#[test]
fn too_many_removals_wait_for_a_person_and_the_rest_goes_on() {
    let mut tenant = Tenant::new();
    tenant.guard = RemovalGuard::DEFAULT;
    for n in 1..=4 {
        tenant.leaving(n, n, Some(n));
    }
    tenant.has_policy(4, "Alpha", true, true);
    tenant.mapped(5, Some(5), Some(4));
    tenant.mapped(6, None, Some(5));
    tenant.mapped(7, None, Some(7));
    let held = tenant.plan();
    assert_snapshot!(told(&held), @r"
    1. 1007 assign_number - -> +12125550107: the PBX gives the user this number
    held 1. 1001 unassign_number +12125550101 -> -: the PBX user was unmapped, deleted or disabled
    held 2. 1002 unassign_number +12125550102 -> -: the PBX user was unmapped, deleted or disabled
    held 3. 1003 unassign_number +12125550103 -> -: the PBX user was unmapped, deleted or disabled
    held 4. 1004 unassign_number +12125550104 -> -: the PBX user was unmapped, deleted or disabled
    held 5. 1004 unassign_policy Tag:Alpha -> - after [4]: the PBX user was unmapped, deleted or disabled
    1001: held: waits for approval: 4 users would lose what they have, of an account with 3 mapped
    1002: held: waits for approval: 4 users would lose what they have, of an account with 3 mapped
    1003: held: waits for approval: 4 users would lose what they have, of an account with 3 mapped
    1004: held: waits for approval: 4 users would lose what they have, of an account with 3 mapped
    1005: deferred depends_on_deferred: waits until user4@customer.example (PBX user 1004) can give up +12125550104
    1006: deferred depends_on_deferred: waits until user5@customer.example (PBX user 1005) can give up +12125550105
    1007: steps
    ");
    // three pass
    tenant.wanted.remove(0);
    let passed = tenant.plan();
    assert!(passed.held.is_empty());
    assert_ne!(passed.fingerprint, held.fingerprint);
    // unless the source lost everything
    tenant.hold_all_removals = true;
    assert_eq!(tenant.plan().held.len(), 4);
}

#[test]
fn two_mappings_of_one_microsoft_user_conflict() {
    let mut tenant = Tenant::new();
    tenant.mapped(1, None, Some(1));
    tenant.mapped(2, None, Some(2)).oid = oid(1);
    // a former mapping does not count
    tenant.mapped(3, None, Some(3));
    tenant.wanted.push(tandem_domain::wanted::leaving_user(&user(4), oid(3)));
    assert_snapshot!(told(&tenant.plan()), @r"
    1. 1003 assign_number - -> +12125550103: the PBX gives the user this number
    1001: conflict microsoft_user_mapped_twice: several PBX users are mapped to user1@customer.example: 1001, 1002 <1001, 1002>
    1002: conflict microsoft_user_mapped_twice: several PBX users are mapped to user1@customer.example: 1001, 1002 <1001, 1002>
    1003: steps
    1004: unchanged
    ");
}

#[test]
fn the_scope_closes_over_entangled_users_and_no_others() {
    let mut tenant = Tenant::new();
    tenant.mapped(1, Some(1), Some(9));
    tenant.mapped(2, Some(2), Some(1));
    tenant.mapped(3, None, Some(3));
    let plan = tenant.input(Scope::Users(BTreeSet::from([user(2), user(99)]))).plan();
    let users: Vec<_> = plan.users.iter().map(|planned| planned.user.clone()).collect();
    assert_eq!(users, [user(1), user(2)]);
}
