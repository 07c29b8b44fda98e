//! Looks at the text of a query: one statement that only reads.
//!
//! The session is read-only in any case; this check is there so that a mistake is told when the file is loaded and
//! not when the PBX refuses it. It knows the lexical rules of PostgreSQL (comments, quoting), not its grammar.

/// Why a query text is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QueryProblem {
    Empty,
    NotSelect,
    SeveralStatements,
    Writes,
    Parameter,
    Unterminated,
}

impl QueryProblem {
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Empty => "mapping_query_empty",
            Self::NotSelect => "mapping_query_not_select",
            Self::SeveralStatements => "mapping_query_several",
            Self::Writes => "mapping_query_writes",
            Self::Parameter => "mapping_query_parameter",
            Self::Unterminated => "mapping_query_unterminated",
        }
    }

    pub(super) fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::Empty => ("the query is empty", "write one SELECT statement"),
            Self::NotSelect => {
                ("the query begins with neither SELECT nor WITH", "write one SELECT statement")
            }
            Self::SeveralStatements => (
                "the query holds more than one statement",
                "write one statement; a WITH clause can hold the steps",
            ),
            Self::Writes => (
                "the query holds a word that writes, locks or leaves the statement",
                "only read; put a column of such a name into double quotes",
            ),
            Self::Parameter => {
                ("the query holds a parameter such as $1", "write the value itself; nothing is bound")
            }
            Self::Unterminated => ("a quote or comment in the query is not closed", "close it"),
        }
    }
}

const WRITING: [&str; 12] = [
    "insert", "update", "delete", "merge", "truncate", "into", "copy", "create", "drop", "alter", "grant",
    "lock",
];

/// The first thing wrong with a query, if anything.
pub(super) fn check(sql: &str) -> Result<(), QueryProblem> {
    let mut tokens = Tokens { rest: sql };
    let mut first = true;
    let mut ended = false;
    while let Some(token) = tokens.next_token()? {
        if ended {
            return Err(QueryProblem::SeveralStatements);
        }
        match token {
            Token::Semicolon if first => return Err(QueryProblem::Empty),
            Token::Semicolon => ended = true,
            Token::Parameter => return Err(QueryProblem::Parameter),
            Token::Word(word) => {
                let word = word.to_ascii_lowercase();
                if first && word != "select" && word != "with" {
                    return Err(QueryProblem::NotSelect);
                }
                if WRITING.contains(&word.as_str()) {
                    return Err(QueryProblem::Writes);
                }
            }
            Token::Other if first => return Err(QueryProblem::NotSelect),
            Token::Other => {}
        }
        first = false;
    }
    if first { Err(QueryProblem::Empty) } else { Ok(()) }
}

enum Token<'a> {
    Word(&'a str),
    Semicolon,
    Parameter,
    Other,
}

struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Tokens<'a> {
    fn next_token(&mut self) -> Result<Option<Token<'a>>, QueryProblem> {
        loop {
            self.rest = self.rest.trim_start();
            if let Some(comment) = self.rest.strip_prefix("--") {
                self.rest = comment.split_once('\n').map_or("", |(_, rest)| rest);
            } else if self.rest.starts_with("/*") {
                self.block_comment()?;
            } else {
                break;
            }
        }
        let Some(head) = self.rest.chars().next() else {
            return Ok(None);
        };
        let token = match head {
            '\'' => self.quoted('\'', false)?,
            '"' => self.quoted('"', false)?,
            '$' => self.dollar()?,
            ';' => {
                self.rest = &self.rest[1..];
                Token::Semicolon
            }
            c if c.is_alphabetic() || c == '_' => {
                let end = self
                    .rest
                    .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'))
                    .unwrap_or(self.rest.len());
                let (word, rest) = self.rest.split_at(end);
                self.rest = rest;
                if word.eq_ignore_ascii_case("e") && rest.starts_with('\'') {
                    self.quoted('\'', true)?
                } else {
                    Token::Word(word)
                }
            }
            c => {
                self.rest = &self.rest[c.len_utf8()..];
                Token::Other
            }
        };
        Ok(Some(token))
    }

    fn block_comment(&mut self) -> Result<(), QueryProblem> {
        // block comments nest in PostgreSQL
        let mut depth = 0_usize;
        loop {
            if let Some(rest) = self.rest.strip_prefix("/*") {
                depth += 1;
                self.rest = rest;
            } else if let Some(rest) = self.rest.strip_prefix("*/") {
                depth -= 1;
                self.rest = rest;
                if depth == 0 {
                    return Ok(());
                }
            } else {
                let mut chars = self.rest.chars();
                chars.next().ok_or(QueryProblem::Unterminated)?;
                self.rest = chars.as_str();
            }
        }
    }

    /// A quoted text or name, in which the doubled quote stands for itself.
    fn quoted(&mut self, quote: char, backslash: bool) -> Result<Token<'a>, QueryProblem> {
        let mut chars = self.rest.chars();
        chars.next();
        loop {
            match chars.next().ok_or(QueryProblem::Unterminated)? {
                '\\' if backslash => {
                    chars.next();
                }
                c if c == quote => match chars.as_str().strip_prefix(quote) {
                    Some(rest) => chars = rest.chars(),
                    None => break,
                },
                _ => {}
            }
        }
        self.rest = chars.as_str();
        Ok(Token::Other)
    }

    fn dollar(&mut self) -> Result<Token<'a>, QueryProblem> {
        let after = &self.rest[1..];
        if after.starts_with(|c: char| c.is_ascii_digit()) {
            return Ok(Token::Parameter);
        }
        let tag_end = after.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(after.len());
        if !after[tag_end..].starts_with('$') {
            self.rest = after;
            return Ok(Token::Other);
        }
        let (tag, body) = self.rest.split_at(tag_end + 2);
        let end = body.find(tag).ok_or(QueryProblem::Unterminated)?;
        self.rest = &body[end + tag.len()..];
        Ok(Token::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_reading_statement_passes_and_nothing_else() {
        for good in [
            "select 1",
            " -- a comment; delete\n/* nested /* ; */ drop */ WITH a AS (SELECT 1) SELECT update_date FROM a ; -- end",
            "select ';' , 'it''s; delete', E'\\'; drop', \"delete\", $$ ; insert $$, $t$ $$ ; $t$ from t",
            "select '+' || x, a::text[], b->>'c' from t where n ~ '^\\d+$'",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for (bad, why) in [
            ("", QueryProblem::Empty),
            (" ; ", QueryProblem::Empty),
            ("-- select 1", QueryProblem::Empty),
            ("(select 1)", QueryProblem::NotSelect),
            ("delete from v_users", QueryProblem::NotSelect),
            ("explain select 1", QueryProblem::NotSelect),
            ("select 1; select 2", QueryProblem::SeveralStatements),
            ("select 1; drop table t", QueryProblem::SeveralStatements),
            ("with d as (delete from t returning *) select * from d", QueryProblem::Writes),
            ("select * into copy_of_it from t", QueryProblem::Writes),
            ("select 1 from t for update", QueryProblem::Writes),
            ("select $1", QueryProblem::Parameter),
            ("select 'open", QueryProblem::Unterminated),
            ("select $x$ open", QueryProblem::Unterminated),
            ("/* open", QueryProblem::Unterminated),
        ] {
            assert_eq!(check(bad), Err(why), "{bad}");
        }
    }
}
