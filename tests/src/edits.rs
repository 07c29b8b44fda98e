//! Edits beside those of profiles: each with the change that records it, in one transaction and by the login that owns it.

use anyhow::{Context, Result};
use sqlx::Postgres;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use tandem_domain::{PbxUserId, Profile};
use tandem_outbox::Announcer;
use tandem_store::change::{ChangeKind, NewChange, record};
use tandem_store::{Login, outbox};

use crate::{Account, Tester};

/// An edit as the change log tells it.
pub(crate) struct Edit {
    user: Option<PbxUserId>,
    kind: ChangeKind,
    fields: Vec<&'static str>,
    /// Who makes it.
    login: Login,
}

impl Edit {
    fn setting(field: &'static str) -> Self {
        Self { user: None, kind: ChangeKind::Settings, fields: vec![field], login: Login::Operator }
    }

    fn mapping(account: &Account, i: u32, kind: ChangeKind) -> Self {
        let user = Some(account.user(i));
        Self { user, kind, fields: vec!["microsoft_user"], login: Login::Operator }
    }

    /// Another service for a mapping.
    pub(crate) fn service(account: &Account, i: u32) -> Self {
        Self { fields: vec!["service"], ..Self::mapping(account, i, ChangeKind::Mapped) }
    }

    fn profile(account: &Account, i: u32, kind: ChangeKind) -> Self {
        Self { user: Some(account.user(i)), kind, fields: vec![], login: Login::Detector }
    }
}

impl Tester {
    /// Makes an edit and records it: whoever sees one sees the other.
    pub(crate) async fn edit(
        &self,
        account: &Account,
        edit: Edit,
        statement: Query<'_, Postgres, PgArguments>,
    ) -> Result<()> {
        let ctx = self.context();
        let store = self.store(edit.login);
        let mut tx = store.begin("test.edit").await?;
        statement.execute(&mut *tx).await?;
        let change = NewChange {
            account: account.id,
            user: edit.user.clone(),
            kind: edit.kind,
            fields: edit.fields,
            before: None,
            after: None,
            detected_at: ctx.clock.now(),
            saved_at: None,
        };
        let recorded = record(&mut tx, "test", &[change]).await?;
        let generation = recorded.first().context("nothing recorded")?.generation;
        let users: Vec<PbxUserId> = edit.user.into_iter().collect();
        let announcer = Announcer::new(self.subjects(), "test", &ctx);
        let now = ctx.clock.now();
        outbox::put(&mut tx, &announcer.changed(account.id, generation, &users, now, now)?).await?;
        tx.commit().await?;
        store.close().await;
        Ok(())
    }

    /// Connects a PBX user with the Microsoft user of another one, or with its own.
    ///
    /// # Errors
    /// When the database refuses it: the Microsoft user is mapped already.
    pub async fn map(&self, account: &Account, user: u32, microsoft: u32) -> Result<()> {
        let statement = sqlx::query(
            "insert into admin.mappings (account_id, pbx_user_id, microsoft_user, service) values ($1, $2, $3, 'voice')
             on conflict (account_id, pbx_user_id) do update set microsoft_user = excluded.microsoft_user",
        );
        let statement =
            statement.bind(account.id.0).bind(account.user(user).0).bind(account.oid(microsoft).0);
        self.edit(account, Edit::mapping(account, user, ChangeKind::Mapped), statement).await
    }

    /// Takes a mapping away.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn unmap(&self, account: &Account, i: u32) -> Result<()> {
        let statement = sqlx::query("delete from admin.mappings where account_id = $1 and pbx_user_id = $2")
            .bind(account.id.0)
            .bind(account.user(i).0);
        self.edit(account, Edit::mapping(account, i, ChangeKind::Unmapped), statement).await
    }

    /// Deletes a PBX user, as a confirmed deletion is recorded.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn delete(&self, account: &Account, i: u32) -> Result<()> {
        let statement = sqlx::query(
            "update pbx.profiles set deleted_at = now() where account_id = $1 and pbx_user_id = $2",
        );
        let statement = statement.bind(account.id.0).bind(account.user(i).0);
        self.edit(account, Edit::profile(account, i, ChangeKind::Deleted), statement).await
    }

    /// A deleted PBX user comes back with this profile.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn come_back(&self, account: &Account, user: u32, profile: &Profile) -> Result<()> {
        let statement = sqlx::query(
            "update pbx.profiles set profile = $3, digest = $4, deleted_at = null, missing_since = null, updated_at = now()
              where account_id = $1 and pbx_user_id = $2",
        );
        let statement = statement
            .bind(account.id.0)
            .bind(account.user(user).0)
            .bind(sqlx::types::Json(profile))
            .bind(profile.digest());
        self.edit(account, Edit::profile(account, user, ChangeKind::Created), statement).await
    }

    /// Changes a setting.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn setting(&self, account: &Account, field: &'static str, sql: &'static str) -> Result<()> {
        self.edit(account, Edit::setting(field), sqlx::query(sql)).await
    }

    /// Switches Auto Sync of one account.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn auto_sync(&self, account: &Account, on: bool) -> Result<()> {
        let statement = sqlx::query("update admin.accounts set auto_sync = $2 where account_id = $1");
        self.edit(account, Edit::setting("auto_sync"), statement.bind(account.id.0).bind(on)).await
    }

    /// Pauses an account for a moment; the pause ends by itself, and nothing is recorded then.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn pause(&self, account: &Account, millis: u16) -> Result<()> {
        let statement = sqlx::query(
            "update admin.accounts set paused_until = now() + $2 * interval '1 ms', pause_reason = 'test' where account_id = $1",
        );
        let statement = statement.bind(account.id.0).bind(i32::from(millis));
        self.edit(account, Edit::setting("paused_until"), statement).await
    }
}
