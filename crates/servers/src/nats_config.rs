//! The configuration file of a private nats-server.

use std::path::Path;

use secrecy::{ExposeSecret, SecretString};

/// One login of the account `TANDEM`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NatsUser {
    /// Its name: letters, digits, `-` and `_`.
    pub name: String,
    /// Subjects it may publish to; empty means all.
    pub publish: Vec<String>,
    /// Subjects it may subscribe to; empty means all.
    pub subscribe: Vec<String>,
}

impl NatsUser {
    /// A user who may use every subject of the account.
    #[must_use]
    pub fn unlimited(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }
}

/// What goes into the file.
pub(crate) struct Config<'a> {
    pub(crate) server_name: &'a str,
    pub(crate) port: u16,
    pub(crate) store: &'a Path,
    pub(crate) sync_always: bool,
    pub(crate) users: &'a [(NatsUser, SecretString)],
}

impl Config<'_> {
    /// The file.
    ///
    /// Every user stands inside `accounts`, and there is a system account: with a top-level `authorization`
    /// beside `accounts`, servers before 2.9.23 let clients without credentials in (CVE-2023-47090), and a
    /// file written here may be copied to an old server.
    pub(crate) fn text(&self) -> String {
        let users: Vec<String> = self.users.iter().map(|(user, password)| entry(user, password)).collect();
        let sync = if self.sync_always { "\n  sync_interval: always" } else { "" };
        format!(
            "# Written at every start; changes are lost.\n\
             server_name: {name}\n\
             listen: \"127.0.0.1:{port}\"\n\
             jetstream {{\n  store_dir: {store}{sync}\n}}\n\
             system_account: SYS\n\
             accounts {{\n  SYS {{}}\n  TANDEM {{\n    jetstream: enabled\n    users: [\n{users}\n    ]\n  }}\n}}\n",
            name = quoted(self.server_name),
            port = self.port,
            store = quoted(&self.store.to_string_lossy()),
            users = users.join("\n"),
        )
    }
}

fn entry(user: &NatsUser, password: &SecretString) -> String {
    let allow = |word: &str, subjects: &[String]| {
        let subjects: Vec<String> = subjects.iter().map(|subject| quoted(subject)).collect();
        if subjects.is_empty() {
            String::new()
        } else {
            format!(" {word}: {{ allow: [{}] }}", subjects.join(", "))
        }
    };
    let permissions = format!("{}{}", allow("publish", &user.publish), allow("subscribe", &user.subscribe));
    let permissions =
        if permissions.is_empty() { permissions } else { format!(", permissions: {{{permissions} }}") };
    format!(
        "      {{ user: {}, password: {}{permissions} }}",
        quoted(&user.name),
        quoted(password.expose_secret())
    )
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use secrecy::SecretString;

    use super::{Config, NatsUser};

    #[test]
    fn the_file_names_every_user_inside_the_account() {
        let limited = NatsUser {
            name: "detector".to_owned(),
            publish: vec!["tandem.>".to_owned()],
            subscribe: vec!["_INBOX.>".to_owned()],
        };
        let users =
            [(NatsUser::unlimited("all"), SecretString::from("aa")), (limited, SecretString::from("bb"))];
        let text = Config {
            server_name: "x",
            port: 4222,
            store: Path::new("/d/a \"b\""),
            sync_always: true,
            users: &users,
        }
        .text();
        let expected = r#"# Written at every start; changes are lost.
server_name: "x"
listen: "127.0.0.1:4222"
jetstream {
  store_dir: "/d/a \"b\""
  sync_interval: always
}
system_account: SYS
accounts {
  SYS {}
  TANDEM {
    jetstream: enabled
    users: [
      { user: "all", password: "aa" }
      { user: "detector", password: "bb", permissions: { publish: { allow: ["tandem.>"] } subscribe: { allow: ["_INBOX.>"] } } }
    ]
  }
}
"#;
        assert_eq!(text, expected);
    }
}
