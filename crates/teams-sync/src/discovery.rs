//! The account's list of Microsoft users, refreshed by Manual jobs over everything.
//!
//! The reads are those that the job needs anyway: numbers, then what Teams knows, then the directory, all in pages. Of
//! every user only a few bytes are held while the lists are read; each page of the directory is judged and saved before
//! the next is asked for. What the job needs of them, the managed users and whoever holds a number, is handed on to it.
//!
//! A list that could not be read to its end is marked *cut*, with where and why, and takes nobody off: a cut list costs
//! the list and never the sync, which then reads for itself.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use serde_json::json;
use tandem_domain::ObjectId;
use tandem_domain::eligible::{Counts, InTeams, Lines, judge};
use tandem_domain::job::JobType;
use tandem_domain::plan::Scope;
use tandem_domain::policy::PolicyType;
use tandem_graph::{ErrorClass, NumberFilter, Pages, TenantClient, User};
use tandem_store::StoreError;
use tandem_store::claims::{Claim, NewEvent};
use tandem_store::microsoft_users::{self, Ended, Seen};
use tandem_store::wanted::Snapshot;
use uuid::Uuid;

use crate::journal::Journal;
use crate::reads::{self, Listed, Reads, Recorded};
use crate::{Shared, facts};

/// Why reading ended before its end.
enum Stop {
    Store(StoreError),
    Cut { at: String, why: String },
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Refreshes the list where the job is one that does; gives what it read, if it read all of it.
#[tracing::instrument(name = "teams-sync.discovery", skip_all, fields(account = %claim.account, job = %claim.job))]
pub(crate) async fn refresh(
    shared: &Arc<Shared>,
    claim: &Claim,
    journal: &Journal,
    client: &TenantClient,
    snapshot: &Snapshot,
    scope: &Scope,
) -> Result<Option<Reads>, StoreError> {
    if claim.job_type != JobType::Manual || *scope != Scope::All {
        return Ok(None);
    }
    let id = shared.ids.v7(&shared.clock);
    let mut tx = journal.begin("discovery.begin").await?;
    microsoft_users::begin(&mut tx, id, claim.account, claim.job, claim.epoch).await?;
    tx.commit().await?;
    let managed = snapshot.wanted.iter().map(|wanted| wanted.oid.0).collect();
    let mut reading = Reading {
        shared,
        client,
        id,
        managed,
        types: &snapshot.policy_types,
        pages: 0,
        seen: HashSet::new(),
        counts: Counts::default(),
    };
    let (reads, cut) = match reading.read().await {
        Ok((reads, missing)) => (Some(reads), missing),
        Err(Stop::Cut { at, why }) => (None, Some((at, why))),
        Err(Stop::Store(error)) => return Err(error),
    };
    if let Some((at, why)) = &cut {
        tracing::warn!(account = %claim.account, job = %claim.job, at, why, "the list of Microsoft users was cut");
    }
    shared.metrics.listed(cut.is_none());
    let (complete, users) = (cut.is_none(), reading.seen.len());
    let (cut_at, detail) = cut.clone().unzip();
    let ended = Ended { pages: reading.pages, users, counts: json!(reading.counts), cut };
    let mut tx = journal.begin("discovery.end").await?;
    let gone = microsoft_users::end(&mut tx, id, claim.account, &ended).await?;
    let event = NewEvent {
        kind: "discovered",
        data: json!({
            "complete": complete, "pages": ended.pages, "users": users, "gone": gone, "counts": ended.counts,
            "cut_at": cut_at, "detail": detail,
        }),
    };
    journal.commit(tx, vec![event]).await?;
    Ok(reads)
}

/// One reading of the list.
struct Reading<'a> {
    shared: &'a Shared,
    client: &'a TenantClient,
    id: Uuid,
    managed: HashSet<Uuid>,
    /// Types of policies that the job asks for.
    types: &'a BTreeSet<PolicyType>,
    pages: usize,
    /// Users of the directory so far; one may come twice when the directory changes meanwhile.
    seen: HashSet<Uuid>,
    counts: Counts,
}

