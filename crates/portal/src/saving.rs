//! Saving what people may save of an account: settings, checked and recorded as a change like any other, and who may sync.

use aws_lc_rs::digest;
use serde_json::{Map, Value, json};
use tandem_consent::{NewLink, make_link_in};
use tandem_domain::policy::PolicyRule;
use tandem_domain::roles::{Act, Role};
use tandem_domain::{AccountId, Profile};
use tandem_store::admin::provider::removed;
use tandem_store::admin::save::put_rules;
use tandem_store::change::{ChangeKind, NewChange};
use tandem_store::connect::Purpose;
use tandem_store::portal::settings::{self, AccountSettings, Contributor};
use tandem_store::portal::{audit, overview, people};
use tandem_store::{Tx, change, outbox};
use time::Duration;
use uuid::Uuid;

use crate::App;
use crate::fault::Fault;
use crate::guard::{InAccount, of};

/// How long a link to the consent is good.
const LINK_LIFE: Duration = Duration::minutes(15);
/// Windows that the table takes, in milliseconds.
const WINDOW: std::ops::RangeInclusive<i32> = 100..=600_000;
/// Rules of an account.
const MOST_RULES: usize = 200;
/// Longest name of a policy.
const LONGEST_NAME: usize = 200;

/// What somebody wants to save; what is none stays as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Edit {
    pub(crate) next_gen: Option<bool>,
    pub(crate) auto_sync: Option<bool>,
    /// Own quiet period, or none of its own.
    pub(crate) quiet_ms: Option<Option<i32>>,
    /// Own longest wait, or none of its own.
    pub(crate) max_wait_ms: Option<Option<i32>>,
    pub(crate) rules: Option<Vec<PolicyRule>>,
}

impl Edit {
    /// What it is in the role table.
    fn acts(&self) -> Vec<Act> {
        let windows = self.quiet_ms.is_some() || self.max_wait_ms.is_some();
        let all = [
            (self.next_gen.is_some(), Act::SwitchNextGen),
            (self.auto_sync.is_some(), Act::SwitchAutoSync),
            (windows || self.rules.is_some(), Act::SaveSettings),
        ];
        all.into_iter().filter(|(is, _)| *is).map(|(_, act)| act).collect()
    }
}

/// Settings with the version that a save has to name.
#[derive(Clone, Debug)]
pub(crate) struct Versioned {
    pub(crate) settings: AccountSettings,
    pub(crate) version: String,
}

