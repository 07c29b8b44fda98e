//! Why a bulk act is not made, or not aborted.

/// Why a bulk act is not made, or not aborted. Codes are stable and listed in `docs/codes.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BulkFault {
    /// The filter names nothing beside a time.
    EmptyFilter,
    /// More jobs are named one by one than one bulk act takes.
    TooManyChosen,
    /// More jobs would have to be looked at than one search reads.
    TooWide,
    /// Something that is named is no job that is there.
    UnknownJob,
    /// No job that matches has left something to be done anew.
    Nothing,
    /// Another number of jobs matches than was confirmed.
    Changed,
    /// Another bulk act runs.
    Running,
    /// The bulk act is over, or aborted.
    Over,
}

impl BulkFault {
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::EmptyFilter => "bulk_filter_empty",
            Self::TooManyChosen => "bulk_too_many",
            Self::TooWide => "bulk_too_wide",
            Self::UnknownJob => "bulk_job_unknown",
            Self::Nothing => "bulk_nothing",
            Self::Changed => "bulk_changed",
            Self::Running => "bulk_running",
            Self::Over => "bulk_over",
        }
    }

    /// Whether the request itself is at fault, and not what there is.
    pub(super) fn is_input(self) -> bool {
        matches!(self, Self::EmptyFilter | Self::TooManyChosen | Self::TooWide | Self::UnknownJob)
    }

    pub(super) fn happened(self) -> &'static str {
        match self {
            Self::EmptyFilter => "The filter names nothing beside a time, so every sync would match.",
            Self::TooManyChosen => "More than 1,000 syncs are named one by one.",
            Self::TooWide => "More than 100,000 syncs would have to be looked at.",
            Self::UnknownJob => "Something that is named is no sync that is there.",
            Self::Nothing => "No sync that matches has failed or left something undone.",
            Self::Changed => "Another number of syncs matches now than was confirmed. Nothing was replayed.",
            Self::Running => "Another bulk act is being handed in. There is one at a time.",
            Self::Over => "This bulk act is handed in, or aborted already.",
        }
    }

    pub(super) fn todo(self) -> &'static str {
        match self {
            Self::EmptyFilter => "Name a state, a type, an account, a fingerprint or a text.",
            Self::TooManyChosen => "Name fewer, or use a filter.",
            Self::TooWide => "Narrow the filter, or its time range.",
            Self::UnknownJob => "Look for the syncs again and choose among what is found.",
            Self::Nothing | Self::Changed => "Look for the syncs again.",
            Self::Running => "Wait until it is handed in, or abort it.",
            Self::Over => "Look at what became of it.",
        }
    }
}
