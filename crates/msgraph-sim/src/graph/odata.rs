//! Query options, projections and page links.

use axum::http::HeaderMap;
use serde_json::{Map, Value, json};

use super::errors::GraphError;
use super::filter::{self, Expr};
use crate::util::{b64url, from_b64url, percent_decode};

/// The OData query options of a request. Options may be written with or without `$`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    pub(crate) filter: Option<Expr>,
    pub(crate) select: Option<Vec<String>>,
    pub(crate) expand: Vec<String>,
    pub(crate) top: Option<usize>,
    pub(crate) skip: Option<usize>,
    pub(crate) skip_token: Option<Value>,
    pub(crate) delta_token: Option<String>,
    pub(crate) count: bool,
    pub(crate) search: bool,
    pub(crate) order: bool,
    /// The raw query without page mark.
    raw: String,
}

impl Query {
    pub(crate) fn parse(raw: &str) -> Result<Self, GraphError> {
        let mut query = Self::default();
        let mut kept = Vec::new();
        for part in raw.split('&').filter(|p| !p.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let name = percent_decode(name);
            let value = percent_decode(&value.replace('+', " "));
            let name = name.strip_prefix('$').unwrap_or(&name).to_ascii_lowercase();
            let number = |what: &str| {
                value.parse::<usize>().map_err(|_| {
                    GraphError::bad_request(format!("Invalid value '{value}' for ${what} query option."))
                })
            };
            let list = || value.split(',').map(|s| s.trim().to_owned()).filter(|s| !s.is_empty()).collect();
            match name.as_str() {
                "filter" => {
                    query.filter = Some(filter::parse(&value).map_err(|e| {
                        GraphError::new(400, "BadRequest", format!("Invalid filter clause: {e}"))
                    })?);
                }
                "select" => query.select = Some(list()),
                "expand" => query.expand = list(),
                "top" => query.top = Some(number("top")?),
                "skip" => query.skip = Some(number("skip")?),
                "count" => query.count = value.eq_ignore_ascii_case("true"),
                "search" => query.search = true,
                "orderby" => query.order = true,
                "deltatoken" => query.delta_token = Some(value.clone()),
                "skiptoken" => query.skip_token = Some(page_mark(&value)?),
                _ => {}
            }
            if name != "skiptoken" && name != "skip" {
                kept.push(part);
            }
        }
        query.raw = kept.join("&");
        Ok(query)
    }

    /// The link to the page that a mark stands for.
    pub(crate) fn next_link(&self, base: &str, path: &str, mark: &Value) -> String {
        let joint = if self.raw.is_empty() { "" } else { "&" };
        format!("{base}{path}?{}{joint}$skiptoken={}", self.raw, b64url(mark.to_string()))
    }

    /// `$top` within its bounds.
    pub(crate) fn page_size(&self, default: usize, most: usize) -> Result<usize, GraphError> {
        match self.top {
            None => Ok(default),
            Some(n) if (1..=most).contains(&n) => Ok(n),
            Some(n) => Err(GraphError::directory_bad_request(format!(
                "Invalid page size specified: '{n}'. Must be between 1 and {most} inclusive."
            ))),
        }
    }

    /// Where the page starts, if a page mark says so.
    pub(crate) fn mark(&self, name: &str) -> Option<&Value> {
        self.skip_token.as_ref().and_then(|t| t.get(name))
    }

    /// The start of a page whose mark is a position.
    pub(crate) fn position(&self) -> usize {
        self.mark("at").and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok()).unwrap_or(0)
    }

    /// Keeps what `$select` names. Unknown names are an error, as they are in Graph.
    pub(crate) fn project(&self, entity: Value, kind: &str) -> Result<Value, GraphError> {
        let Some(select) = &self.select else { return Ok(entity) };
        let Value::Object(mut all) = entity else { return Ok(entity) };
        let mut kept = Map::new();
        for name in select {
            if name == "*" {
                return Ok(Value::Object(all));
            }
            let (name, value) = all.remove_entry(name.as_str()).ok_or_else(|| {
                let text = format!(
                    "Parsing OData Select and Expand failed: Could not find a property named '{name}' on type \
                     'microsoft.graph.{kind}'."
                );
                GraphError::bad_request(text)
            })?;
            kept.insert(name, value);
        }
        Ok(Value::Object(kept))
    }

    /// The part of `@odata.context` that `$select` adds.
    pub(crate) fn context_fields(&self) -> String {
        self.select.as_ref().map(|s| format!("({})", s.join(","))).unwrap_or_default()
    }
}

fn page_mark(text: &str) -> Result<Value, GraphError> {
    let mark = from_b64url(text).and_then(|bytes| serde_json::from_slice(&bytes).ok());
    mark.ok_or_else(|| GraphError::directory_bad_request("The value of $skiptoken is not valid."))
}

/// Whether the request asks for the advanced query engine.
pub(crate) fn eventual(headers: &HeaderMap) -> bool {
    headers.get("ConsistencyLevel").is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"eventual"))
}

/// A collection as Graph writes it.
pub(crate) fn collection(
    base: &str,
    context: &str,
    count: Option<usize>,
    next: Option<String>,
    value: Vec<Value>,
) -> Value {
    let mut body = Map::new();
    body.insert("@odata.context".to_owned(), json!(format!("{base}/v1.0/$metadata#{context}")));
    if let Some(count) = count {
        body.insert("@odata.count".to_owned(), json!(count));
    }
    if let Some(next) = next {
        body.insert("@odata.nextLink".to_owned(), json!(next));
    }
    body.insert("value".to_owned(), Value::Array(value));
    Value::Object(body)
}

/// Adds `@odata.context` to a single entity.
pub(crate) fn entity(base: &str, context: &str, entity: Value) -> Value {
    let mut body = Map::new();
    body.insert("@odata.context".to_owned(), json!(format!("{base}/v1.0/$metadata#{context}")));
    if let Value::Object(fields) = entity {
        body.extend(fields);
    }
    Value::Object(body)
}
