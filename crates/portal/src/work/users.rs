//! Users of an account: listing and explaining them, saving mappings, asking for a sync of one.

use aws_lc_rs::digest;
use tandem_domain::policy::Service;
use tandem_domain::roles::{Act, Field};
use tandem_domain::wanted::WantedUser;
use tandem_domain::{ObjectId, PbxUserId};
use tandem_store::admin::accounts::Mapping;
use tandem_store::admin::save::{mapping_change, put_mappings};
use tandem_store::log_read::{self, JobRow};
use tandem_store::microsoft_users::{self, MicrosoftUser};
use tandem_store::portal::audit;
use tandem_store::portal::explain::{self, Stands};
use tandem_store::portal::proposals::{self, Proposal};
use tandem_store::portal::users::{self, Filter, Licences, UserRow};
use tandem_store::{Tx, change, outbox, wanted};

use super::{PAGE, Page};
use crate::App;
use crate::fault::Fault;
use crate::fault::mapping::MappingFault;
use crate::guard::{InAccount, of};

/// Jobs that are shown of a user.
const JOBS: i64 = 3;

/// Proposals of a page.
const PROPOSALS: usize = 50;

/// A key of a PBX user out of an address.
pub(crate) fn key(text: &str) -> Result<PbxUserId, Fault> {
    let odd = text.is_empty() || text.len() > 400 || text.chars().any(char::is_control);
    if odd { Err(Fault::NotFound) } else { Ok(PbxUserId(text.to_owned())) }
}