impl Reading<'_> {
    /// Reads everything. The second part says what is missing although every page came.
    async fn read(&mut self) -> Result<(Reads, Option<(String, String)>), Stop> {
        let mut reads = Reads::default();
        let mut pages = self.client.number_assignments(&NumberFilter::All);
        let mut page_number = 0;
        let mut lines = HashMap::new();
        while let Some(page) = self.page("the numbers", &mut page_number, &mut pages).await? {
            facts::add_lines(&mut lines, &page);
            reads.numbers.extend(reads::numbers(&page));
        }
        let teams = self.teams(&lines, &mut reads).await?;
        let mut pages = self.client.users();
        let mut page_number = 0;
        while let Some(page) = self.page("the directory", &mut page_number, &mut pages).await? {
            self.keep(page, &teams, &lines, &mut reads).await?;
        }
        reads.users = Some(self.seen.len());
        let announced = pages.count().and_then(|count| usize::try_from(count).ok());
        let missing = announced.filter(|announced| self.seen.len() < *announced).map(|announced| {
            let why = format!("Microsoft announced {announced} users and gave {}", self.seen.len());
            ("the end of the directory".to_owned(), why)
        });
        Ok((reads, missing))
    }

    async fn teams(
        &mut self,
        lines: &HashMap<Uuid, Lines>,
        reads: &mut Reads,
    ) -> Result<HashMap<Uuid, InTeams>, Stop> {
        let mut teams = HashMap::new();
        let mut pages = self.client.user_configurations();
        let mut page_number = 0;
        while let Some(page) = self.page("Teams' users", &mut page_number, &mut pages).await? {
            for user in page {
                teams.insert(user.id, facts::in_teams(&user));
                let holds = lines.contains_key(&user.id) || !user.telephone_numbers.is_empty();
                if holds || self.managed.contains(&user.id) {
                    reads.teams.insert(ObjectId(user.id), Recorded::of(&user, self.types));
                }
            }
        }
        Ok(teams)
    }

    /// The next page of a list; `None` after the last.
    async fn page<T: serde::de::DeserializeOwned>(
        &mut self,
        list: &str,
        number: &mut usize,
        pages: &mut Pages<T>,
    ) -> Result<Option<Vec<T>>, Stop> {
        *number += 1;
        let page = pages.next().await.map_err(|error| match error.class() {
            // trust in the claim ended: the list is the next claim's to read
            ErrorClass::Stopped => Stop::Store(StoreError::Superseded { work: "discovery.page" }),
            _ => Stop::Cut { at: format!("page {number} of {list}"), why: tandem_runtime::chain(&error) },
        })?;
        if page.is_some() {
            let most = self.shared.settings.list_pages;
            if *number > most {
                let why = format!("the list has more than {most} pages");
                return Err(Stop::Cut { at: format!("page {number} of {list}"), why });
            }
            self.pages += 1;
        }
        Ok(page)
    }

    /// Judges and saves a page of the directory.
    async fn keep(
        &mut self,
        page: Vec<User>,
        teams: &HashMap<Uuid, InTeams>,
        lines: &HashMap<Uuid, Lines>,
        reads: &mut Reads,
    ) -> Result<(), Stop> {
        let mut rows = Vec::with_capacity(page.len());
        for user in page {
            if !self.seen.insert(user.id) {
                continue;
            }
            let held = lines.get(&user.id).copied();
            let facts = facts::of_user(&user, teams.get(&user.id).copied(), held.unwrap_or_default());
            let verdict = judge(&facts);
            self.counts.add(&facts, &verdict);
            rows.push(Seen {
                oid: ObjectId(user.id),
                upn: user.user_principal_name.clone(),
                display_name: user.display_name.clone(),
                phone_plan: facts.phone_plan,
                account_enabled: facts.account_enabled,
                verdict,
            });
            let oid = ObjectId(user.id);
            if held.is_some() || self.managed.contains(&user.id) || reads.teams.contains_key(&oid) {
                reads.directory.insert(oid, Listed::of(&user));
            }
        }
        let mut tx = self.shared.store.begin("discovery.page").await?;
        microsoft_users::page(&mut tx, self.id, &rows).await?;
        Ok(tx.commit().await?)
    }
}
