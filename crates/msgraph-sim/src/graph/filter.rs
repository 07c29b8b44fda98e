//! `$filter`: a parser for the part of OData that these endpoints understand, and its evaluation.

use serde_json::Value;
use thiserror::Error;
use uuid::Uuid;

/// Comparison operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
}

/// Literals.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Literal {
    Text(String),
    Guid(Uuid),
    Bool(bool),
    Number(f64),
    Null,
}

/// A filter.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expr {
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Not(Box<Expr>),
    Compare { path: Vec<String>, op: Op, value: Literal },
    In { path: Vec<String>, values: Vec<Literal> },
    Any { path: Vec<String>, variable: String, inner: Option<Box<Expr>> },
    Text { function: String, path: Vec<String>, value: String },
}

/// Why a filter cannot be read.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("syntax error at {0:?}")]
pub(crate) struct FilterError(String);

/// Reads a filter.
pub(crate) fn parse(text: &str) -> Result<Expr, FilterError> {
    let mut parser = Parser { rest: text };
    let expr = parser.or()?;
    if parser.rest.trim().is_empty() { Ok(expr) } else { Err(FilterError(parser.rest.to_owned())) }
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn fail<T>(&self) -> Result<T, FilterError> {
        Err(FilterError(self.rest.to_owned()))
    }

    fn symbol(&mut self, symbol: &str) -> bool {
        match self.rest.trim_start().strip_prefix(symbol) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn word(&mut self) -> &'a str {
        let text = self.rest.trim_start();
        let end = text
            .find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '$' | '@' | ':' | '+')))
            .unwrap_or(text.len());
        self.rest = &text[end..];
        &text[..end]
    }

    fn keyword(&mut self, keyword: &str) -> bool {
        let before = self.rest;
        if self.word().eq_ignore_ascii_case(keyword) {
            return true;
        }
        self.rest = before;
        false
    }

    fn or(&mut self) -> Result<Expr, FilterError> {
        let mut left = self.and()?;
        while self.keyword("or") {
            left = Expr::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expr, FilterError> {
        let mut left = self.unary()?;
        while self.keyword("and") {
            left = Expr::And(Box::new(left), Box::new(self.unary()?));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expr, FilterError> {
        if self.keyword("not") {
            return Ok(Expr::Not(Box::new(self.unary()?)));
        }
        if self.symbol("(") {
            let inner = self.or()?;
            return if self.symbol(")") { Ok(inner) } else { self.fail() };
        }
        for function in ["startswith", "endswith", "contains"] {
            if self.keyword(function) {
                return self.function(function);
            }
        }
        self.comparison()
    }

    fn function(&mut self, function: &str) -> Result<Expr, FilterError> {
        if !self.symbol("(") {
            return self.fail();
        }
        let path = self.path()?;
        if !self.symbol(",") {
            return self.fail();
        }
        let Literal::Text(value) = self.literal()? else { return self.fail() };
        if !self.symbol(")") {
            return self.fail();
        }
        // `startswith(a,'b') eq true` means the same
        if self.keyword("eq") && !self.keyword("true") {
            return self.fail();
        }
        Ok(Expr::Text { function: function.to_owned(), path, value })
    }

    fn path(&mut self) -> Result<Vec<String>, FilterError> {
        let mut path = Vec::new();
        loop {
            let word = self.word();
            if word.is_empty() {
                return self.fail();
            }
            path.push(word.to_owned());
            if !self.rest.starts_with('/') {
                return Ok(path);
            }
            self.rest = &self.rest[1..];
        }
    }

    fn comparison(&mut self) -> Result<Expr, FilterError> {
        let mut path = self.path()?;
        if path.last().is_some_and(|p| p == "any") && self.symbol("(") {
            path.pop();
            if self.symbol(")") {
                return Ok(Expr::Any { path, variable: String::new(), inner: None });
            }
            // the variable and its colon: `p:` reads as one word with what follows
            let Some((variable, rest)) = self.rest.split_once(':') else { return self.fail() };
            let variable = variable.trim().to_owned();
            self.rest = rest;
            let inner = Box::new(self.or()?);
            return if self.symbol(")") {
                Ok(Expr::Any { path, variable, inner: Some(inner) })
            } else {
                self.fail()
            };
        }
        if self.keyword("in") {
            if !self.symbol("(") {
                return self.fail();
            }
            let mut values = vec![self.literal()?];
            while self.symbol(",") {
                values.push(self.literal()?);
            }
            return if self.symbol(")") { Ok(Expr::In { path, values }) } else { self.fail() };
        }
        let ops =
            [("eq", Op::Eq), ("ne", Op::Ne), ("gt", Op::Gt), ("ge", Op::Ge), ("lt", Op::Lt), ("le", Op::Le)];
        for (name, op) in ops {
            if self.keyword(name) {
                return Ok(Expr::Compare { path, op, value: self.literal()? });
            }
        }
        self.fail()
    }

    fn literal(&mut self) -> Result<Literal, FilterError> {
        self.rest = self.rest.trim_start();
        if let Some(text) = self.rest.strip_prefix('\'') {
            let mut value = String::new();
            let mut chars = text.char_indices().peekable();
            while let Some((i, c)) = chars.next() {
                if c != '\'' {
                    value.push(c);
                } else if chars.next_if(|(_, next)| *next == '\'').is_some() {
                    value.push('\'');
                } else {
                    self.rest = &text[i + 1..];
                    return Ok(Literal::Text(value));
                }
            }
            return self.fail();
        }
        let before = self.rest;
        match self.word() {
            "null" => Ok(Literal::Null),
            "true" => Ok(Literal::Bool(true)),
            "false" => Ok(Literal::Bool(false)),
            word => {
                if let Ok(id) = Uuid::try_parse(word) {
                    Ok(Literal::Guid(id))
                } else if let Ok(number) = word.parse() {
                    Ok(Literal::Number(number))
                } else if word.contains('T') && word.ends_with('Z') {
                    Ok(Literal::Text(word.to_owned()))
                } else {
                    self.rest = before;
                    self.fail()
                }
            }
        }
    }
}

impl Expr {
    /// Whether an entity passes. Text is compared without regard to casing, as the directory and the enum
    /// filters of the number inventory do.
    pub(crate) fn matches(&self, entity: &Value) -> bool {
        self.eval(entity, None)
    }

    fn eval(&self, entity: &Value, bound: Option<(&str, &Value)>) -> bool {
        match self {
            Self::And(a, b) => a.eval(entity, bound) && b.eval(entity, bound),
            Self::Or(a, b) => a.eval(entity, bound) || b.eval(entity, bound),
            Self::Not(a) => !a.eval(entity, bound),
            Self::Compare { path, op, value } => compare(resolve(path, entity, bound), *op, value),
            Self::In { path, values } => {
                let found = resolve(path, entity, bound);
                values.iter().any(|v| compare(found, Op::Eq, v))
            }
            Self::Any { path, variable, inner } => {
                let Value::Array(items) = resolve(path, entity, bound) else { return false };
                match inner {
                    None => !items.is_empty(),
                    Some(inner) => items.iter().any(|item| inner.eval(entity, Some((variable, item)))),
                }
            }
            Self::Text { function, path, value } => {
                let Value::String(text) = resolve(path, entity, bound) else { return false };
                let (text, value) = (text.to_ascii_lowercase(), value.to_ascii_lowercase());
                match function.as_str() {
                    "startswith" => text.starts_with(&value),
                    "endswith" => text.ends_with(&value),
                    _ => text.contains(&value),
                }
            }
        }
    }

    /// The parts that must all hold.
    pub(crate) fn conjuncts(&self) -> Vec<&Self> {
        match self {
            Self::And(a, b) => [a.conjuncts(), b.conjuncts()].concat(),
            other => vec![other],
        }
    }

    /// All comparisons, wherever they are.
    pub(crate) fn comparisons(&self) -> Vec<(&[String], Op, &Literal)> {
        match self {
            Self::And(a, b) | Self::Or(a, b) => [a.comparisons(), b.comparisons()].concat(),
            Self::Not(a) => a.comparisons(),
            Self::Compare { path, op, value } => vec![(path, *op, value)],
            Self::In { path, values } => values.iter().map(|v| (path.as_slice(), Op::Eq, v)).collect(),
            Self::Any { inner, .. } => inner.as_ref().map(|i| i.comparisons()).unwrap_or_default(),
            Self::Text { .. } => Vec::new(),
        }
    }

    /// The text that a property must equal for the filter to hold, if it demands one.
    pub(crate) fn demands(&self, property: &str) -> Option<String> {
        self.conjuncts().into_iter().find_map(|part| match part {
            Self::Compare { path, op: Op::Eq, value } if path.len() == 1 && path[0] == property => {
                match value {
                    Literal::Text(text) => Some(text.clone()),
                    Literal::Guid(id) => Some(id.to_string()),
                    _ => None,
                }
            }
            _ => None,
        })
    }

    /// Whether there is a lambda, a negation or a function beyond `startswith`.
    pub(crate) fn advanced(&self) -> bool {
        match self {
            Self::And(a, b) | Self::Or(a, b) => a.advanced() || b.advanced(),
            Self::Not(_) | Self::Any { .. } => true,
            Self::Compare { op, .. } => *op == Op::Ne,
            Self::In { .. } => false,
            Self::Text { function, .. } => function != "startswith",
        }
    }
}

fn resolve<'v>(path: &[String], entity: &'v Value, bound: Option<(&str, &'v Value)>) -> &'v Value {
    let (mut at, rest) = match (path.split_first(), bound) {
        (Some((first, rest)), Some((variable, value))) if first == variable => (value, rest),
        _ => (entity, path),
    };
    for name in rest {
        at = at.get(name).unwrap_or(&Value::Null);
    }
    at
}

fn compare(found: &Value, op: Op, literal: &Literal) -> bool {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let order = match (found, literal) {
        (Value::Null, Literal::Null) => Some(Equal),
        (Value::Bool(a), Literal::Bool(b)) => Some(a.cmp(b)),
        (Value::Number(a), Literal::Number(b)) => a.as_f64().and_then(|a| a.partial_cmp(b)),
        (Value::String(a), Literal::Text(b)) => Some(a.to_ascii_lowercase().cmp(&b.to_ascii_lowercase())),
        (Value::String(a), Literal::Guid(b)) => Some(a.to_ascii_lowercase().cmp(&b.to_string())),
        _ => None,
    };
    match op {
        Op::Eq => order == Some(Equal),
        Op::Ne => order != Some(Equal),
        Op::Gt => order == Some(Greater),
        Op::Ge => matches!(order, Some(Greater | Equal)),
        Op::Lt => order == Some(Less),
        Op::Le => matches!(order, Some(Less | Equal)),
    }
}
