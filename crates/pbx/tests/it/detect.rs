//! A detector in a few lines: keeps what it saw and tells what changed, over the diff of `tandem_domain`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use secrecy::SecretString;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tandem_domain::guard::RemovalGuard;
use tandem_domain::snapshot::{Finish, Known, Seen, SnapshotDiff, UserKey};
use tandem_domain::{AccountId, PbxUserId, Profile};
use tandem_pbx::sql::{SourceError, SourceRow};
use tandem_pbx::{Mapping, SqlSource, SqlSourceConfig, fixture};
use tandem_runtime::Clock;

pub(crate) async fn run(url: &str, statements: &str) -> Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut connection).await?;
    connection.close().await?;
    Ok(())
}

pub(crate) async fn load(url: &str, schema: &str) -> Result<()> {
    run(url, schema).await?;
    run(url, fixture::DEMO).await
}

pub(crate) fn fusionpbx() -> Mapping {
    Mapping::builtin("fusionpbx").expect("the shipped mapping is whole")
}

pub(crate) fn source(url: &str) -> SqlSource {
    SqlSource::new(SqlSourceConfig::new(SecretString::from(url), fusionpbx())).expect("a good address")
}

pub(crate) async fn rows(source: &SqlSource) -> Result<Vec<SourceRow>, SourceError> {
    let mut snapshot = source.snapshot(&Clock::system()).await?;
    let mut rows = Vec::new();
    while let Some(batch) = snapshot.next().await? {
        assert!(batch.problems.is_empty(), "{:?}", batch.problems);
        rows.extend(batch.rows);
    }
    assert_eq!(snapshot.rows(), rows.len() as u64);
    assert!(snapshot.read_ended_at().expect("complete") >= snapshot.read_started_at());
    rows.sort_by(|a, b| {
        (&a.account_label, &a.profile.extension, &a.user).cmp(&(
            &b.account_label,
            &b.profile.extension,
            &b.user,
        ))
    });
    Ok(rows)
}

struct Stored {
    label: String,
    profile: Profile,
    missing_once: bool,
    tombstone: bool,
}

/// What is known of a source, and who an event is about.
#[derive(Default)]
pub(crate) struct Detector {
    users: BTreeMap<(AccountId, PbxUserId), Stored>,
}

impl Detector {
    /// One look: the events as JSON, and how it ended.
    pub(crate) async fn look(
        &mut self,
        source: &SqlSource,
        guard: RemovalGuard,
    ) -> Result<(Vec<Value>, Finish)> {
        let mut diff = SnapshotDiff::new(self.users.iter().map(|((account, user), stored)| Known {
            key: UserKey::of(*account, user),
            account: *account,
            digest: stored.profile.digest(),
            missing_once: stored.missing_once,
            tombstone: stored.tombstone,
        }));
        let mut spool = Vec::new();
        for row in rows(source).await? {
            let account = AccountId(row.account_key.parse().context("account key")?);
            let seen = diff.see(account, &row.user, row.digest);
            if seen != Seen::Same {
                spool.push((account, row, seen));
            }
        }
        let finish = diff.finish(guard, &BTreeSet::new());
        let mut events = Vec::new();
        if finish.refused.is_some() {
            return Ok((events, finish));
        }
        for (account, row, seen) in spool {
            let label = row.account_label.unwrap_or_default();
            let key = (account, row.user);
            match seen {
                Seen::New | Seen::Returned => {
                    events.push(json!({"type": "user.created", "who": who(&label, &row.profile)}));
                }
                Seen::Changed | Seen::Found { changed: true } => {
                    let before = &self.users[&key];
                    let fields = before.profile.changed_fields(&row.profile);
                    let changes: serde_json::Map<String, Value> = fields
                        .into_iter()
                        .map(|f| (f.to_owned(), json!([before.profile.field(f), row.profile.field(f)])))
                        .collect();
                    events.push(json!({"type": "user.updated", "who": who(&before.label, &before.profile), "changes": changes}));
                }
                Seen::Same | Seen::Found { changed: false } | Seen::Duplicate => {}
            }
            self.users
                .insert(key, Stored { label, profile: row.profile, missing_once: false, tombstone: false });
        }
        let keys: BTreeMap<UserKey, _> =
            self.users.keys().map(|(a, u)| (UserKey::of(*a, u), (*a, u.clone()))).collect();
        for missing in &finish.marked {
            self.users.get_mut(&keys[&missing.key]).context("marked")?.missing_once = true;
        }
        for missing in &finish.deleted {
            let stored = self.users.get_mut(&keys[&missing.key]).context("deleted")?;
            stored.tombstone = true;
            stored.missing_once = false;
            events.push(json!({"type": "user.deleted", "who": who(&stored.label, &stored.profile)}));
        }
        Ok((events, finish))
    }

    /// Two looks, as after any change: the second confirms what the first found missing.
    pub(crate) async fn settle(&mut self, source: &SqlSource) -> Result<Vec<Value>> {
        let (mut events, finish) = self.look(source, RemovalGuard::DEFAULT).await?;
        anyhow::ensure!(finish.refused.is_none() && finish.held.is_empty(), "{finish:?}");
        events.extend(self.look(source, RemovalGuard::DEFAULT).await?.0);
        Ok(events)
    }
}

fn who(label: &str, profile: &Profile) -> String {
    format!("{label}/{}", profile.extension.as_deref().unwrap_or("?"))
}
