use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn account(n: u8) -> AccountId {
    AccountId(Uuid::from_u128(u128::from(n)))
}

fn user(n: u8) -> PbxUserId {
    PbxUserId(format!("user-{n}"))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stored {
    digest: i64,
    missing_once: bool,
    tombstone: bool,
}

type World = BTreeMap<(u8, u8), i64>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Created(i64),
    Updated(i64),
    Deleted,
}

/// The store as a detector keeps it, and everything it ever told.
#[derive(Clone, Default)]
struct Store {
    users: BTreeMap<(u8, u8), Stored>,
    told: Vec<((u8, u8), Told)>,
}

impl Store {
    fn diff(&self) -> SnapshotDiff {
        SnapshotDiff::new(self.users.iter().map(|(&(a, u), s)| Known {
            key: UserKey::of(account(a), &user(u)),
            account: account(a),
            digest: s.digest,
            missing_once: s.missing_once,
            tombstone: s.tombstone,
        }))
    }

    fn take(
        &mut self,
        rows: &[((u8, u8), i64)],
        guard: RemovalGuard,
        released: &BTreeSet<AccountId>,
    ) -> Finish {
        let mut diff = self.diff();
        let seen: Vec<_> =
            rows.iter().map(|&((a, u), d)| ((a, u), d, diff.see(account(a), &user(u), d))).collect();
        let finish = diff.finish(guard, released);
        if finish.refused.is_some() {
            return finish;
        }
        for (who, digest, seen) in seen {
            match seen {
                Seen::Same | Seen::Duplicate | Seen::Found { changed: false } => {}
                Seen::New | Seen::Returned => self.told.push((who, Told::Created(digest))),
                Seen::Changed | Seen::Found { changed: true } => self.told.push((who, Told::Updated(digest))),
            }
            self.users.insert(who, Stored { digest, missing_once: false, tombstone: false });
        }
        let who = |key: UserKey, users: &BTreeMap<(u8, u8), Stored>| {
            users.keys().copied().find(|&(a, u)| UserKey::of(account(a), &user(u)) == key).unwrap()
        };
        for missing in &finish.marked {
            let who = who(missing.key, &self.users);
            self.users.get_mut(&who).unwrap().missing_once = true;
        }
        for missing in &finish.deleted {
            let who = who(missing.key, &self.users);
            *self.users.get_mut(&who).unwrap() = Stored { digest: 0, missing_once: false, tombstone: true };
            self.told.push((who, Told::Deleted));
        }
        finish
    }

    fn look(&mut self, world: &World) -> Finish {
        let rows: Vec<_> = world.iter().map(|(&k, &d)| (k, d)).collect();
        self.take(&rows, NO_GUARD, &BTreeSet::new())
    }

    /// What somebody who only heard the events believes.
    fn replay(&self) -> World {
        let mut world = World::new();
        for &(who, told) in &self.told {
            match told {
                Told::Created(d) => assert_eq!(world.insert(who, d), None, "created twice"),
                Told::Updated(d) => {
                    assert_ne!(world.insert(who, d).expect("updated, but unknown"), d, "no difference");
                }
                Told::Deleted => assert!(world.remove(&who).is_some(), "deleted, but unknown"),
            }
        }
        world
    }

    fn confirmed(&self) -> World {
        self.users.iter().filter(|(_, s)| !s.tombstone).map(|(&k, s)| (k, s.digest)).collect()
    }
}

/// Lets every deletion pass that leaves something.
const NO_GUARD: RemovalGuard = RemovalGuard { floor: usize::MAX, percent: 100 };

fn world() -> impl Strategy<Value = World> {
    proptest::collection::btree_map((0_u8..3, 0_u8..6), 0_i64..4, 0..12)
}

/// An anchor user per account, so that neither "everything gone" nor "no rows" gets in the way.
fn anchored(mut world: World) -> World {
    for a in 0..3 {
        world.insert((a, 200), 1);
    }
    world
}

#[derive(Clone, Debug)]
enum Look {
    Complete(World),
    Failed(World),
    Twice(World),
    Empty,
}

fn look() -> impl Strategy<Value = Look> {
    prop_oneof![
        6 => world().prop_map(|w| Look::Complete(anchored(w))),
        1 => world().prop_map(|w| Look::Failed(anchored(w))),
        1 => world().prop_map(|w| Look::Twice(anchored(w))),
        1 => Just(Look::Empty),
    ]
}

