//! Jobs through the portal: whoever has a token there needs no access to the database.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use tandem_runtime::Clock;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use url::form_urlencoded;
use uuid::Uuid;

use super::{ListArgs, since};
use crate::accounts::Output;
use crate::login::LoginFile;
use crate::remote::Remote;
use crate::screen::{self, Table};

/// How often a job is looked at.
const EVERY: Duration = Duration::from_secs(2);
/// How long it is waited for the job of a request.
const SOON: u32 = 10;

/// Whether a command works through the portal.
#[derive(Debug, clap::Args)]
pub(crate) struct MaybeRemote {
    /// Work through the portal that `tandem login` was told of, not with the database
    #[arg(long)]
    portal: bool,
    #[command(flatten)]
    file: LoginFile,
    /// Why an operator looks into the account, through the portal
    #[arg(long, value_name = "TEXT", requires = "portal")]
    reason: Option<String>,
}

impl MaybeRemote {
    /// Whether it does.
    pub(super) fn asked(&self) -> bool {
        self.portal
    }
}

/// A job of the portal.
#[derive(Debug, clap::Args)]
pub(crate) struct OneArgs {
    /// Its id
    job: Uuid,
    /// Its account, where that is not plain
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Why an operator looks into the account
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    file: LoginFile,
    /// How to print
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Something that is asked for about a job.
#[derive(Debug, clap::Args)]
pub(crate) struct AskArgs {
    /// The job's id
    job: Uuid,
    /// Its account, where that is not plain
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Why; it is kept with the job and in the audit
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    file: LoginFile,
    /// How to print
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// A job of an account, as the API names it.
struct Place {
    remote: Remote,
    account: String,
    job: Uuid,
}

/// The short name of an account is a part of addresses.
fn account_name(name: &str) -> anyhow::Result<&str> {
    let plain =
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    anyhow::ensure!(plain, "--account is the short name of one account");
    Ok(name)
}

impl Place {
    /// Finds the account of a job: the one that is named, the only one, or, for an operator, the one that the job is of.
    async fn of(file: &LoginFile, job: Uuid, account: Option<&str>) -> anyhow::Result<Self> {
        let remote = Remote::new(&file.read()?)?;
        if let Some(name) = account {
            return Ok(Self { remote, account: account_name(name)?.to_owned(), job });
        }
        let all = remote.get("accounts", None).await?;
        let account = match all["accounts"].as_array().map(Vec::as_slice) {
            Some([only]) => only["name"].as_str().map(str::to_owned),
            _ => {
                let found = remote.get(&format!("jobs?q={job}"), None).await;
                let found = found.context("say which account the job is of, with --account NAME")?;
                found["jobs"][0]["account"].as_str().map(str::to_owned)
            }
        };
        let account = account.with_context(|| format!("there is no job {job}"))?;
        Ok(Self { remote, account, job })
    }

    async fn get(&self, part: &str, reason: Option<&str>) -> anyhow::Result<Value> {
        self.remote.get(&format!("accounts/{}/jobs/{}{part}", self.account, self.job), reason).await
    }

