//! What a file would do to the mappings of an account. All rows are judged together: a file may swap two users.

use std::collections::{BTreeMap, BTreeSet};

use tandem_domain::guard::RemovalGuard;
use tandem_domain::policy::Service;
use tandem_domain::{Number, ObjectId, PbxUserId};
use tandem_store::admin::accounts::Mapping;
use tandem_store::portal::imports::Listed;
use tandem_store::portal::users::{Licences, UserRow};
use uuid::Uuid;

use super::read::{Cells, Line};
use super::verdict::{Problem, Verdict};
use crate::fault::mapping::MappingFault;

/// What is known of the account.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) users: BTreeMap<PbxUserId, UserRow>,
    /// Microsoft users that the rows may mean.
    pub(crate) listed: Vec<Listed>,
    /// Numbers of the file that something of another account has.
    pub(crate) numbers_elsewhere: BTreeSet<String>,
    /// Microsoft users that another account has.
    pub(crate) users_elsewhere: BTreeSet<ObjectId>,
    pub(crate) licences: Licences,
}

/// A row that has been judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) line: u64,
    /// As the file has it.
    pub(crate) user: String,
    pub(crate) verdict: Verdict,
}

/// A file that has been judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Judged {
    pub(crate) rows: Vec<Row>,
    /// Why the licences do not cover it.
    pub(crate) licences: Option<MappingFault>,
    /// It takes away so much that a sync would hold it for a person.
    pub(crate) held: bool,
}

impl Judged {
    /// How many rows have such a verdict.
    pub(crate) fn count(&self, which: impl Fn(&Verdict) -> bool) -> usize {
        self.rows.iter().filter(|row| which(&row.verdict)).count()
    }

    /// Rows that would change something.
    pub(crate) fn changes(&self) -> usize {
        self.count(|verdict| matches!(verdict, Verdict::Add(_) | Verdict::Change(_) | Verdict::Unassign))
    }

    /// Whether everything can be saved.
    pub(crate) fn clean(&self) -> bool {
        self.licences.is_none() && self.count(|verdict| matches!(verdict, Verdict::Bad(_))) == 0
    }
}

/// What has to be looked up for a file: numbers, object ids, and sign-in names in lower case.
pub(crate) fn asked(lines: &[Line]) -> (Vec<String>, Vec<Uuid>, Vec<String>) {
    let (mut numbers, mut oids, mut names) = (Vec::new(), Vec::new(), Vec::new());
    for cells in lines.iter().filter_map(|line| line.cells.as_ref()) {
        numbers
            .extend(cells.number.as_ref().and_then(|text| Number::parse(text).ok()).map(|n| n.to_string()));
        match Uuid::try_parse(&cells.microsoft_user) {
            Ok(oid) => oids.push(oid),
            Err(_) if cells.microsoft_user.is_empty() => {}
            Err(_) => names.push(cells.microsoft_user.to_lowercase()),
        }
    }
    (numbers, oids, names)
}

type Wish = Result<(PbxUserId, Option<Mapping>), Problem>;

/// Judges the rows of a file.
pub(crate) fn judge(lines: &[Line], known: &Known) -> Judged {
    let index = Index::of(known);
    let mut wishes: Vec<(u64, Wish)> = lines.iter().map(|line| (line.line, index.wish(line))).collect();
    let repeated = settle(&mut wishes);
    let targets: BTreeMap<PbxUserId, Option<Mapping>> =
        wishes.iter().filter_map(|(_, wish)| wish.clone().ok()).collect();
    let rows = lines.iter().zip(wishes).map(|(line, (at, wish))| {
        let user = line.cells.as_ref().map(|cells| cells.pbx_user.clone()).unwrap_or_default();
        let verdict = match (wish, repeated.get(&at)) {
            (Ok(_), Some(first)) => Verdict::Repeated(*first),
            (Ok((user, target)), None) => index.verdict(&user, target, &targets),
            (Err(problem), _) => Verdict::Bad(problem),
        };
        Row { line: at, user, verdict }
    });
    let mut judged = Judged { rows: rows.collect(), licences: None, held: false };
    judged.licences = covered(&judged, known);
    let mapped = known.users.values().filter(|row| row.mapping.is_some()).count();
    let removals = judged.count(|verdict| matches!(verdict, Verdict::Unassign));
    judged.held = RemovalGuard::DEFAULT.holds(removals, mapped);
    judged
}