proptest! {
    #[test]
    fn events_replayed_are_the_confirmed_state(looks in proptest::collection::vec(look(), 1..12)) {
        let mut store = Store::default();
        let mut last = None;
        for look in looks {
            let before = (store.users.clone(), store.told.len());
            match look {
                Look::Complete(world) => {
                    store.look(&world);
                    last = Some(world);
                }
                Look::Failed(world) => {
                    let mut diff = store.diff();
                    for (&(a, u), &d) in world.iter().take(3) {
                        diff.see(account(a), &user(u), d);
                    }
                    drop(diff);
                    prop_assert_eq!(&before, &(store.users.clone(), store.told.len()));
                }
                Look::Twice(world) => {
                    let mut rows: Vec<_> = world.iter().map(|(&k, &d)| (k, d)).collect();
                    rows.push(rows[0]);
                    let finish = store.take(&rows, NO_GUARD, &BTreeSet::new());
                    prop_assert_eq!(finish.refused.unwrap().code(), "duplicate_key");
                    prop_assert_eq!(&before, &(store.users.clone(), store.told.len()));
                }
                Look::Empty => {
                    let finish = store.take(&[], NO_GUARD, &BTreeSet::new());
                    prop_assert_eq!(finish.refused.unwrap().code(), "zero_rows");
                    prop_assert_eq!(&before, &(store.users.clone(), store.told.len()));
                }
            }
            prop_assert_eq!(store.replay(), store.confirmed());
        }
        if let Some(world) = last {
            store.look(&world);
            store.look(&world);
            prop_assert_eq!(store.replay(), world);
            let told = store.told.len();
            store.look(&store.confirmed());
            prop_assert_eq!(told, store.told.len());
        }
    }

    #[test]
    fn gone_and_back_between_two_looks_tells_nothing(world in world(), gone in world()) {
        let world = anchored(world);
        let mut store = Store::default();
        store.look(&world);
        let told = store.told.len();
        let without: World = world.iter().filter(|(k, _)| k.1 == 200 || !gone.contains_key(*k)).map(|(&k, &d)| (k, d)).collect();
        store.look(&without);
        store.look(&world);
        prop_assert_eq!(told, store.told.len());
        prop_assert_eq!(store.replay(), world);
    }

    #[test]
    fn a_held_account_loses_nobody_and_the_others_go_on(lost in 4_u8..20) {
        let full: World = (0..20).map(|u| ((0, u), 1)).chain((0..20).map(|u| ((1, u), 1))).collect();
        let mut store = Store::default();
        store.look(&full);
        let told = store.told.len();
        let rows: Vec<_> = full.iter().filter(|((a, u), _)| if *a == 0 { *u >= lost } else { *u >= 2 }).map(|(&k, &d)| (k, d)).collect();
        let none = BTreeSet::new();
        store.take(&rows, RemovalGuard::DEFAULT, &none);
        prop_assert_eq!(told, store.told.len());
        let finish = store.take(&rows, RemovalGuard::DEFAULT, &none);
        prop_assert_eq!(&finish.held, &[Losses { account: account(0), missing: usize::from(lost), known: 20 }]);
        prop_assert_eq!(finish.losses.len(), 2);
        prop_assert_eq!(store.told.len() - told, 2);
        let finish = store.take(&rows, RemovalGuard::DEFAULT, &BTreeSet::from([account(0)]));
        prop_assert!(finish.held.is_empty());
        prop_assert_eq!(finish.deleted.len(), usize::from(lost));
    }
}

#[test]
fn an_unreadable_row_keeps_its_user() {
    let mut store = Store::default();
    store.look(&World::from([((0, 1), 1), ((0, 2), 1)]));
    store.look(&World::from([((0, 1), 1)]));
    assert!(store.users[&(0, 2)].missing_once);
    let mut diff = store.diff();
    assert_eq!(diff.see(account(0), &user(1), 1), Seen::Same);
    assert_eq!(diff.see_unreadable(account(0), &user(2)), Seen::Found { changed: false });
    assert_eq!(diff.see_unreadable(account(0), &user(9)), Seen::Same);
    assert_eq!(diff.rows(), 3);
    let finish = diff.finish(RemovalGuard::DEFAULT, &BTreeSet::new());
    assert!(finish.marked.is_empty() && finish.deleted.is_empty());
}

#[test]
fn a_deleted_user_that_comes_back_is_created_again() {
    let mut store = Store::default();
    let both = World::from([((0, 1), 1), ((0, 2), 1)]);
    let one = World::from([((0, 1), 1)]);
    for world in [&both, &one, &one, &one, &both] {
        store.look(world);
    }
    let events: Vec<Told> =
        store.told.iter().filter(|(who, _)| *who == (0, 2)).map(|(_, told)| *told).collect();
    assert_eq!(events, [Told::Created(1), Told::Deleted, Told::Created(1)]);
}

#[test]
fn a_known_user_takes_32_bytes() {
    assert_eq!(size_of::<Entry>(), 32);
    let key = UserKey::of(account(1), &user(1));
    assert_eq!(UserKey::from_bytes(key.to_bytes()), key);
    assert_ne!(key, UserKey::of(account(2), &user(1)));
}
