//! Settings of an account: Services, Teams. Each part is a form of its own that names the version it was made from.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use tandem_domain::Profile;
use tandem_domain::policy::{Condition, PolicyRule, PolicyType, Service};
use tandem_domain::roles::{Act, Roles};
use tandem_store::portal::settings::Contributor;
use time::Duration;
use uuid::Uuid;

use super::{Layout, html, see_other, troubleshooting};
use crate::extract::{Form, Query};
use crate::fault::Fault;
use crate::frame::Nonce;
use crate::guard::InAccount;
use crate::saving::{self, Edit, Versioned};
use crate::settings::Windows;
use crate::{App, view};

#[derive(Template)]
#[template(path = "settings.html")]
pub(crate) struct SettingsPage {
    pub(crate) layout: Layout,
    pub(crate) shown: Shown,
    pub(crate) saved: bool,
    pub(crate) pbx: Pbx,
}

/// *Enable Sync*.
pub(crate) struct Pbx {
    /// While it is on: until when, and why.
    pub(crate) on: Option<(String, String)>,
    /// Why this person may not switch it; none where that is allowed.
    pub(crate) refused: Option<&'static str>,
}

/// A policy rule in a line.
pub(crate) struct RuleLine {
    pub(crate) position: usize,
    pub(crate) when: String,
    pub(crate) policy: String,
    pub(crate) services: &'static str,
}

/// A Sync Contributor in a line.
pub(crate) struct Named {
    pub(crate) person: String,
    pub(crate) name: String,
    pub(crate) by: String,
    pub(crate) since: String,
}

/// Everything that is shown of the settings.
pub(crate) struct Shown {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) next_gen: bool,
    pub(crate) auto_sync: bool,
    pub(crate) licences: i32,
    /// Own windows in seconds; empty where there is none.
    pub(crate) quiet: String,
    pub(crate) max_wait: String,
    pub(crate) usual: (String, String),
    pub(crate) longest: String,
    pub(crate) rules: Vec<RuleLine>,
    pub(crate) fields: &'static [&'static str],
    pub(crate) contributors: Vec<Named>,
    /// Why this person may not change it; none where that is allowed.
    pub(crate) switches: Option<&'static str>,
    pub(crate) saves: Option<&'static str>,
    pub(crate) names: Option<&'static str>,
}

fn seconds(ms: i32) -> String {
    (f64::from(ms) / 1000.0).to_string()
}

fn line(position: usize, rule: &PolicyRule) -> RuleLine {
    let when = match &rule.when {
        Condition::Always => "always".to_owned(),
        Condition::Is { field, value } => format!("{} is {value}", view::word(field)),
        Condition::Set { field } => format!("{} is set", view::word(field)),
        Condition::Unset { field } => format!("{} is not set", view::word(field)),
    };
    let services = match rule.services.as_slice() {
        [Service::Voice] => "Voice",
        [Service::App] => "App",
        _ => "all",
    };
    RuleLine { position, when, policy: format!("{}: {}", rule.policy_type, rule.policy_name), services }
}

impl Shown {
    pub(crate) fn of(
        name: &str,
        found: &Versioned,
        contributors: &[Contributor],
        roles: &Roles,
        windows: Windows,
    ) -> Self {
        let settings = &found.settings;
        let refused = |act: Act| (!roles.may(act)).then(|| act.refusal());
        let named = |person: &Contributor| Named {
            person: person.person.to_string(),
            name: person.name.clone(),
            by: person.granted_by.clone(),
            since: view::full(person.since),
        };
        let whole = |span: Duration| span.as_seconds_f64().to_string();
        Self {
            name: name.to_owned(),
            version: found.version.clone(),
            next_gen: settings.next_gen,
            auto_sync: settings.auto_sync,
            licences: settings.licences,
            quiet: settings.quiet_ms.map(seconds).unwrap_or_default(),
            max_wait: settings.max_wait_ms.map(seconds).unwrap_or_default(),
            usual: (whole(windows.usual.quiet), whole(windows.usual.max_wait)),
            longest: whole(windows.longest),
            rules: settings.rules.iter().enumerate().map(|(position, rule)| line(position, rule)).collect(),
            fields: &Profile::FIELDS,
            contributors: contributors.iter().map(named).collect(),
            switches: refused(Act::SwitchAutoSync),
            saves: refused(Act::SaveSettings),
            names: refused(Act::NameContributors),
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct Asked {
    saved: Option<String>,
}

pub(crate) async fn page(
    State(app): State<Arc<App>>,
    nonce: Nonce,
    inside: InAccount,
    Query(asked): Query<Asked>,
) -> Result<Response, Fault> {
    let (found, contributors) = saving::read(&app, &inside).await?;
    let shown = Shown::of(&inside.account.name, &found, &contributors, &inside.roles, app.windows);
    let layout = Layout::inside(&nonce, &inside, "settings");
    let on = troubleshooting::current(&app, &inside).await?;
    let on = on.map(|switch| (view::full(switch.until), switch.reason));
    let act = Act::SwitchTroubleshooting;
    let pbx = Pbx { on, refused: (!inside.roles.may(act)).then(|| act.refusal()) };
    html(&SettingsPage { layout, shown, saved: asked.saved.is_some(), pbx })
}

pub(super) fn saved(inside: &InAccount) -> Response {
    see_other(&format!("/accounts/{}/settings?saved=1", inside.account.name))
}

async fn save(app: &App, inside: &InAccount, version: &str, edit: Edit) -> Result<Response, Fault> {
    let (_, connect) = saving::save(app, inside, version, edit).await?;
    Ok(connect.map_or_else(|| saved(inside), |to| see_other(&to)))
}

/// A switch.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SwitchForm {
    version: String,
    on: bool,
}

pub(crate) async fn next_gen(
    State(app): State<Arc<App>>,
    inside: InAccount,
    Form(form): Form<SwitchForm>,
) -> Result<Response, Fault> {
    save(&app, &inside, &form.version, Edit { next_gen: Some(form.on), ..Edit::default() }).await
}

pub(crate) async fn auto_sync(
    State(app): State<Arc<App>>,
    inside: InAccount,
    Form(form): Form<SwitchForm>,
) -> Result<Response, Fault> {
    save(&app, &inside, &form.version, Edit { auto_sync: Some(form.on), ..Edit::default() }).await
}

/// Windows in seconds; empty for the usual ones.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WindowsForm {
    version: String,
    quiet: String,
    max_wait: String,
}

fn window(field: &'static str, text: &str) -> Result<Option<i32>, Fault> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = Fault::BadInput(field, "is between 0.1 and 600 seconds");
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.len() <= 3 && text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(part) {
        return Err(wrong);
    }
    format!("{whole}{part:0<3}").parse().map(Some).map_err(|_| wrong)
}

pub(crate) async fn windows(
    State(app): State<Arc<App>>,
    inside: InAccount,
    Form(form): Form<WindowsForm>,
) -> Result<Response, Fault> {
    let edit = Edit {
        quiet_ms: Some(window("quiet", &form.quiet)?),
        max_wait_ms: Some(window("max_wait", &form.max_wait)?),
        ..Edit::default()
    };
    save(&app, &inside, &form.version, edit).await
}

/// One more policy rule, behind the others.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleForm {
    version: String,
    when: String,
    field: String,
    value: String,
    policy_type: String,
    policy_name: String,
    service: String,
}

