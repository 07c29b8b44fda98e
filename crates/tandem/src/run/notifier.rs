//! The notifier as one of the roles.

use tandem_notifier::{Carrier, NotifierSettings, Parts};
use tandem_runtime::Ctx;
use tandem_runtime::config::ConfigErrors;
use tandem_store::Store;

use crate::config::{Config, PortalSection};

/// Everything that the notifier needs, secrets read, nothing connected.
#[derive(Debug)]
pub(super) struct NotifierPrepared {
    settings: NotifierSettings,
    carrier: Carrier,
}

impl NotifierPrepared {
    pub(super) fn collect(config: &Config, errors: &mut ConfigErrors) -> Option<Self> {
        let Some(section) = &config.notifier else {
            errors.push_hint("notifier", "the section is missing", "it says how mail leaves");
            return None;
        };
        let base = config.portal.as_ref().and_then(PortalSection::base);
        Some(Self { settings: section.settings(base)?, carrier: section.carrier(errors)? })
    }

    pub(super) fn start(&self, ctx: &Ctx, store: Store) {
        tandem_notifier::start(ctx, &Parts { store, carrier: self.carrier.clone() }, &self.settings);
    }
}
