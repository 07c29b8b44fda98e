//! What a profile that was seen means, given what is stored.

use serde_json::{Map, Value};
use tandem_domain::{AccountId, PbxUserId, Profile};
use tandem_store::change::{ChangeKind, NewChange};
use tandem_store::pbx::profiles::{Probe, Stored, Write};
use time::OffsetDateTime;

/// A user that a source shows.
#[derive(Clone, Debug)]
pub(crate) struct Edit {
    pub(crate) account: AccountId,
    pub(crate) user: PbxUserId,
    /// `None`: it is there, and nothing else is known.
    pub(crate) body: Option<Body>,
}

/// A profile, also in the form in which it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    pub(crate) profile: Profile,
    pub(crate) json: String,
    pub(crate) digest: i64,
}

impl Body {
    pub(crate) fn of(profile: Profile) -> Result<Self, serde_json::Error> {
        let json = serde_json::to_string(&profile)?;
        let digest = Profile::digest_of(&json);
        Ok(Self { profile, json, digest })
    }
}

impl Edit {
    pub(crate) fn probe(&self) -> Probe<'_> {
        let digest = self.body.as_ref().map(|body| body.digest);
        Probe { account: self.account, user: &self.user, digest }
    }

    fn write<'e>(&'e self, body: &'e Body, place: Option<String>) -> Write<'e> {
        Write { account: self.account, user: &self.user, json: &body.json, digest: body.digest, place }
    }
}

/// What is to be done about a batch of edits.
#[derive(Debug, Default)]
pub(crate) struct Judged<'e> {
    /// Profiles to write.
    pub(crate) writes: Vec<Write<'e>>,
    /// Missing marks to take away.
    pub(crate) found: Vec<(AccountId, &'e PbxUserId)>,
    /// What to tell.
    pub(crate) changes: Vec<NewChange>,
    /// Edits older than what is stored: the next read looks again.
    pub(crate) left: usize,
}

impl Judged<'_> {
    /// Adds what was judged elsewhere.
    pub(crate) fn append(&mut self, other: &mut Self) {
        self.writes.append(&mut other.writes);
        self.found.append(&mut other.found);
        self.changes.append(&mut other.changes);
        self.left += other.left;
    }
}

/// When something was noticed, and when it was saved, where the source tells.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) detected_at: OffsetDateTime,
    pub(crate) saved_at: Option<OffsetDateTime>,
}

/// Judges edits. `stored` tells what was found about each, in the same order.
pub(crate) fn judge<'e>(
    edits: &'e [Edit],
    stored: impl IntoIterator<Item = Option<Stored>>,
    times: Times,
) -> Judged<'e> {
    let mut judged = Judged::default();
    for (edit, stored) in edits.iter().zip(stored) {
        judge_one(edit, stored, times, &mut judged);
    }
    judged
}

fn judge_one<'e>(edit: &'e Edit, stored: Option<Stored>, times: Times, judged: &mut Judged<'e>) {
    let Some(body) = &edit.body else {
        if stored.is_some_and(|s| s.missing && !s.deleted && !s.newer) {
            judged.found.push((edit.account, &edit.user));
        }
        return;
    };
    let stored = match stored {
        Some(stored) if !stored.deleted || stored.newer => stored,
        gone => {
            judged.writes.push(edit.write(body, gone.map(|gone| gone.place)));
            judged.changes.push(created(edit, &body.profile, times));
            return;
        }
    };
    if stored.newer {
        judged.left += 1;
    } else if stored.same {
        if stored.missing {
            judged.found.push((edit.account, &edit.user));
        }
    } else {
        judged.changes.extend(updated(edit, stored.profile.as_deref(), &body.profile, times));
        judged.writes.push(edit.write(body, Some(stored.place)));
    }
}

/// Fields that say something: the others have their default, and reading the change back gives it to them.
fn told(profile: &Profile) -> (Vec<&'static str>, Map<String, Value>) {
    let fields = Profile::default().changed_fields(profile);
    let values = profile.pick(&fields);
    (fields, values)
}

fn created(edit: &Edit, profile: &Profile, times: Times) -> NewChange {
    let (fields, after) = told(profile);
    change(edit.account, edit.user.clone(), ChangeKind::Created, times, fields, None, Some(after))
}

/// `None` when only the form of the stored row differs, as after a release that added a field.
fn updated(edit: &Edit, before: Option<&str>, after: &Profile, times: Times) -> Option<NewChange> {
    let before: Option<Profile> = before.and_then(|json| serde_json::from_str(json).ok());
    // a stored row that no longer parses tells nothing about the fields: all of them may differ
    let fields = before.as_ref().map_or_else(|| Profile::FIELDS.to_vec(), |b| b.changed_fields(after));
    if fields.is_empty() {
        return None;
    }
    let (before, after) = (before.map(|b| b.pick(&fields)), after.pick(&fields));
    Some(change(edit.account, edit.user.clone(), ChangeKind::Updated, times, fields, before, Some(after)))
}

