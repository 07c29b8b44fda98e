//! What the provider's operators do to accounts: making one, licences, its PBX, inviting its Global Admin, removing the
//! integration. Each has a reason, is recorded, and works with a login that customers' requests never use.

use serde_json::json;
use tandem_domain::AccountId;
use tandem_domain::reminder::Calendar;
use tandem_domain::roles::Act;
use tandem_store::admin::accounts::{self, Account, Settings};
use tandem_store::admin::provider::{self, Details, Invitation};
use tandem_store::admin::save;
use tandem_store::portal::audit;
use tandem_store::{StoreError, Tx, vault};
use uuid::Uuid;

use crate::extract::is_line;
use crate::fault::Fault;
use crate::guard::{InAccount, Visitor, of};
use crate::saving::{self, Fields};
use crate::{App, acts};

/// The kind of a secret that is the account's own app.
const OWN_APP: &str = "app_credential";
/// Users that are named when there are more than licences.
const NAMED: usize = 10;

/// One line of 1 to `most` characters.
pub(super) fn line<'a>(name: &'static str, text: &'a str, most: usize) -> Result<&'a str, Fault> {
    let text = text.trim();
    if is_line(text, most) { Ok(text) } else { Err(Fault::BadInput(name, "is one line, and not too long")) }
}

/// A tenant by its id or by one of its domains.
pub(super) fn tenant(text: &str) -> Result<Option<String>, Fault> {
    let text = text.trim().to_lowercase();
    let label = |label: &str| {
        let edge = label.starts_with('-') || label.ends_with('-');
        let plain = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        (1..=63).contains(&label.len()) && !edge && plain
    };
    let domain = text.len() <= 253 && text.contains('.') && text.split('.').all(label);
    match text.as_str() {
        "" => Ok(None),
        _ if domain || Uuid::try_parse(&text).is_ok() => Ok(Some(text)),
        _ => Err(Fault::BadInput("tenant", "is the id of a Microsoft tenant, or one of its domains")),
    }
}

/// A time zone that mails can be written in.
fn time_zone(text: &str) -> Result<Option<String>, Fault> {
    match text.trim() {
        "" => Ok(None),
        zone if Calendar::new(zone, 0).is_ok() => Ok(Some(zone.to_owned())),
        _ => Err(Fault::BadInput("time_zone", "is no IANA time zone, such as Europe/Copenhagen")),
    }
}

/// An account to be made.
#[derive(Clone, Debug)]
pub(crate) struct New {
    pub(crate) name: String,
    pub(crate) label: String,
    /// An IANA name; empty for that of the installation.
    pub(crate) time_zone: String,
    /// The only tenant that it may be connected to; it may be left open until the invitation.
    pub(crate) tenant: String,
    pub(crate) licences: i32,
}

/// Makes an account.
pub(crate) async fn create(app: &App, visitor: &Visitor, new: &New, reason: &str) -> Result<(), Fault> {
    let reason = acts::reason(reason)?;
    let name = new.name.trim();
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !first || !plain || name.len() > 63 {
        return Err(Fault::BadInput(
            "name",
            "is 1 to 63 of a-z, 0-9 and -, and begins with none of the last",
        ));
    }
    let label = line("label", &new.label, 200)?.to_owned();
    let details = Details {
        time_zone: time_zone(&new.time_zone)?,
        expected_tenant: tenant(&new.tenant)?,
        removed_at: None,
    };
    let licences = licence_count(new.licences)?;
    let (account, now) = (AccountId(app.ids.v7(&app.clock)), app.clock.now());
    let mut tx = app.operators.begin_for("portal.create_account", account).await?;
    let taken = |error: StoreError| match error.constraint() {
        Some("accounts_name_key") => Fault::NameTaken,
        _ => error.into(),
    };
    save::create(&mut tx, account, name).await.map_err(taken)?;
    let settings = Settings { label: label.clone(), licences, ..Settings::default() };
    save::put_settings(&mut tx, account, &settings).await?;
    provider::put_details(&mut tx, account, &details).await?;
    let (time_zone, tenant) = (&details.time_zone, &details.expected_tenant);
    let after = [
        ("label", json!(label)),
        ("licences", json!(licences)),
        ("time_zone", json!(time_zone)),
        ("expected_tenant", json!(tenant)),
    ];
    record(app, visitor, &mut tx, account, (Vec::new(), after.into())).await?;
    let subject = format!("{name}, {licences} licences");
    audit::append(&mut tx, &of(visitor, account, Act::CreateAccount, now, &subject, reason, true)).await?;
    tx.commit().await.map_err(taken)?;
    tracing::info!(%account, "an account was made in the portal");
    Ok(())
}

/// Records what an operator changed.
async fn record(
    app: &App,
    visitor: &Visitor,
    tx: &mut Tx,
    account: AccountId,
    sides: (Fields, Fields),
) -> Result<(), Fault> {
    saving::record(app, tx, account, &format!("operator {}", visitor.name), sides).await
}

fn licence_count(count: i32) -> Result<i32, Fault> {
    match count {
        0..=100_000 => Ok(count),
        _ => Err(Fault::BadInput("licences", "is a number from 0 to 100000")),
    }
}

pub(super) async fn begin(app: &App, inside: &InAccount, lock: bool) -> Result<(Tx, Account), Fault> {
    let mut tx = app.operators.begin_for("portal.administration", inside.id()).await?;
    let account = accounts::find(&mut tx, &inside.account.name, lock).await?.ok_or(Fault::NotFound)?;
    Ok((tx, account))
}

