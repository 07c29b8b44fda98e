//! Looking for jobs over all accounts, with filters that live in the address.

use serde::{Deserialize, Serialize};
use tandem_domain::JobId;
use tandem_domain::job::{JobState, JobType};
use tandem_store::Tx;
use tandem_store::fleet_jobs::{self, FleetJob, JobSearch, Needle};
use tandem_store::portal::people;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use url::form_urlencoded;
use uuid::Uuid;

use super::PAGE;
use crate::App;
use crate::fault::Fault;
use crate::pages::jobs::{day, read};

/// The filters, as they stand in the address. Empty ones are none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Asked {
    /// One state, or several with commas between.
    pub(crate) state: String,
    #[serde(rename = "type")]
    pub(crate) job_type: String,
    pub(crate) account: String,
    pub(crate) fingerprint: String,
    /// A day, or a time to the second.
    pub(crate) from: String,
    pub(crate) to: String,
    /// A number, the id of a job or of a request, or a part of a name or an error.
    pub(crate) q: String,
    #[serde(skip_serializing)]
    pub(crate) after: String,
}

/// A day or a time of RFC 3339, and whether it is a day.
fn moment(text: &str) -> Option<(OffsetDateTime, bool)> {
    let exact = || OffsetDateTime::parse(text, &Rfc3339).ok().filter(|at| (1970..=9000).contains(&at.year()));
    day(text).map(|at| (at, true)).or_else(|| exact().map(|at| (at, false)))
}

/// A text of one line that is not long.
fn line(text: &str) -> Option<String> {
    let text = text.trim();
    (text.chars().count() <= 200 && !text.chars().any(char::is_control)).then(|| text.to_owned())
}

fn states(text: &str) -> Option<Vec<JobState>> {
    text.split(',').map(JobState::parse).collect()
}

impl Asked {
    /// Each filter that is set, by its name in the address.
    pub(crate) fn pairs(&self) -> Vec<(&'static str, &str)> {
        let all = [
            ("state", &self.state),
            ("type", &self.job_type),
            ("account", &self.account),
            ("fingerprint", &self.fingerprint),
            ("from", &self.from),
            ("to", &self.to),
            ("q", &self.q),
        ];
        all.into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| (key, value.as_str()))
            .collect()
    }

    /// As it stands behind the question mark.
    pub(crate) fn query(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(self.pairs()).finish()
    }

    /// The address of what is older.
    pub(crate) fn older(&self, after: JobId) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let query = query.extend_pairs(self.pairs()).append_pair("after", &after.to_string()).finish();
        format!("/fleet/jobs?{query}")
    }

    /// What to look for; the account is named.
    pub(crate) async fn search(&self, tx: &mut Tx) -> Result<JobSearch, Fault> {
        const TIME: &str = "is a day such as 2026-03-01, or a time such as 2026-03-01T14:07:00Z";
        const LINE: &str = "is one line of 200 characters at most";
        let account = if self.account.is_empty() {
            None
        } else {
            let name = read(&self.account, line, "account", LINE)?.unwrap_or_default();
            let found = people::named(tx, &[name]).await?.into_iter().next();
            Some(found.ok_or(Fault::BadInput("account", "is the short name of an account"))?.account)
        };
        let until = read(&self.to, moment, "to", TIME)?;
        Ok(JobSearch {
            account,
            job_type: read(&self.job_type, JobType::parse, "type", "is auto or manual")?,
            states: read(&self.state, states, "state", "is a state of a job")?.unwrap_or_default(),
            since: read(&self.from, moment, "from", TIME)?.map(|(at, _)| at),
            // the day itself counts
            until: until.map(|(at, day)| if day { at + Duration::DAY } else { at }),
            fingerprint: read(&self.fingerprint, line, "fingerprint", LINE)?,
            needle: read(&self.q, line, "q", LINE)?.as_deref().and_then(Needle::of),
        })
    }
}

/// What a search found.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) rows: Vec<FleetJob>,
    /// The `after` of the next page.
    pub(crate) next: Option<JobId>,
    /// The search ended with this job without a full page, and there are older ones.
    pub(crate) looked_to: Option<JobId>,
}

/// A page of jobs of all accounts, newest first.
pub(crate) async fn jobs(app: &App, asked: &Asked) -> Result<Found, Fault> {
    let after = read(&asked.after, |text| Uuid::try_parse(text).ok(), "after", "is the id of a job")?;
    let mut fleet = app.fleet.begin("portal.fleet_jobs").await?;
    let search = asked.search(&mut fleet).await?;
    let mut found = fleet_jobs::search(&mut fleet, &search, after.map(JobId), PAGE + 1).await?;
    let more = i64::try_from(found.rows.len()).is_ok_and(|rows| rows > PAGE);
    found.rows.truncate(usize::try_from(PAGE).unwrap_or_default());
    let next = found.rows.last().filter(|_| more).map(|job| job.row.job);
    Ok(Found { next: next.or(found.looked_to), rows: found.rows, looked_to: found.looked_to })
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn b32_times_states_and_texts_that_make_no_sense_are_refused() {
        assert_eq!(moment("2026-03-01"), Some((datetime!(2026-03-01 0:00 UTC), true)));
        assert_eq!(moment("2026-03-01T14:07:00Z"), Some((datetime!(2026-03-01 14:07 UTC), false)));
        for odd in ["", "yesterday", "0001-01-01", "9999-12-31T00:00:00Z", "2147483648", "-1"] {
            assert_eq!(moment(odd), None, "{odd}");
        }
        assert_eq!(states("failed,partly"), Some(vec![JobState::Failed, JobState::Partly]));
        assert_eq!(states("failed, partly"), None);
        assert_eq!(line("a\0b"), None);
        assert_eq!(line(&"x".repeat(201)), None);
        assert_eq!(line(" %_ ").as_deref(), Some("%_"));
    }

    #[test]
    fn filters_live_in_the_address() {
        let asked =
            Asked { state: "failed".into(), q: "+1 & 2".into(), after: "x".into(), ..Asked::default() };
        assert_eq!(asked.query(), "state=failed&q=%2B1+%26+2");
        let job = JobId(Uuid::nil());
        assert!(asked.older(job).ends_with(&format!("&after={job}")));
    }
}
