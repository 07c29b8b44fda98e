//! Guards against removing too much at once.

/// Held removals can be approved for so many days; then the account may be another one, and a new job looks again.
pub const HELD_DAYS: i32 = 7;

/// Limits above which removals wait for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemovalGuard {
    /// So many removals always pass.
    pub floor: usize,
    /// Beyond the floor, this share of the mapped users passes, in percent.
    pub percent: usize,
}

impl RemovalGuard {
    /// Hold when more than `max(3, 10 % of mapped users)` would be removed.
    pub const DEFAULT: Self = Self { floor: 3, percent: 10 };

    /// Whether `removals` out of `mapped` users must be held.
    #[must_use]
    pub fn holds(self, removals: usize, mapped: usize) -> bool {
        removals > self.floor.max(mapped * self.percent / 100)
    }
}

/// Whether a snapshot that lost `missing` of `known` users is held instead of believed.
/// Losing everything is always held, however few there were beyond one.
#[must_use]
pub fn holds_mass_deletion(guard: RemovalGuard, missing: usize, known: usize) -> bool {
    guard.holds(missing, known) || (known > 1 && missing >= known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_accounts_have_a_floor_and_large_ones_a_share() {
        let guard = RemovalGuard::DEFAULT;
        assert!(!guard.holds(3, 5));
        assert!(guard.holds(4, 5));
        assert!(!guard.holds(100, 1000));
        assert!(guard.holds(101, 1000));
        assert!(holds_mass_deletion(guard, 2, 2));
        assert!(!holds_mass_deletion(guard, 1, 1));
    }
}
