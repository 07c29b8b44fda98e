//! The story: one edit in the PBX, and what becomes of it. Every line is read from where it happened.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tandem_domain::job::JobType;
use tandem_domain::{AccountId, Gen, JobId};
use tandem_graph::TenantClient;
use tandem_store::change::{self, ChangeRow};
use tandem_store::log_read::{self, JobFilter, JobRow, StepFilter, StepRow};
use tandem_store::{Store, windows};
use time::OffsetDateTime;
use tokio::time::Instant;

use super::rest::LOOK;
use super::screen::Screen;
use super::world::Person;

/// The story comes true within this time or not at all.
const WITHIN: Duration = Duration::from_secs(60);

/// What has to happen after the save, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Detected,
    Window,
    Cut,
    Accepted,
    Confirmed,
    Settled,
}

impl Line {
    const ALL: [Self; 6] =
        [Self::Detected, Self::Window, Self::Cut, Self::Accepted, Self::Confirmed, Self::Settled];

    fn text(self) -> &'static str {
        match self {
            Self::Detected => "detected",
            Self::Window => "window opened",
            Self::Cut => "job cut",
            Self::Accepted => "request accepted",
            Self::Confirmed => "confirmed",
            Self::Settled => "settled",
        }
    }
}

/// Something that happened: when, and what is worth knowing about it.
type Happened = (OffsetDateTime, String);

/// Watches one edit of one person.
pub(super) struct Story<'a> {
    pub(super) screen: &'a Screen,
    pub(super) store: &'a Store,
    pub(super) tenant: &'a TenantClient,
    pub(super) clock: tandem_runtime::Clock,
    pub(super) account: AccountId,
    pub(super) person: &'a Person,
    /// Changes up to here were there before the edit.
    pub(super) before: Gen,
    /// The number that the edit gives.
    pub(super) number: &'a str,
    /// When the PBX saved it.
    pub(super) saved: OffsetDateTime,
}

/// What the watcher has seen so far.
#[derive(Default)]
struct Seen {
    change: Option<ChangeRow>,
    job: Option<JobId>,
}