fn fields(settings: &AccountSettings) -> [(&'static str, Value); 5] {
    let window = |ms: Option<i32>| json!(ms.map(|ms| format!("{ms}ms")));
    [
        ("next_gen", json!(settings.next_gen)),
        ("auto_sync", json!(settings.auto_sync)),
        ("quiet", window(settings.quiet_ms)),
        ("max_wait", window(settings.max_wait_ms)),
        ("policy_rules", json!(settings.rules)),
    ]
}

/// What is saved now, in a few characters: it changes with whatever anybody saves, in the portal or elsewhere.
fn version(settings: &AccountSettings) -> String {
    let text = json!(fields(settings)).to_string();
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    hash.as_ref().iter().take(12).map(|byte| format!("{byte:02x}")).collect()
}

async fn find(tx: &mut Tx, inside: &InAccount, lock: bool) -> Result<Versioned, Fault> {
    let settings = settings::find(tx, inside.id(), lock).await?.ok_or(Fault::NotFound)?;
    Ok(Versioned { version: version(&settings), settings })
}

/// The settings and who may sync beside the Global Admin.
pub(crate) async fn read(app: &App, inside: &InAccount) -> Result<(Versioned, Vec<Contributor>), Fault> {
    let mut tx = app.store.begin_for("portal.settings", inside.id()).await?;
    let found = find(&mut tx, inside, false).await?;
    Ok((found, settings::contributors(&mut tx, inside.id()).await?))
}

fn checked(app: &App, settings: &AccountSettings) -> Result<(), Fault> {
    for (name, own) in [("quiet", settings.quiet_ms), ("max_wait", settings.max_wait_ms)] {
        if own.is_some_and(|ms| !WINDOW.contains(&ms)) {
            return Err(Fault::BadInput(name, "is between 0.1 and 600 seconds"));
        }
    }
    let or = |own: Option<i32>, usual| own.map_or(usual, |ms| Duration::milliseconds(ms.into()));
    let (quiet, max_wait) = (
        or(settings.quiet_ms, app.windows.usual.quiet),
        or(settings.max_wait_ms, app.windows.usual.max_wait),
    );
    if quiet > max_wait {
        return Err(Fault::BadInput("quiet", "is longer than max_wait"));
    }
    if max_wait > app.windows.longest {
        return Err(Fault::BadInput(
            "max_wait",
            "is so long that a sync might start later than ten minutes after a save",
        ));
    }
    if settings.rules.len() > MOST_RULES {
        return Err(Fault::BadInput("policy_rules", "are 200 at most"));
    }
    for rule in &settings.rules {
        if rule.when.field().is_some_and(|field| !Profile::FIELDS.contains(&field)) {
            return Err(Fault::BadInput("policy_rules", "name a field that profiles do not have"));
        }
        for name in [&rule.policy_type.0, &rule.policy_name] {
            let odd = name.trim().is_empty() || name.chars().any(char::is_control);
            if odd || name.chars().count() > LONGEST_NAME {
                return Err(Fault::BadInput(
                    "policy_rules",
                    "name policies in one line of 1 to 200 characters",
                ));
            }
        }
    }
    Ok(())
}

/// Saves settings, if they are still those that the person saw. With Auto Sync switched on and no authorization that
/// works, the second part is where the Global Admin gives one.
pub(crate) async fn save(
    app: &App,
    inside: &InAccount,
    seen: &str,
    edit: Edit,
) -> Result<(Versioned, Option<String>), Fault> {
    let (account, visitor, now) = (inside.id(), &inside.visitor, app.clock.now());
    let mut tx = app.store.begin_for("portal.save_settings", account).await?;
    if let Some(act) = edit.acts().into_iter().find(|act| !inside.roles.may(*act)) {
        audit::append(&mut tx, &of(visitor, account, act, now, "", act.refusal(), false)).await?;
        tx.commit().await?;
        return Err(Fault::Refused(act));
    }
    let before = find(&mut tx, inside, true).await?;
    if before.version != seen {
        return Err(Fault::Stale);
    }
    let old = before.settings;
    let next_gen = edit.next_gen.unwrap_or(old.next_gen);
    let new = AccountSettings {
        next_gen,
        // Auto Sync ends with what it stands on
        auto_sync: edit.auto_sync.unwrap_or(old.auto_sync && next_gen),
        quiet_ms: edit.quiet_ms.unwrap_or(old.quiet_ms),
        max_wait_ms: edit.max_wait_ms.unwrap_or(old.max_wait_ms),
        rules: edit.rules.unwrap_or_else(|| old.rules.clone()),
        licences: old.licences,
    };
    if new.auto_sync && !new.next_gen {
        return Err(Fault::NextGenFirst);
    }
    checked(app, &new)?;
    let facts = overview::stand(&mut tx, &[account], now).await?;
    let facts = facts.first().ok_or(Fault::NotFound)?.facts;
    let connects = new.auto_sync && !old.auto_sync && !facts.healthy;
    if new.auto_sync && !old.auto_sync && removed(&mut tx, account).await? {
        return Err(Fault::IntegrationRemoved);
    }
    if connects && !facts.bound {
        return Err(Fault::PbxFirst);
    }
    if connects && app.microsoft.is_none() {
        return Err(Fault::SignInOff);
    }
    let differs: Vec<_> =
        fields(&old).into_iter().zip(fields(&new)).filter(|(old, new)| old.1 != new.1).collect();
    if differs.is_empty() {
        return Ok((Versioned { version: version(&new), settings: new }, None));
    }
    settings::save(&mut tx, account, &new).await?;
    if new.rules != old.rules {
        put_rules(&mut tx, account, &new.rules).await?;
    }
    let (before, after) = differs.iter().cloned().unzip();
    record(app, &mut tx, account, &format!("portal {}", visitor.name), (before, after)).await?;
    let reason = inside.visit.as_deref().unwrap_or_default();
    for (act, names) in [
        (Act::SwitchNextGen, &["next_gen"][..]),
        (Act::SwitchAutoSync, &["auto_sync"][..]),
        (Act::SaveSettings, &["quiet", "max_wait", "policy_rules"][..]),
    ] {
        let own = differs.iter().filter(|(_, (name, _))| names.contains(name));
        let told: Vec<String> = own
            .map(|((name, old), (_, new))| match *name {
                // rules may be long, and the change has them whole
                "policy_rules" => "policy_rules".to_owned(),
                name => format!("{name}: {old} -> {new}"),
            })
            .collect();
        if !told.is_empty() {
            audit::append(&mut tx, &of(visitor, account, act, now, &told.join("; "), reason, true)).await?;
        }
    }
    // under the lock of the account: whoever removes the integration takes this link away, or is seen above
    let connect = if connects { Some(connect(&mut tx, inside).await?) } else { None };
    tx.commit().await?;
    Ok((Versioned { version: version(&new), settings: new }, connect))
}

/// Fields of settings with their values.
pub(crate) type Fields = Vec<(&'static str, Value)>;

/// Records a change of settings and announces it; before there were any, nothing stands before.
pub(crate) async fn record(
    app: &App,
    tx: &mut Tx,
    account: AccountId,
    source: &str,
    (before, after): (Fields, Fields),
) -> Result<(), Fault> {
    let now = app.clock.now();
    let map = |fields: Fields| -> Map<String, Value> {
        fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    };
    let change = NewChange {
        account,
        user: None,
        kind: ChangeKind::Settings,
        fields: after.iter().map(|(name, _)| *name).collect(),
        before: (!before.is_empty()).then(|| map(before)),
        after: Some(map(after)),
        detected_at: now,
        saved_at: Some(now),
    };
    for recorded in change::record(tx, source, &[change]).await? {
        let told = app.announcer.changed(account, recorded.generation, &[], now, now)?;
        outbox::put(tx, &told).await?;
    }
    Ok(())
}

/// Makes the link to the pages on which the Global Admin consents.
async fn connect(tx: &mut Tx, inside: &InAccount) -> Result<String, Fault> {
    let new = NewLink {
        account: inside.id(),
        purpose: &Purpose::Connect,
        expected_tenant: None,
        made_by: &inside.visitor.name,
        life: LINK_LIFE,
    };
    Ok(format!("/connect/{}", make_link_in(tx, &new).await?.text()))
}

/// Names a Sync Contributor: somebody of the Global Admin's own tenant, by sign-in name.
pub(crate) async fn name(app: &App, inside: &InAccount, sign_in_name: &str) -> Result<(), Fault> {
    let (account, visitor, now) = (inside.id(), &inside.visitor, app.clock.now());
    let (tenant, _) = visitor.microsoft.ok_or(Fault::Refused(Act::NameContributors))?;
    let mut tx = app.store.begin_for("portal.name", account).await?;
    let found = settings::user(&mut tx, account, sign_in_name.trim()).await?;
    let (oid, upn) = found.ok_or(Fault::BadInput(
        "sign_in_name",
        "is nobody in the list of your organisation's users, which a Manual Sync brings up to date",
    ))?;
    let person = settings::name(&mut tx, app.ids.v7(&app.clock), (tenant, oid), &upn, now).await?;
    people::grant(&mut tx, account, person, Role::SyncContributor, "named", &visitor.name).await?;
    let subject = format!("named {upn}");
    audit::append(&mut tx, &of(visitor, account, Act::NameContributors, now, &subject, "", true)).await?;
    Ok(tx.commit().await?)
}

/// Somebody is no Sync Contributor any more.
pub(crate) async fn unname(app: &App, inside: &InAccount, person: Uuid) -> Result<(), Fault> {
    let (account, visitor, now) = (inside.id(), &inside.visitor, app.clock.now());
    let mut tx = app.store.begin_for("portal.unname", account).await?;
    if !settings::unname(&mut tx, account, person).await? {
        return Err(Fault::NotFound);
    }
    let subject = format!("no longer {person}");
    audit::append(&mut tx, &of(visitor, account, Act::NameContributors, now, &subject, "", true)).await?;
    Ok(tx.commit().await?)
}