/// The change that tells of a deletion; `profile` is the stored JSON.
pub(crate) fn deleted(account: AccountId, user: PbxUserId, profile: &str, times: Times) -> NewChange {
    let profile: Profile = serde_json::from_str(profile).unwrap_or_default();
    let (fields, before) = told(&profile);
    change(account, user, ChangeKind::Deleted, times, fields, Some(before), None)
}

fn change(
    account: AccountId,
    user: PbxUserId,
    kind: ChangeKind,
    times: Times,
    fields: Vec<&'static str>,
    before: Option<Map<String, Value>>,
    after: Option<Map<String, Value>>,
) -> NewChange {
    let Times { detected_at, saved_at } = times;
    NewChange { account, user: Some(user), kind, fields, before, after, detected_at, saved_at }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;
    use uuid::Uuid;

    use super::*;

    fn edit(name: Option<&str>) -> Edit {
        let profile = name.map(|name| Profile { display_name: Some(name.into()), ..Profile::default() });
        let body = profile.map(|profile| Body::of(profile).unwrap());
        Edit { account: AccountId(Uuid::from_u128(1)), user: "u".into(), body }
    }

    fn stored(name: &str, edit: &Edit) -> Stored {
        let body = Body::of(Profile { display_name: Some(name.into()), ..Profile::default() }).unwrap();
        let same = edit.body.as_ref().is_some_and(|b| b.digest == body.digest);
        let profile = (!same).then_some(body.json);
        Stored { same, profile, missing: false, deleted: false, newer: false, place: "(0,1)".to_owned() }
    }

    fn times() -> Times {
        Times { detected_at: OffsetDateTime::UNIX_EPOCH, saved_at: None }
    }

    /// (writes, found, kinds told, left)
    fn outcome(edit: Edit, stored: Option<Stored>) -> (usize, usize, Vec<&'static str>, usize) {
        let edits = [edit];
        let judged = judge(&edits, [stored], times());
        let kinds = judged.changes.iter().map(|c| c.kind.as_str()).collect();
        (judged.writes.len(), judged.found.len(), kinds, judged.left)
    }

    #[test]
    fn every_case_of_a_seen_user() {
        let e = edit(Some("Ana"));
        assert_eq!(outcome(e.clone(), None), (1, 0, vec!["created"], 0));
        assert_eq!(outcome(e.clone(), Some(stored("Ana", &e))), (0, 0, vec![], 0));
        assert_eq!(outcome(e.clone(), Some(stored("Bo", &e))), (1, 0, vec!["updated"], 0));
        let missing = Stored { missing: true, ..stored("Ana", &e) };
        assert_eq!(outcome(e.clone(), Some(missing)), (0, 1, vec![], 0));
        let gone = Stored { deleted: true, ..stored("Ana", &e) };
        assert_eq!(outcome(e.clone(), Some(gone.clone())), (1, 0, vec!["created"], 0));
        assert_eq!(outcome(e.clone(), Some(Stored { newer: true, ..gone })), (0, 0, vec![], 1));
        let newer = Stored { newer: true, ..stored("Bo", &e) };
        assert_eq!(outcome(e.clone(), Some(newer)), (0, 0, vec![], 1));
        let unread = Stored { profile: Some("{\"gone_field\":1}".into()), ..stored("Bo", &e) };
        assert_eq!(outcome(e, Some(unread)), (1, 0, vec!["updated"], 0));
    }

    #[test]
    fn a_user_that_is_only_known_to_be_there_loses_its_mark_and_nothing_else() {
        let e = edit(None);
        assert_eq!(outcome(e.clone(), None), (0, 0, vec![], 0));
        assert_eq!(outcome(e.clone(), Some(stored("Ana", &e))), (0, 0, vec![], 0));
        let missing = Stored { missing: true, ..stored("Ana", &e) };
        assert_eq!(outcome(e, Some(missing)), (0, 1, vec![], 0));
    }

    #[test]
    fn a_row_in_an_old_form_is_refreshed_and_not_told() {
        let e = edit(Some("Ana"));
        let old = Stored { profile: Some("{\"display_name\":\"Ana\"}".into()), ..stored("Bo", &e) };
        assert_eq!(outcome(e, Some(old)), (1, 0, vec![], 0));
    }

    #[test]
    fn changes_are_narrow_and_can_be_read_back() {
        let edits = [edit(Some("Ana"))];
        let judged = judge(&edits, [Some(stored("Bo", &edits[0]))], times());
        let change = &judged.changes[0];
        assert_eq!(change.fields, ["display_name"]);
        assert_eq!(change.before.as_ref().unwrap()["display_name"], "Bo");
        assert_eq!(change.after.as_ref().unwrap()["display_name"], "Ana");

        let judged = judge(&edits, [None], times());
        let after = Value::Object(judged.changes[0].after.clone().unwrap());
        let back: Profile = serde_json::from_value(after).unwrap();
        assert_eq!(back, edits[0].body.as_ref().unwrap().profile);
    }
}
