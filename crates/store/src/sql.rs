//! Declares the statements of a module as constants, together with the list that the prepare test walks.

/// `statements! { /// doc NAME = "sql"; }` declares the constants and `STATEMENTS`, all of them by name.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $sql:literal;)+) => {
        $($(#[$doc])* const $name: &str = concat!("/* ", module_path!(), "::", stringify!($name), " */ ", $sql);)+
        /// All statements of this module by name.
        pub(crate) const STATEMENTS: &[(&str, &str)] = &[$((concat!(module_path!(), "::", stringify!($name)), $name),)+];
    };
}

pub(crate) use statements;

/// Rows of one statement, where a job may have a hundred thousand.
pub(crate) const TOGETHER: usize = 500;

/// A `like` pattern that matches nothing but the text as it is written.
pub(crate) fn pattern(text: &str) -> String {
    text.replace('\0', "").replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}
