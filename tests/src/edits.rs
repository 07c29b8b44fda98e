//! Edits beside those of profiles, each recorded as the role that owns it records it.

use anyhow::Result;
use tandem_domain::Profile;
use tandem_store::change::ChangeKind;

use crate::{Account, Tester};

impl Tester {
    /// Connects a PBX user with the Microsoft user of another one, or with its own.
    ///
    /// # Errors
    /// When the database refuses it: the Microsoft user is mapped already.
    pub async fn map(&self, account: &Account, user: u32, microsoft: u32) -> Result<()> {
        sqlx::query(
            "insert into admin.mappings (account_id, pbx_user_id, microsoft_user, service) values ($1, $2, $3, 'voice')
             on conflict (account_id, pbx_user_id) do update set microsoft_user = excluded.microsoft_user",
        )
        .bind(account.id.0)
        .bind(account.user(user).0)
        .bind(account.oid(microsoft).0)
        .execute(&self.admin)
        .await?;
        self.record_one(account, Some(account.user(user)), ChangeKind::Mapped, vec!["microsoft_user"]).await
    }

    /// A deleted PBX user comes back with this profile.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn come_back(&self, account: &Account, user: u32, profile: &Profile) -> Result<()> {
        sqlx::query(
            "update pbx.profiles set profile = $3, digest = $4, deleted_at = null, missing_since = null, updated_at = now()
              where account_id = $1 and pbx_user_id = $2",
        )
        .bind(account.id.0)
        .bind(account.user(user).0)
        .bind(sqlx::types::Json(profile))
        .bind(profile.digest())
        .execute(&self.admin)
        .await?;
        self.record_one(account, Some(account.user(user)), ChangeKind::Created, vec![]).await
    }

    /// Switches Auto Sync of one account.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn auto_sync(&self, account: &Account, on: bool) -> Result<()> {
        sqlx::query("update admin.accounts set auto_sync = $2 where account_id = $1")
            .bind(account.id.0)
            .bind(on)
            .execute(&self.admin)
            .await?;
        self.record_one(account, None, ChangeKind::Settings, vec!["auto_sync"]).await
    }

    /// Pauses an account for a moment; the pause ends by itself, and nothing is recorded then.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn pause(&self, account: &Account, millis: u16) -> Result<()> {
        sqlx::query(
            "update admin.accounts set paused_until = now() + $2 * interval '1 ms', pause_reason = 'test' where account_id = $1",
        )
        .bind(account.id.0)
        .bind(i32::from(millis))
        .execute(&self.admin)
        .await?;
        self.record_one(account, None, ChangeKind::Settings, vec!["paused_until"]).await
    }
}