/// Rows that say the same twice are told from rows that conflict. Gives the earlier line of those that only repeat it.
fn settle(wishes: &mut [(u64, Wish)]) -> BTreeMap<u64, u64> {
    let mut users: BTreeMap<PbxUserId, (u64, Option<Mapping>)> = BTreeMap::new();
    let mut microsoft: BTreeMap<ObjectId, u64> = BTreeMap::new();
    let mut numbers: BTreeMap<String, u64> = BTreeMap::new();
    let mut repeated = BTreeMap::new();
    for (line, wish) in wishes {
        let Ok((user, target)) = wish else { continue };
        if let Some((first, before)) = users.get(user) {
            if before == target {
                repeated.insert(*line, *first);
            } else {
                *wish = Err(Problem::Conflicting(*first));
            }
            continue;
        }
        users.insert(user.clone(), (*line, target.clone()));
        let Some(mapping) = target.clone() else { continue };
        if let Some(first) = microsoft.insert(mapping.microsoft_user, *line) {
            *wish = Err(Problem::MicrosoftTwice(first));
        } else if let Some(first) = mapping.number.and_then(|number| numbers.insert(number, *line)) {
            *wish = Err(Problem::NumberTwice(first));
        }
    }
    repeated
}

/// Why the licences do not cover what the file adds. One that is given back is free at once where nothing stands in
/// Teams for the user who had it.
fn covered(judged: &Judged, known: &Known) -> Option<MappingFault> {
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let adds = count(judged.count(|verdict| matches!(verdict, Verdict::Add(_))));
    let leaves = |row: &&Row| row.verdict == Verdict::Unassign;
    let stands =
        |row: &Row| known.users.get(&PbxUserId(row.user.clone())).is_some_and(|known| known.facts.standing);
    let away = count(judged.rows.iter().filter(leaves).count());
    let standing = count(judged.rows.iter().filter(leaves).filter(|row| stands(row)).count());
    let Licences { sold, used, leaving } = known.licences;
    if adds == 0 || used + adds - away + leaving + standing <= sold {
        None
    } else if used + adds - away <= sold {
        Some(MappingFault::LicenceLeaving)
    } else {
        Some(MappingFault::NoLicence)
    }
}

struct Index<'a> {
    known: &'a Known,
    by_oid: BTreeMap<ObjectId, &'a Listed>,
    by_name: BTreeMap<String, &'a Listed>,
}

impl<'a> Index<'a> {
    fn of(known: &'a Known) -> Self {
        let mut by_name = BTreeMap::new();
        for listed in &known.listed {
            let name = listed.candidate.upn.to_lowercase();
            // a name may have belonged to somebody who is gone
            if !listed.candidate.gone || !by_name.contains_key(&name) {
                by_name.insert(name, listed);
            }
        }
        let by_oid = known.listed.iter().map(|listed| (listed.oid, listed)).collect();
        Self { known, by_oid, by_name }
    }

