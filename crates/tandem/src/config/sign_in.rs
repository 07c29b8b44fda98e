//! Section `sign_in`: the app registration that people sign in to. It is a public client and has no credential.

use serde::Deserialize;
use tandem_runtime::config::ConfigErrors;

/// Section `sign_in`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SignInSection {
    /// Its application (client) id.
    pub(crate) client_id: String,
    /// Graph permissions that show a person's directory roles.
    pub(crate) scopes: Vec<String>,
}

impl Default for SignInSection {
    fn default() -> Self {
        Self { client_id: String::new(), scopes: vec!["User.Read".to_owned()] }
    }
}

impl SignInSection {
    pub(super) fn check(&self, has_microsoft: bool, errors: &mut ConfigErrors) {
        if self.client_id.is_empty() {
            errors.push("sign_in.client_id", "is missing");
        }
        let name = |scope: &String| {
            !scope.is_empty() && scope.chars().all(|c| c.is_ascii_alphanumeric() || c == '.')
        };
        if self.scopes.is_empty() || !self.scopes.iter().all(name) {
            errors.push("sign_in.scopes", "are names of Graph permissions such as User.Read");
        }
        if !has_microsoft {
            errors.push_hint("sign_in", "needs the section [microsoft]", "it says where Microsoft is");
        }
    }
}