/// What is searched for, out of an address.
pub(crate) fn searched(text: &str) -> Result<Option<String>, Fault> {
    let text = text.trim();
    if text.chars().count() > 100 || text.chars().any(char::is_control) {
        return Err(Fault::BadInput("search", "is one line of 100 characters at most"));
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

/// Names the mapping that a save was made from. Equal mappings have equal versions.
pub(crate) fn version(mapping: Option<&Mapping>) -> String {
    mapping.map_or_else(
        || "none".to_owned(),
        |mapping| {
            let number = mapping.number.as_deref().unwrap_or_default();
            format!("{}.{}.{number}", mapping.microsoft_user, mapping.service.as_str())
        },
    )
}

/// What this person's roles do not see is left out.
pub(super) fn seen(inside: &InAccount, row: UserRow) -> UserRow {
    if inside.roles.sees(Field::Mapping) {
        return row;
    }
    UserRow { mapping: None, upn: None, microsoft_name: None, seen_at: None, ..row }
}

/// A page of users by key.
pub(crate) async fn list(
    app: &App,
    inside: &InAccount,
    filter: Filter,
    after: &str,
) -> Result<Page<UserRow, PbxUserId>, Fault> {
    // whom somebody is mapped to is not to be found out by searching either
    let filter = Filter { microsoft: inside.roles.sees(Field::Mapping), ..filter };
    let mut tx = app.store.begin_for("portal.users", inside.id()).await?;
    let rows = users::list(&mut tx, inside.id(), &filter, after, PAGE + 1).await?;
    let rows = rows.into_iter().map(|row| seen(inside, row)).collect();
    Ok(Page::cut(rows, PAGE, |row: &UserRow| row.user.clone()))
}

/// Everything that explains one user.
#[derive(Clone, Debug)]
pub(crate) struct Explained {
    pub(crate) row: UserRow,
    pub(crate) wanted: Option<WantedUser>,
    pub(crate) stands: Vec<Stands>,
    /// The last jobs that did something for the user, newest first.
    pub(crate) jobs: Vec<JobRow>,
}

pub(crate) async fn explain(app: &App, inside: &InAccount, user: &PbxUserId) -> Result<Explained, Fault> {
    let account = inside.id();
    let mut tx = app.store.begin_for("portal.user", account).await?;
    let row = users::one(&mut tx, account, user).await?.ok_or(Fault::NotFound)?;
    let wanted = wanted::of_user(&mut tx, account, user).await?;
    let stands = explain::stands(&mut tx, account, user).await?;
    let mut jobs = Vec::new();
    for job in explain::jobs(&mut tx, account, user, JOBS).await? {
        jobs.extend(log_read::job(&mut tx, job).await?);
    }
    Ok(Explained { row: seen(inside, row), wanted, stands, jobs })
}

/// Microsoft users to choose from, by sign-in name, with those that cannot be chosen.
pub(crate) async fn microsoft(
    app: &App,
    inside: &InAccount,
    search: Option<String>,
) -> Result<Vec<MicrosoftUser>, Fault> {
    let mut tx = app.store.begin_for("portal.microsoft_users", inside.id()).await?;
    let filter = microsoft_users::Filter { search, ..microsoft_users::Filter::default() };
    Ok(microsoft_users::list(&mut tx, inside.id(), &filter, None, PAGE).await?)
}

/// Whom a user is mapped to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) microsoft_user: ObjectId,
    pub(crate) service: Service,
}

/// Saves the mapping of one user, or takes it away: mapping, change, announcement and audit record, or none of them.
/// `from` is the version that the save was made from. Gives the version that there is now.
pub(crate) async fn save(
    app: &App,
    inside: &InAccount,
    user: &PbxUserId,
    from: &str,
    target: Option<Target>,
) -> Result<String, Fault> {
    let account = inside.id();
    let mut tx = app.store.begin_for("portal.save_mapping", account).await?;
    let licences = users::lock(&mut tx, account).await?;
    let row = users::one(&mut tx, account, user).await?.ok_or(Fault::NotFound)?;
    if from != version(row.mapping.as_ref()) {
        return Err(Fault::Stale);
    }
    let mut after = "none".to_owned();
    let new = match target {
        None => None,
        Some(_) if row.gone => return Err(Fault::Mapping(MappingFault::UserGone)),
        Some(target) => {
            let stays = row.mapping.as_ref().is_some_and(|old| old.microsoft_user == target.microsoft_user);
            let upn = match stays {
                true => row.upn.clone().unwrap_or_else(|| target.microsoft_user.to_string()),
                false => eligible(&mut tx, inside, user, target.microsoft_user).await?,
            };
            after = format!("{upn} ({})", target.service.as_str());
            let number = row.mapping.as_ref().and_then(|mapping| mapping.number.clone());
            Some(Mapping { microsoft_user: target.microsoft_user, service: target.service, number })
        }
    };
    if new.is_some() && row.mapping.is_none() {
        room(licences, 1)?;
    }
    let now_is = version(new.as_ref());
    let save = Save { user, old: row.mapping.as_ref(), new: new.as_ref(), after };
    put(app, inside, &mut tx, &[save]).await?;
    tx.commit().await.map_err(MappingFault::of)?;
    Ok(now_is)
}

/// Whether so many more users can be mapped.
fn room(licences: Licences, more: i64) -> Result<(), Fault> {
    if more <= licences.free() {
        Ok(())
    } else if licences.used + more <= licences.sold {
        Err(Fault::Mapping(MappingFault::LicenceLeaving))
    } else {
        Err(Fault::Mapping(MappingFault::NoLicence))
    }
}

/// Sign-in name of a Microsoft user that this PBX user can be mapped to.
async fn eligible(tx: &mut Tx, inside: &InAccount, user: &PbxUserId, oid: ObjectId) -> Result<String, Fault> {
    let found = users::candidate(tx, inside.id(), oid).await?.filter(|found| !found.gone);
    let found = found.ok_or(Fault::Mapping(MappingFault::Unknown))?;
    if let Some(why) = found.why_not {
        return Err(Fault::Mapping(MappingFault::NotEligible(why)));
    }
    if found.mapped_to.is_some_and(|other| other != *user) {
        return Err(Fault::Mapping(MappingFault::Taken));
    }
    Ok(found.upn)
}

/// One mapping that becomes another.
pub(super) struct Save<'a> {
    pub(super) user: &'a PbxUserId,
    pub(super) old: Option<&'a Mapping>,
    pub(super) new: Option<&'a Mapping>,
    /// The new one in words.
    pub(super) after: String,
}

