//! Tenants made up at random.

use std::collections::BTreeSet;

use proptest::prelude::*;
use tandem_domain::ladder::DeferReason;
use tandem_domain::plan::{HolderKind, Licence, Lock};

use crate::tenant::{CALLING, Tenant, number, oid};

const POLICIES: [&str; 3] = ["alpha", "beta", "gamma"];

/// What one user is made from.
#[derive(Clone, Debug)]
struct Seed {
    managed: bool,
    leaving: bool,
    has: Option<u8>,
    ours: bool,
    wants: Option<u8>,
    licence: Licence,
    in_teams: bool,
    locked: bool,
    policy_wanted: Option<usize>,
    policy_has: Option<(usize, bool, bool)>,
}

fn rarely() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.08)
}

fn seed(numbers: u8) -> impl Strategy<Value = Seed> {
    let licence = prop_oneof![12 => Just(Licence::Active), 1 => Just(Licence::Warning), 1 => Just(Licence::Missing), 1 => Just(Licence::Unknown)];
    (
        (prop::bool::weighted(0.9), prop::bool::weighted(0.15), prop::option::weighted(0.8, 0..numbers)),
        (prop::bool::weighted(0.9), prop::option::weighted(0.9, 0..numbers), licence),
        (rarely(), rarely(), prop::option::of(0..3_usize)),
        prop::option::of((0..3_usize, any::<bool>(), any::<bool>())),
    )
        .prop_map(
            |((managed, leaving, has), (ours, wants, licence), (away, locked, policy_wanted), policy_has)| {
                let in_teams = !away;
                Seed {
                    managed,
                    leaving,
                    has,
                    ours,
                    wants,
                    licence,
                    in_teams,
                    locked,
                    policy_wanted,
                    policy_has,
                }
            },
        )
}

/// Tenants of all sorts: `numbers` close to the count of users makes chains and rings likely.
pub(crate) fn tenants() -> impl Strategy<Value = Tenant> {
    let special = (0..24_u8, 0..6_usize, any::<bool>());
    (2..10_u8)
        .prop_flat_map(move |users| {
            let seeds = prop::collection::vec(seed(users + 2), usize::from(users));
            // half of the tenants have every number wanted at most once
            let once = prop::option::of(Just((0..users + 2).collect::<Vec<u8>>()).prop_shuffle());
            (seeds, once, prop::collection::vec(special.clone(), 0..3))
        })
        .prop_map(|(mut seeds, once, specials)| {
            if let Some(order) = once {
                for (seed, wants) in seeds.iter_mut().zip(order) {
                    seed.wants = seed.wants.map(|_| wants);
                }
            }
            build(&seeds, &specials)
        })
}

fn build(seeds: &[Seed], specials: &[(u8, usize, bool)]) -> Tenant {
    let mut tenant = Tenant::new();
    let mut taken = BTreeSet::new();
    let kinds = [
        HolderKind::Conference,
        HolderKind::VoiceApp,
        HolderKind::ThirdPartyApp,
        HolderKind::Policy,
        HolderKind::Unknown,
        HolderKind::Unassigned,
    ];
    for (n, kind, direct_routing) in specials {
        if taken.insert(*n) {
            let line = tenant.line(*n, None);
            (line.holder, line.direct_routing) = (kinds[*kind], *direct_routing);
        }
    }
    for (n, seed) in (0..).zip(seeds) {
        let has = seed.has.filter(|has| taken.insert(*has));
        if !seed.managed {
            tenant.person(n);
            if let Some(has) = has {
                tenant.line(has, Some(n));
            }
            continue;
        }
        if seed.leaving {
            tenant.leaving(n, n, has);
        } else {
            let wanted = tenant.mapped(n, has, seed.wants);
            wanted.policies.extend(seed.policy_wanted.map(|at| (CALLING.into(), POLICIES[at].to_owned())));
        }
        if !seed.ours {
            tenant.standing.remove(&oid(n));
        }
        if let Some(line) = has.and_then(|has| tenant.lines.get_mut(&number(has))) {
            line.listed = !seed.locked;
        }
        if let Some((at, direct, ours)) = seed.policy_has {
            tenant.has_policy(n, POLICIES[at], direct, ours);
        }
        let person = tenant.person(n);
        (person.licensed, person.in_teams) = (seed.licence, seed.in_teams);
        if seed.locked {
            let locked = seed.wants.filter(|wants| wants % 2 == 0).map(number);
            tenant.locks.push(Lock { oid: oid(n), number: locked, reason: DeferReason::OperationRunning });
        }
    }
    tenant.policy_ids.values_mut().for_each(|ids| _ = ids.insert("gamma".into(), None));
    tenant
}

/// Every user has a number and should have that of another: nothing but swaps and rings, or chains where one leaves.
pub(crate) fn permutations() -> impl Strategy<Value = Tenant> {
    (2..12_u8, any::<bool>())
        .prop_flat_map(|(users, open)| {
            (Just(users), Just(open), Just((0..users).collect::<Vec<u8>>()).prop_shuffle())
        })
        .prop_map(|(users, open, order)| {
            let mut tenant = Tenant::new();
            for n in 0..users {
                let has = (!open || n > 0).then_some(n);
                tenant.mapped(n, has, Some(order[usize::from(n)]));
            }
            tenant
        })
}