    /// What a row asks for, as far as it can be told from the row alone.
    fn wish(&self, line: &Line) -> Wish {
        let cells = line.cells.as_ref().ok_or(Problem::Cells)?;
        if cells.pbx_user.is_empty() {
            return Err(Problem::UserMissing);
        }
        let user = PbxUserId(cells.pbx_user.clone());
        let row = self.known.users.get(&user).ok_or(Problem::UserUnknown)?;
        let old = row.mapping.as_ref();
        let given = |cell: &Option<String>| cell.as_ref().is_some_and(|text| !text.is_empty());
        if cells.microsoft_user.is_empty() {
            let meant = given(&cells.service) || given(&cells.number);
            return if meant { Err(Problem::MicrosoftMissing) } else { Ok((user, None)) };
        }
        let microsoft_user = self.oid(cells, old)?;
        let service = match cells.service.as_deref() {
            None | Some("") => old.map_or(Service::Voice, |old| old.service),
            Some(text) => Service::parse(&text.to_lowercase()).ok_or(Problem::ServiceUnknown)?,
        };
        let number = match cells.number.as_deref() {
            None => old.and_then(|old| old.number.clone()).filter(|_| service == Service::Voice),
            Some("") => None,
            Some(_) if service == Service::App => return Err(Problem::AppNumber),
            Some(text) => Some(number(text)?),
        };
        if number.as_ref().is_some_and(|number| self.known.numbers_elsewhere.contains(number)) {
            return Err(Problem::NumberElsewhere);
        }
        Ok((user, Some(Mapping { microsoft_user, service, number })))
    }

    fn oid(&self, cells: &Cells, old: Option<&Mapping>) -> Result<ObjectId, Problem> {
        let unknown = Problem::Mapping(MappingFault::Unknown);
        match Uuid::try_parse(&cells.microsoft_user).map(ObjectId) {
            Ok(oid) if old.is_some_and(|old| old.microsoft_user == oid) => Ok(oid),
            Ok(oid) => self.by_oid.get(&oid).map(|listed| listed.oid).ok_or(unknown),
            Err(_) => {
                let found = self.by_name.get(&cells.microsoft_user.to_lowercase());
                found.map(|listed| listed.oid).ok_or(unknown)
            }
        }
    }

    /// What becomes of a user, given what becomes of all others.
    fn verdict(
        &self,
        user: &PbxUserId,
        target: Option<Mapping>,
        targets: &BTreeMap<PbxUserId, Option<Mapping>>,
    ) -> Verdict {
        let row = self.known.users.get(user);
        let old = row.and_then(|row| row.mapping.as_ref());
        let Some(target) = target else {
            return if old.is_some() { Verdict::Unassign } else { Verdict::Unchanged };
        };
        if old == Some(&target) {
            return Verdict::Unchanged;
        }
        if row.is_some_and(|row| row.gone) {
            return Verdict::Bad(Problem::Mapping(MappingFault::UserGone));
        }
        let stays = old.is_some_and(|old| old.microsoft_user == target.microsoft_user);
        if !stays && let Some(problem) = self.refused(user, target.microsoft_user, targets) {
            return Verdict::Bad(problem);
        }
        if old.is_some() { Verdict::Change(target) } else { Verdict::Add(target) }
    }

    fn refused(
        &self,
        user: &PbxUserId,
        oid: ObjectId,
        targets: &BTreeMap<PbxUserId, Option<Mapping>>,
    ) -> Option<Problem> {
        if self.known.users_elsewhere.contains(&oid) {
            return Some(Problem::MicrosoftElsewhere);
        }
        let found = self.by_oid.get(&oid).map(|listed| &listed.candidate).filter(|found| !found.gone);
        let Some(found) = found else { return Some(Problem::Mapping(MappingFault::Unknown)) };
        if let Some(why) = found.why_not {
            return Some(Problem::Mapping(MappingFault::NotEligible(why)));
        }
        let other = found.mapped_to.as_ref().filter(|other| *other != user)?;
        let leaves = targets
            .get(other)
            .is_some_and(|target| target.as_ref().is_none_or(|target| target.microsoft_user != oid));
        (!leaves).then_some(Problem::Mapping(MappingFault::Taken))
    }
}

fn number(text: &str) -> Result<String, Problem> {
    let quantity = text.contains(['e', 'E'])
        && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'e' | b'E' | b'.' | b',' | b'+'));
    if quantity {
        return Err(Problem::NumberDamaged);
    }
    Number::parse(text).map(|number| number.to_string()).map_err(Problem::Number)
}