/// Saves mappings with their changes, announcements and audit records; the caller has the lock and commits.
pub(super) async fn put(app: &App, inside: &InAccount, tx: &mut Tx, saves: &[Save<'_>]) -> Result<(), Fault> {
    let (account, visitor, now) = (inside.id(), &inside.visitor, app.clock.now());
    let differ = |save: &&Save<'_>| save.old != save.new;
    let saves: Vec<&Save<'_>> = saves.iter().filter(differ).collect();
    let away: Vec<&PbxUserId> =
        saves.iter().filter(|save| save.old.is_some()).map(|save| save.user).collect();
    let new: Vec<(&PbxUserId, &Mapping)> =
        saves.iter().filter_map(|save| Some((save.user, save.new?))).collect();
    put_mappings(tx, account, &away, &new).await.map_err(MappingFault::of)?;
    let changes: Vec<_> = saves
        .iter()
        .filter_map(|save| mapping_change(account, save.user, (save.old, save.new), now))
        .collect();
    let recorded = change::record(tx, &format!("portal {}", visitor.name), &changes).await?;
    let Some(recorded) = recorded.first() else { return Ok(()) };
    let users: Vec<PbxUserId> = changes.iter().filter_map(|change| change.user.clone()).collect();
    let announced = app.announcer.changed(account, recorded.generation, &users, now, now);
    outbox::put(tx, &announced?).await?;
    let records: Vec<audit::Entry<'_>> = saves
        .iter()
        .map(|save| of(visitor, account, Act::SaveMapping, now, save.user.as_str(), &save.after, true))
        .collect();
    audit::append_all(tx, account, &records).await?;
    tracing::info!(%account, generation = recorded.generation, "mappings are being saved in the portal");
    Ok(())
}

/// Mappings that suggest themselves.
#[derive(Debug)]
pub(crate) struct Proposals {
    /// The first of them, one page at most.
    pub(crate) page: Vec<Proposal>,
    /// Names exactly those of the page.
    pub(crate) version: String,
    /// How many there are.
    pub(crate) total: usize,
    /// Names exactly all of them.
    pub(crate) version_of_all: String,
}

pub(crate) async fn proposals(app: &App, inside: &InAccount) -> Result<Proposals, Fault> {
    let mut tx = app.store.begin_for("portal.proposals", inside.id()).await?;
    let mut found = proposals::proposals(&mut tx, inside.id()).await?;
    let (total, version_of_all) = (found.len(), name_of(&found));
    found.truncate(PROPOSALS);
    Ok(Proposals { version: name_of(&found), page: found, total, version_of_all })
}

fn name_of(proposals: &[Proposal]) -> String {
    let mut pairs = digest::Context::new(&digest::SHA256);
    for one in proposals {
        pairs.update(one.user.as_str().as_bytes());
        pairs.update(b"\n");
        pairs.update(one.microsoft_user.0.as_bytes());
    }
    let digest = pairs.finish();
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Accepts the proposals that `from` names, those of the first page or all there are: every one or none. Gives how many.
pub(crate) async fn accept(app: &App, inside: &InAccount, from: &str) -> Result<usize, Fault> {
    let account = inside.id();
    let mut tx = app.store.begin_for("portal.accept_proposals", account).await?;
    let licences = users::lock(&mut tx, account).await?;
    let mut found = proposals::proposals(&mut tx, account).await?;
    if from != name_of(&found) {
        found.truncate(PROPOSALS);
    }
    if from != name_of(&found) {
        return Err(Fault::Stale);
    }
    room(licences, i64::try_from(found.len()).unwrap_or(i64::MAX))?;
    let mapping = |one: &Proposal| Mapping {
        microsoft_user: one.microsoft_user,
        service: Service::Voice,
        number: None,
    };
    let mappings: Vec<Mapping> = found.iter().map(mapping).collect();
    let saves: Vec<Save<'_>> = found
        .iter()
        .zip(&mappings)
        .map(|(one, mapping)| Save {
            user: &one.user,
            old: None,
            new: Some(mapping),
            after: format!("{} ({})", one.upn, mapping.service.as_str()),
        })
        .collect();
    put(app, inside, &mut tx, &saves).await?;
    tx.commit().await.map_err(MappingFault::of)?;
    Ok(found.len())
}
