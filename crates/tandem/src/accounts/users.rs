//! `tandem accounts users`: who can be connected with a PBX user, and why the others cannot.

use serde_json::{Value, json};
use tandem_domain::eligible::NotEligible;
use tandem_store::microsoft_users::{self, Discovery, Filter, MicrosoftUser};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Output;
use crate::operator::Operator;
use crate::screen::{self, Table};

/// Rows asked of the database at once.
const PAGE: i64 = 1000;

/// Options of `tandem accounts users`.
#[derive(Debug, clap::Args)]
pub(crate) struct UsersArgs {
    /// Short name of the account
    name: String,
    /// Only users that can be connected with a PBX user
    #[arg(long)]
    eligible: bool,
    /// Only users whose names, kind or reason hold this text
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Only users without a mapping
    #[arg(long)]
    unmapped: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

pub(super) async fn users(operator: &Operator, args: UsersArgs) -> anyhow::Result<()> {
    let account = operator.account(&args.name).await?;
    let filter = Filter { eligible: args.eligible, unmapped: args.unmapped, search: args.search };
    let mut tx = operator.store.begin("accounts.users").await?;
    let lists = microsoft_users::latest(&mut tx, account).await?;
    let mut users: Vec<MicrosoftUser> = Vec::new();
    loop {
        let page = microsoft_users::list(&mut tx, account, &filter, users.last(), PAGE).await?;
        let last = page.len() < usize::try_from(PAGE)?;
        users.extend(page);
        if last {
            break;
        }
    }
    if args.output == Output::Json {
        return screen::json(&json!({
            "lists": lists.iter().map(list_document).collect::<Vec<_>>(),
            "users": users.iter().map(user_document).collect::<Vec<_>>(),
        }));
    }
    for line in told(&lists, &args.name) {
        screen::line(&line);
    }
    if !lists.is_empty() {
        screen::line(&format!("\n{}", table(&users).text()));
    }
    Ok(())
}

/// What the reader has to know about the list before believing it.
fn told(lists: &[Discovery], name: &str) -> Vec<String> {
    let Some(newest) = lists.first() else {
        return vec![format!(
            "Nobody has read the users of this tenant yet: run `tandem jobs run --account {name} --full --reason ...`."
        )];
    };
    let mut lines = match (newest.state.as_str(), &newest.cut_at) {
        ("cut", Some(at)) => vec![format!(
            "CUT at {at}: the list read at {} by job {} is not whole ({}). Rows are as they were last seen; nobody was \
             taken off.",
            screen::time(newest.ended_at),
            newest.job,
            newest.detail.as_deref().unwrap_or("no reason was noted"),
        )],
        ("running", _) => vec![format!(
            "Job {} has been reading the list since {}.",
            newest.job,
            screen::time(Some(newest.started_at))
        )],
        _ => Vec::new(),
    };
    match lists.iter().find(|list| list.state == "complete") {
        Some(whole) => lines.push(format!(
            "Seen at {}, complete: {} users on {} pages, {} gone since the list before (job {}).",
            screen::time(whole.ended_at),
            whole.users,
            whole.pages,
            whole.gone,
            whole.job
        )),
        None => lines.push("No complete list has been read yet.".to_owned()),
    }
    lines
}

fn table(users: &[MicrosoftUser]) -> Table {
    let mut table = Table::new([
        "UPN",
        "NAME",
        "KIND",
        "PHONE PLAN",
        "ELIGIBLE",
        "NOTES",
        "PBX USER",
        "SEEN AT",
        "GONE SINCE",
    ]);
    for user in users {
        let flags: Vec<&str> = user.flags.iter().map(|flag| flag.as_str()).collect();
        table.row([
            user.upn.clone(),
            user.display_name.clone().unwrap_or_default(),
            user.kind.as_str().to_owned(),
            user.phone_plan.as_str().to_owned(),
            user.why_not.map_or("yes".to_owned(), |why| format!("no: {}", why.text())),
            if flags.is_empty() { "-".to_owned() } else { flags.join(", ") },
            user.mapped_to.as_ref().map_or("-".to_owned(), ToString::to_string),
            screen::time(Some(user.seen_at)),
            screen::time(user.gone_at),
        ]);
    }
    table
}

fn time(at: Option<OffsetDateTime>) -> Option<String> {
    at.and_then(|at| at.format(&Rfc3339).ok())
}

fn list_document(list: &Discovery) -> Value {
    json!({
        "id": list.id, "job": list.job, "state": list.state, "started_at": time(Some(list.started_at)),
        "ended_at": time(list.ended_at), "pages": list.pages, "users": list.users, "gone": list.gone,
        "counts": list.counts, "cut_at": list.cut_at, "detail": list.detail,
    })
}

fn user_document(user: &MicrosoftUser) -> Value {
    json!({
        "microsoft_user": user.oid, "upn": user.upn, "display_name": user.display_name, "kind": user.kind,
        "phone_plan": user.phone_plan, "account_enabled": user.account_enabled,
        "eligible": user.why_not.is_none() && user.gone_at.is_none(),
        "not_eligible": user.why_not, "not_eligible_text": user.why_not.map(NotEligible::text), "flags": user.flags,
        "mapped_to": user.mapped_to, "first_seen_at": time(Some(user.first_seen_at)),
        "seen_at": time(Some(user.seen_at)), "gone_at": time(user.gone_at),
    })
}