    /// Prints the lines of the log behind `after`; the number of the last one.
    async fn lines(&self, mut after: i64, reason: Option<&str>) -> anyhow::Result<i64> {
        loop {
            let page = self.get(&format!("/log?after={after}"), reason).await?;
            for line in page["lines"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                screen::line(&screen::one_line(line));
            }
            after = page["last"].as_i64().unwrap_or(after);
            if page["more"] != Value::Bool(true) {
                return Ok(after);
            }
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn time(value: &Value) -> String {
    screen::time(value.as_str().and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok()))
}

pub(super) async fn list(args: &ListArgs) -> anyhow::Result<ExitCode> {
    let remote = Remote::new(&args.remote.file.read()?)?;
    let mut query = form_urlencoded::Serializer::new(String::new());
    let mut add = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            query.append_pair(key, &value);
        }
    };
    add("type", args.job_type.map(|kind| kind.to_string()));
    add("state", args.state.map(|state| state.to_string()));
    let since = args.since.as_deref().map(|text| since(text, Clock::system().now())).transpose()?;
    let path = match &args.account {
        // an account's own log takes days
        Some(name) => {
            add("since", since.map(|at| at.date().to_string()));
            format!("accounts/{}/jobs", account_name(name)?)
        }
        None => {
            add("from", since.map(|at| at.format(&Rfc3339)).transpose()?);
            "jobs".to_owned()
        }
    };
    let query = query.finish();
    let reason = args.remote.reason.as_deref();
    let most = usize::from(args.limit);
    let (mut found, mut after) = (Vec::new(), String::new());
    while found.len() < most {
        let page = remote.get(&format!("{path}?{query}{after}"), reason).await?;
        found.extend(page["jobs"].as_array().into_iter().flatten().cloned());
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    found.truncate(most);
    if args.output == Output::Json {
        screen::json(&found)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(["JOB", "ACCOUNT", "TYPE", "STATE", "QUEUED", "FINISHED", "ERROR"]);
    for job in &found {
        table.row([
            text(&job["job_id"]),
            args.account.clone().unwrap_or_else(|| text(&job["account"])),
            text(&job["type"]),
            text(&job["state"]),
            time(&job["queued_at"]),
            time(&job["finished_at"]),
            text(&job["error_code"]),
        ]);
    }
    screen::line(&table.text());
    Ok(ExitCode::SUCCESS)
}

/// What is said of a job above its log.
fn head(account: &str, job: &Value) {
    let lines = [
        ("Job", text(&job["job_id"])),
        ("Account", account.to_owned()),
        ("Type", text(&job["type"])),
        ("State", text(&job["state"])),
        ("Cause", text(&job["cause"])),
        ("Queued", time(&job["queued_at"])),
        ("Started", time(&job["started_at"])),
        ("Finished", time(&job["finished_at"])),
        ("Settled", time(&job["settled_at"])),
        ("Asked by", text(&job["person"])),
        ("Reason", text(&job["reason"])),
        ("Follows", text(&job["linked_job"])),
        ("Error", format!("{}: {}", text(&job["error_code"]), text(&job["error_text"]))),
    ];
    for (title, value) in lines.into_iter().filter(|(_, value)| value != "-" && value != "-: -") {
        screen::line(&format!("{title:<14}{}", screen::one_line(&value)));
    }
}

pub(super) async fn show(
    remote: &MaybeRemote,
    (job, account): (Uuid, Option<&str>),
    output: Output,
) -> anyhow::Result<ExitCode> {
    let place = Place::of(&remote.file, job, account).await?;
    let reason = remote.reason.as_deref();
    let job = place.get("", reason).await?;
    if output == Output::Json {
        let steps = place.get("/steps", reason).await?;
        screen::json(&json!({ "job": job, "steps": steps["steps"], "next": steps["next"] }))?;
        return Ok(ExitCode::SUCCESS);
    }
    head(&place.account, &job);
    screen::line("");
    place.lines(0, reason).await?;
    Ok(ExitCode::SUCCESS)
}

/// Follows a job. Whoever stops this stops nothing else.
pub(super) async fn watch(args: &OneArgs) -> anyhow::Result<ExitCode> {
    let place = Place::of(&args.file, args.job, args.account.as_deref()).await?;
    let reason = args.reason.as_deref();
    let mut after = 0;
    loop {
        // the state is read first, so that no line is missed that was written before it
        let job = place.get("", reason).await?;
        if args.output == Output::Text {
            after = place.lines(after, reason).await?;
        }
        if let "succeeded" | "partly" | "failed" | "cancelled" = job["state"].as_str().unwrap_or_default() {
            match args.output {
                Output::Json => screen::json(&job)?,
                Output::Text => screen::line(&format!("{} {}", args.job, text(&job["state"]))),
            }
            let good = job["state"] == "succeeded";
            return Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Asks for something about a job, and says what has become of it within a few seconds.
pub(super) async fn ask(args: &AskArgs, what: &str) -> anyhow::Result<ExitCode> {
    let place = Place::of(&args.file, args.job, args.account.as_deref()).await?;
    let reason = Some(args.reason.as_str());
    let path = format!("accounts/{}/jobs/{}/{what}", place.account, place.job);
    let asked = place.remote.post(&path, &json!({ "reason": args.reason }), reason).await?;
    let request = asked["request_id"].as_str().context("the portal names no request")?;
    let mut answer = Value::Null;
    for _ in 0..SOON {
        answer = place.remote.get(&format!("accounts/{}/requests/{request}", place.account), reason).await?;
        if answer["waits"] == Value::Bool(false) {
            break;
        }
        tokio::time::sleep(EVERY / 4).await;
    }
    if args.output == Output::Json {
        screen::json(&answer)?;
    } else if let Some(code) = answer["refused"]["code"].as_str() {
        screen::error(&screen::one_line(&format!("{} ({code})", text(&answer["refused"]["text"]))));
    } else if answer["waits"] == Value::Bool(true) {
        screen::line(&format!("Asked; request {request} waits."));
    } else if let Some(job) = answer["job_id"].as_str() {
        screen::line(&screen::one_line(&format!("Carried out by job {job}.")));
    } else {
        screen::line(&format!("Done; request {request}."));
    }
    Ok(if answer["refused"].is_null() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b41_an_account_is_named_plainly() {
        assert_eq!(account_name("alpha-1").unwrap(), "alpha-1");
        for odd in ["*", "", "a/b", "../x", "Alpha", "a b", "a?x=1"] {
            assert!(account_name(odd).is_err(), "{odd}");
        }
    }
}
