//! What will become a fault unless somebody does something.

use super::code::Code;
use super::draft::Draft;
use super::types::{Licence, Warning};
use super::view::View;

/// A number and a phone licence that part: without a licence Microsoft leaves the number on the user, where it neither
/// rings nor can be taken off, so the number has to go first.
pub(super) fn of(draft: &Draft<'_>, view: &View<'_>) -> Option<Warning> {
    let user = view.user(draft.wanted.oid)?;
    let (number, _) = view.held(draft.wanted.oid).find(|(_, line)| line.direct_routing)?;
    let (code, text) = match user.licensed {
        Licence::Warning => (
            Code::LicenceEnding,
            format!(
                "the Teams Phone licence of {} is about to end while it has {number}; renew it, or unmap the user \
                 first, so that the number comes off before the licence does",
                user.upn
            ),
        ),
        Licence::Missing => (
            Code::LicenceGone,
            format!(
                "{} lost its Teams Phone licence before {number} came off, and the number is trapped there; assign \
                 the licence again until Tandem has taken the number off",
                user.upn
            ),
        ),
        Licence::Active | Licence::Unknown => return None,
    };
    Some(Warning { code, text })
}
