//! What the doctor found.

use serde::Serialize;
use tandem_pbx::sql;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// As it should be.
    #[default]
    Ok,
    /// Worth knowing.
    Note,
    /// Works, but should be changed.
    Warning,
    /// Does not work, or must not be used like this.
    Error,
}

impl Severity {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "ERROR",
        }
    }
}

impl From<sql::Severity> for Severity {
    fn from(severity: sql::Severity) -> Self {
        match severity {
            sql::Severity::Ok => Self::Ok,
            sql::Severity::Note => Self::Note,
            sql::Severity::Warning => Self::Warning,
            sql::Severity::Error => Self::Error,
        }
    }
}

/// One finding.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Finding {
    area: String,
    severity: Severity,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

/// All of them, in the order they were made.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    pub(super) fn add(&mut self, area: &str, severity: Severity, text: String, remedy: Option<String>) {
        self.0.push(Finding { area: area.to_owned(), severity, text, remedy });
    }

    pub(super) fn ok(&mut self, area: &str, text: String) {
        self.add(area, Severity::Ok, text, None);
    }

    pub(super) fn note(&mut self, area: &str, text: String, remedy: &str) {
        self.add(area, Severity::Note, text, Some(remedy.to_owned()));
    }

    pub(super) fn warning(&mut self, area: &str, text: String, remedy: &str) {
        self.add(area, Severity::Warning, text, Some(remedy.to_owned()));
    }

    pub(super) fn error(&mut self, area: &str, text: String, remedy: &str) {
        self.add(area, Severity::Error, text, Some(remedy.to_owned()));
    }

    /// Two clocks and how far they are apart.
    pub(super) fn clocks(&mut self, area: &str, whose: &str, apart: time::Duration) {
        let seconds = apart.abs().as_seconds_f64();
        let text = format!("the clock of this machine and {whose} are {seconds:.1} s apart");
        let remedy = "let both machines follow a time server";
        match seconds {
            ..2.0 => self.ok(area, text),
            ..60.0 => self.warning(area, text, remedy),
            _ => self.error(area, text, remedy),
        }
    }

    pub(super) fn worst(&self) -> Severity {
        self.0.iter().map(|finding| finding.severity).max().unwrap_or_default()
    }

    /// A line each, what to do below it.
    pub(super) fn text(&self) -> String {
        let lines = self.0.iter().map(|Finding { area, severity, text, remedy }| {
            let remedy = match remedy {
                Some(remedy) if *severity > Severity::Ok => format!("\n           -> {remedy}"),
                _ => String::new(),
            };
            format!("{:<8} {area}: {text}{remedy}", severity.as_str())
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}