/// How an account is set up at the provider.
#[derive(Clone, Debug)]
pub(crate) struct Stands {
    pub(crate) account: Account,
    pub(crate) details: Details,
    pub(crate) sources: Vec<String>,
    pub(crate) invitations: Vec<Invitation>,
    /// Microsoft users on whom something of ours stands.
    pub(crate) standing: i64,
}

/// How an account is set up at the provider.
pub(crate) async fn read(app: &App, inside: &InAccount) -> Result<Stands, Fault> {
    let (mut tx, account) = begin(app, inside, false).await?;
    let details = provider::details(&mut tx, inside.id()).await?.ok_or(Fault::NotFound)?;
    let sources = provider::sources(&mut tx).await?;
    let invitations = provider::invitations(&mut tx, inside.id()).await?;
    let standing = accounts::standing(&mut tx, inside.id()).await?;
    Ok(Stands { account, details, sources, invitations, standing })
}

/// Sets how many integration licences there are; never fewer than are in use.
pub(crate) async fn licences(app: &App, inside: &InAccount, count: i32, reason: &str) -> Result<(), Fault> {
    let (reason, count) = (acts::reason(reason)?, licence_count(count)?);
    let (account, visitor, now) = (inside.id(), &inside.visitor, app.clock.now());
    let (mut tx, stored) = begin(app, inside, true).await?;
    let over = stored.mappings.len().saturating_sub(usize::try_from(count).unwrap_or_default());
    if over > 0 {
        let limit = i64::try_from(over.min(NAMED)).unwrap_or_default();
        let newest = provider::newest_mappings(&mut tx, account, limit).await?;
        let names = newest.into_iter().map(|(user, name)| match name {
            Some(name) => format!("{user} ({name})"),
            None => user.to_string(),
        });
        let mut names: Vec<String> = names.collect();
        if over > NAMED {
            names.push(format!("and {} more", over - NAMED));
        }
        return Err(Fault::LicencesOver(over, names.join(", ")));
    }
    let old = stored.settings.licences;
    if old != count {
        let settings = Settings { licences: count, ..stored.settings };
        save::put_settings(&mut tx, account, &settings).await?;
        let side = |count: i32| vec![("licences", json!(count))];
        record(app, visitor, &mut tx, account, (side(old), side(count))).await?;
        let subject = format!("licences: {old} -> {count}");
        audit::append(&mut tx, &of(visitor, account, Act::SetLicences, now, &subject, reason, true)).await?;
    }
    Ok(tx.commit().await?)
}

/// Says which customer of which source the account is.
pub(crate) async fn bind(
    app: &App,
    inside: &InAccount,
    (source, key): (&str, &str),
    reason: &str,
) -> Result<(), Fault> {
    let reason = acts::reason(reason)?;
    let key = line("account_key", key, 200)?;
    let (account, visitor, now) = (inside.id(), &inside.visitor, app.clock.now());
    let (mut tx, stored) = begin(app, inside, true).await?;
    if !provider::sources(&mut tx).await?.iter().any(|known| known == source) {
        return Err(Fault::BadInput("source", "is none of the sources that a detector has"));
    }
    if stored.binding.as_ref().is_some_and(|(old, known)| old == source && known == key) {
        return Ok(());
    }
    save::put_binding(&mut tx, account, Some((source, key))).await.map_err(|error| {
        match error.constraint() {
            Some("bindings_pkey") => Fault::SourceTaken,
            _ => error.into(),
        }
    })?;
    let old = stored.binding.map_or_else(|| "none".to_owned(), |(source, key)| format!("{source}/{key}"));
    let subject = format!("source: {old} -> {source}/{key}");
    audit::append(&mut tx, &of(visitor, account, Act::BindSource, now, &subject, reason, true)).await?;
    Ok(tx.commit().await?)
}

/// Removes the integration: nothing writes to the tenant any more, a job that runs stops before its next write, no
/// customer brings it back, and what was recorded stays. The tenant is let go where nothing of ours stands in it, or may
/// come to stand there.
pub(crate) async fn remove(app: &App, inside: &InAccount, typed: &str, reason: &str) -> Result<(), Fault> {
    let reason = acts::reason(reason)?;
    if typed.trim() != inside.account.name {
        return Err(Fault::BadInput("confirm", "is the short name of the account, typed"));
    }
    let (account, visitor, now) = (inside.id(), &inside.visitor, app.clock.now());
    let (mut tx, stored) = begin(app, inside, true).await?;
    let auto_sync = stored.settings.auto_sync;
    save::put_settings(&mut tx, account, &Settings { auto_sync: false, ..stored.settings }).await?;
    provider::put_removed(&mut tx, account, Some(now)).await?;
    let standing = accounts::standing(&mut tx, account).await?;
    provider::end_authorization(&mut tx, account, "the provider removed the integration").await?;
    if standing == 0 && !provider::under_way(&mut tx, account).await? {
        save::disconnect(&mut tx, account).await?;
    }
    vault::remove_secret(&mut tx, account, OWN_APP).await?;
    let tenant = stored.authorization.as_ref().map(|one| json!({ "tenant": one.tenant, "state": one.state }));
    let before = vec![("auto_sync", json!(auto_sync)), ("authorization", json!(tenant))];
    let after = vec![("auto_sync", json!(false)), ("authorization", json!(null))];
    record(app, visitor, &mut tx, account, (before, after)).await?;
    let subject = format!("{standing} users keep what stands in Teams");
    audit::append(&mut tx, &of(visitor, account, Act::RemoveIntegration, now, &subject, reason, true))
        .await?;
    tx.commit().await?;
    tracing::warn!(%account, standing, "an integration was removed in the portal");
    Ok(())
}