fn rule(form: &RuleForm) -> Result<PolicyRule, Fault> {
    let field = form.field.clone();
    let when = match form.when.as_str() {
        "always" => Condition::Always,
        "set" => Condition::Set { field },
        "unset" => Condition::Unset { field },
        "is" => {
            // flags and lists as JSON has them, anything else is a text
            let value = serde_json::from_str(&form.value)
                .ok()
                .filter(|value: &serde_json::Value| value.is_boolean() || value.is_array());
            Condition::Is { field, value: value.unwrap_or_else(|| form.value.clone().into()) }
        }
        _ => return Err(Fault::BadInput("when", "is always, set, unset or is")),
    };
    let services = match form.service.as_str() {
        "all" => Vec::new(),
        "voice" => vec![Service::Voice],
        "app" => vec![Service::App],
        _ => return Err(Fault::BadInput("service", "is all, voice or app")),
    };
    let policy_type = PolicyType(form.policy_type.trim().to_owned());
    Ok(PolicyRule { when, policy_type, policy_name: form.policy_name.trim().to_owned(), services })
}

pub(crate) async fn add_rule(
    State(app): State<Arc<App>>,
    inside: InAccount,
    Form(form): Form<RuleForm>,
) -> Result<Response, Fault> {
    let (found, _) = saving::read(&app, &inside).await?;
    let mut rules = found.settings.rules;
    rules.push(rule(&form)?);
    save(&app, &inside, &form.version, Edit { rules: Some(rules), ..Edit::default() }).await
}

/// A policy rule that goes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemoveRuleForm {
    version: String,
    position: usize,
}

pub(crate) async fn remove_rule(
    State(app): State<Arc<App>>,
    inside: InAccount,
    Form(form): Form<RemoveRuleForm>,
) -> Result<Response, Fault> {
    let (found, _) = saving::read(&app, &inside).await?;
    let mut rules = found.settings.rules;
    if found.version != form.version || form.position >= rules.len() {
        return Err(Fault::Stale);
    }
    rules.remove(form.position);
    save(&app, &inside, &form.version, Edit { rules: Some(rules), ..Edit::default() }).await
}

/// Somebody who may sync.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NameForm {
    sign_in_name: String,
}

pub(crate) async fn name(
    State(app): State<Arc<App>>,
    inside: InAccount,
    Form(form): Form<NameForm>,
) -> Result<Response, Fault> {
    saving::name(&app, &inside, &form.sign_in_name).await?;
    Ok(saved(&inside))
}

/// Somebody who may sync no more.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UnnameForm {
    person: Uuid,
}

pub(crate) async fn unname(
    State(app): State<Arc<App>>,
    inside: InAccount,
    Form(form): Form<UnnameForm>,
) -> Result<Response, Fault> {
    saving::unname(&app, &inside, form.person).await?;
    Ok(saved(&inside))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_read_to_the_millisecond_and_nothing_else_is() {
        assert_eq!(window("quiet", " "), Ok(None));
        assert_eq!(window("quiet", "60"), Ok(Some(60_000)));
        assert_eq!(window("quiet", "0.25"), Ok(Some(250)));
        for wrong in ["-1", "1e3", "60 s", "1000", ".5", "0.0001", "NaN", "+5"] {
            assert!(window("quiet", wrong).is_err(), "{wrong}");
        }
    }
}