impl Story<'_> {
    /// Tells what happens until the change has settled.
    ///
    /// # Errors
    /// When a line does not come true in time.
    pub(super) async fn tell(&self) -> Result<()> {
        let deadline = Instant::now() + WITHIN;
        let mut seen = Seen::default();
        for line in Line::ALL {
            let waiting = format!("waiting for \"{}\"", line.text());
            let happened = self.screen.during(&waiting, self.wait(line, &mut seen, deadline)).await?;
            for (at, details) in happened {
                self.screen.story((at - self.saved).as_seconds_f64(), line.text(), &details);
            }
        }
        Ok(())
    }

    async fn wait(&self, line: Line, seen: &mut Seen, deadline: Instant) -> Result<Vec<Happened>> {
        loop {
            let happened = self.look(line, seen).await?;
            if !happened.is_empty() {
                return Ok(happened);
            }
            if Instant::now() >= deadline {
                let seconds = WITHIN.as_secs();
                let so_far = self.so_far(seen).await?;
                bail!(
                    "the line \"{}\" did not come true within {seconds} s of the save; {so_far}",
                    line.text()
                );
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn look(&self, line: Line, seen: &mut Seen) -> Result<Vec<Happened>> {
        Ok(match line {
            Line::Detected => self.detected(seen).await?.into_iter().collect(),
            Line::Window => self.window(seen).await?.into_iter().collect(),
            Line::Cut => self.cut(seen).await?.into_iter().collect(),
            Line::Accepted => self.accepted(seen).await?,
            Line::Confirmed => self.confirmed(seen).await?.into_iter().collect(),
            Line::Settled => self.settled(seen).await?.into_iter().collect(),
        })
    }

    /// The change as the detector recorded it.
    async fn detected(&self, seen: &mut Seen) -> Result<Option<Happened>> {
        let mut tx = self.store.begin("demo.detected").await?;
        let found = change::range(&mut tx, self.account, self.before, Gen::MAX).await?;
        let ours = |row: &ChangeRow| {
            let numbers = row.after.as_ref().map(|after| after["did_numbers"].to_string());
            row.user.as_ref() == Some(&self.person.pbx_user)
                && numbers.is_some_and(|numbers| numbers.contains(self.number))
        };
        seen.change = found.into_iter().find(ours);
        Ok(seen.change.as_ref().map(|row| {
            let field = |side: &Option<serde_json::Value>| {
                side.as_ref().map(|side| side["did_numbers"].to_string()).unwrap_or_default()
            };
            let (before, after) = (field(&row.before), field(&row.after));
            (row.detected_at, format!("change {}: did_numbers {before} -> {after}", row.generation))
        }))
    }

    /// The open window; one that has closed already shows at its job.
    async fn window(&self, seen: &mut Seen) -> Result<Option<Happened>> {
        let Some(change) = &seen.change else { return Ok(None) };
        let mut tx = self.store.begin("demo.window").await?;
        let window = windows::open(&mut tx, self.account).await?;
        if let Some(window) = window.filter(|window| window.generation >= change.generation)
            && let (Some(_), Some(due)) = (window.first_change_at, window.due_at)
        {
            let closes = (due - self.saved).as_seconds_f64();
            let details =
                format!("gathers more changes of the account; closes at {closes:.3} s if none comes");
            return Ok(Some((self.clock.now(), details)));
        }
        let job = self.job(seen).await?.and_then(|job| Some((job.first_change_at?, job.job)));
        Ok(job.map(|(first, job)| (first, format!("and closed already, by job {job}"))))
    }

    /// The first event of the job.
    async fn cut(&self, seen: &mut Seen) -> Result<Option<Happened>> {
        let Some(job) = self.job(seen).await? else { return Ok(None) };
        ensure!(job.job_type == JobType::Auto, "job {} is of type {}", job.job, job.job_type.as_str());
        seen.job = Some(job.job);
        let steps = self.steps(job.job, None).await?;
        Ok(steps
            .iter()
            .find(|step| step.kind == "queued")
            .map(|step| (step.at, format!("type {}, {}", type_name(job.job_type), job.job))))
    }

    /// The orders that Microsoft accepted for this person, once the new number is among them.
    async fn accepted(&self, seen: &Seen) -> Result<Vec<Happened>> {
        let orders = self.own_steps(seen, "step", "accepted").await?;
        if !orders.iter().any(|step| self.gives(step)) {
            return Ok(Vec::new());
        }
        Ok(orders
            .iter()
            .map(|step| {
                let number = if self.gives(step) { &step.after } else { &step.before };
                let action = step.action.as_deref().unwrap_or_default();
                let number = number.as_deref().unwrap_or_default();
                let request = step.request_id.as_deref().unwrap_or("unknown");
                (step.at, format!("202 for {action} {number}, Microsoft's request {request}"))
            })
            .collect())
    }

    fn gives(&self, step: &StepRow) -> bool {
        step.action.as_deref() == Some("assign_number") && step.after.as_deref() == Some(self.number)
    }

    /// The outcome of the user.
    async fn confirmed(&self, seen: &Seen) -> Result<Option<Happened>> {
        let users = self.own_steps(seen, "user", "confirmed").await?;
        let details = "the operation has succeeded and the user's record shows it".to_owned();
        Ok(users.first().map(|step| (step.at, details)))
    }

    /// The end of the job's story.
    async fn settled(&self, seen: &Seen) -> Result<Option<Happened>> {
        let Some(job) = seen.job else { return Ok(None) };
        let steps = self.steps(job, None).await?;
        let details = "a later look through inventory and user record agrees".to_owned();
        Ok(steps.iter().find(|step| step.kind == "settled").map(|step| (step.at, details)))
    }

    /// The job that covers the change: by its plan once there is one, else the one cut since the save.
    async fn job(&self, seen: &Seen) -> Result<Option<JobRow>> {
        let Some(change) = &seen.change else { return Ok(None) };
        let mut tx = self.store.begin("demo.job").await?;
        if let Some(job) = log_read::job_of_change(&mut tx, self.account, change.generation).await? {
            return Ok(Some(job));
        }
        let filter =
            JobFilter { account: Some(self.account), since: Some(self.saved), ..JobFilter::default() };
        Ok(log_read::jobs(&mut tx, &filter, None, 10).await?.into_iter().last())
    }

    async fn own_steps(&self, seen: &Seen, kind: &str, outcome: &str) -> Result<Vec<StepRow>> {
        let Some(job) = seen.job else { return Ok(Vec::new()) };
        let mut steps = self.steps(job, Some(outcome)).await?;
        steps.retain(|step| step.kind == kind && step.pbx_user.as_ref() == Some(&self.person.pbx_user));
        Ok(steps)
    }

    async fn steps(&self, job: JobId, outcome: Option<&str>) -> Result<Vec<StepRow>> {
        let mut tx = self.store.begin("demo.steps").await?;
        let filter = StepFilter { user: None, outcome: outcome.map(str::to_owned) };
        Ok(log_read::steps(&mut tx, job, &filter, 0, log_read::MAX_PAGE).await?)
    }

    /// How far it came, for the message that it did not come all the way.
    async fn so_far(&self, seen: &Seen) -> Result<String> {
        Ok(match self.job(seen).await? {
            None => "no job was cut".to_owned(),
            Some(job) => {
                let why = job.error_text.map(|text| format!(": {text}")).unwrap_or_default();
                format!("job {} is {}{why}", job.job, job.state.as_str())
            }
        })
    }

    /// Reads the person's number in Teams, and says whether it is the new one.
    ///
    /// # Errors
    /// When it is not.
    pub(super) async fn compare(&self, before: Option<&str>) -> Result<()> {
        let now = number_in_teams(self.tenant, self.person).await?;
        let or_none = |number: Option<&str>| number.unwrap_or("none").to_owned();
        self.screen.item(&format!("number of {} in Teams before: {}", self.person.name, or_none(before)));
        self.screen.item(&format!(
            "number of {} in Teams now:    {}",
            self.person.name,
            or_none(now.as_deref())
        ));
        ensure!(now.as_deref() == Some(self.number), "Teams does not show {}", self.number);
        Ok(())
    }
}

/// The name of a type as people see it.
pub(super) fn type_name(job_type: JobType) -> &'static str {
    match job_type {
        JobType::Auto => "Auto",
        JobType::Manual => "Manual",
    }
}

/// A person's number as Microsoft shows it, over HTTP from the simulator.
pub(super) async fn number_in_teams(tenant: &TenantClient, person: &Person) -> Result<Option<String>> {
    let record = tenant.user_configuration(person.oid).await.context("read a user in Teams")?;
    Ok(record.and_then(|record| record.primary_number().map(str::to_owned)))
}
