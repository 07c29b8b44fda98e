//! A browser without scripts: it keeps cookies for each host, follows redirects, and sends the forms that it is shown.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use reqwest::header::{CONTENT_TYPE, COOKIE, HeaderMap, LOCATION, ORIGIN, SET_COOKIE};
use reqwest::{Method, StatusCode};
use url::Url;

/// Redirects followed before it is called a circle.
const REDIRECTS: usize = 10;

/// One person's browser.
#[derive(Debug)]
pub struct Browser {
    http: reqwest::Client,
    cookies: BTreeMap<(String, String), String>,
}

/// What is shown.
#[derive(Clone, Debug)]
pub struct Page {
    /// Where it is.
    pub url: Url,
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its source.
    pub text: String,
}

impl Default for Browser {
    fn default() -> Self {
        Self::new()
    }
}

impl Browser {
    /// A browser that has never been anywhere.
    ///
    /// # Panics
    /// When the machine has no HTTP client.
    #[must_use]
    pub fn new() -> Self {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build();
        Self { http: http.expect("an HTTP client"), cookies: BTreeMap::new() }
    }

    /// Goes to an address and wherever that leads.
    ///
    /// # Errors
    /// When nobody answers, or it goes round in circles.
    pub async fn go(&mut self, url: &Url) -> Result<Page> {
        let page = self.once(Method::GET, url, &[]).await?;
        self.follow(page).await
    }

    /// Sends the form of a page, with further fields, and goes wherever that leads.
    ///
    /// # Errors
    /// When the page has no form, or nobody answers.
    pub async fn send(&mut self, page: &Page, fields: &[(&str, &str)]) -> Result<Page> {
        let sent = self.send_once(page, fields).await?;
        self.follow(sent).await
    }

    /// Sends the form of a page and shows the first answer, be it a redirect.
    ///
    /// # Errors
    /// When the page has no form, or nobody answers.
    pub async fn send_once(&mut self, page: &Page, fields: &[(&str, &str)]) -> Result<Page> {
        let hidden = page.hidden();
        let mut all: Vec<(&str, &str)> =
            hidden.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        all.extend(fields);
        self.once(Method::POST, &page.form()?, &all).await
    }

    /// One exchange, no redirect followed.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn once(&mut self, method: Method, url: &Url, fields: &[(&str, &str)]) -> Result<Page> {
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let body =
            (method == Method::POST).then(|| ("application/x-www-form-urlencoded".to_owned(), form.into()));
        self.exchange(method, url, body).await
    }

    /// Sends a form with one file and shows the first answer, be it a redirect.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn upload(&mut self, url: &Url, mark: &str, name: &str, file: &[u8]) -> Result<Page> {
        let part = |head: &str| format!("--edge\r\nContent-Disposition: form-data; {head}\r\n\r\n");
        let mark = format!("{}{mark}\r\n", part("name=\"mark\""));
        let head = part(&format!("name=\"file\"; filename=\"{name}\""));
        let body = [mark.as_bytes(), head.as_bytes(), file, b"\r\n--edge--\r\n"].concat();
        self.post(url, "multipart/form-data; boundary=edge", body).await
    }

    /// Posts a body of this kind and shows the first answer, be it a redirect.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn post(&mut self, url: &Url, kind: &str, body: Vec<u8>) -> Result<Page> {
        self.exchange(Method::POST, url, Some((kind.to_owned(), body))).await
    }

    async fn exchange(&mut self, method: Method, url: &Url, body: Option<(String, Vec<u8>)>) -> Result<Page> {
        let answer = self.request(method, url, body).await?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        // a stream has no end to wait for
        let stream = headers.get(CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream");
        let text = if stream { String::new() } else { answer.text().await? };
        Ok(Page { url: url.clone(), status, headers, text })
    }

    /// Goes to an address, with what is answered still to be read.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn open(&mut self, url: &Url) -> Result<reqwest::Response> {
        self.request(Method::GET, url, None).await
    }

    async fn request(
        &mut self,
        method: Method,
        url: &Url,
        body: Option<(String, Vec<u8>)>,
    ) -> Result<reqwest::Response> {
        // as browsers do: ports do not keep cookies apart
        let host = url.host_str().unwrap_or_default().to_owned();
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .filter(|((known, _), _)| *known == host)
            .map(|((_, name), value)| format!("{name}={value}"))
            .collect();
        let mut request = self.http.request(method.clone(), url.clone());
        if !cookies.is_empty() {
            request = request.header(COOKIE, cookies.join("; "));
        }
        if let Some((kind, body)) = body {
            let origin = url.origin().ascii_serialization();
            request = request.header(ORIGIN, origin).header(CONTENT_TYPE, kind).body(body);
        }
        let answer = request.send().await.with_context(|| format!("{method} {url}"))?;
        for set in answer.headers().get_all(SET_COOKIE) {
            let pair = set.to_str()?.split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').context("a cookie is a pair")?;
            self.cookies.insert((host.clone(), name.to_owned()), value.to_owned());
        }
        Ok(answer)
    }

    /// The value of a cookie of a site.
    #[must_use]
    pub fn cookie(&self, site: &Url, name: &str) -> Option<&str> {
        self.cookies.get(&(site.host_str()?.to_owned(), name.to_owned())).map(String::as_str)
    }

    /// Follows redirects to a page.
    ///
    /// # Errors
    /// When nobody answers, or it goes round in circles.
    pub async fn follow(&mut self, mut page: Page) -> Result<Page> {
        for _ in 0..REDIRECTS {
            let Some(next) = page.redirect()? else { return Ok(page) };
            page = self.once(Method::GET, &next, &[]).await?;
        }
        anyhow::bail!("more than {REDIRECTS} redirects, the last to {}", page.url)
    }

    /// Follows redirects up to the one that leads to `path`, and gives that address without going there.
    ///
    /// # Errors
    /// When no redirect leads there.
    pub async fn until(&mut self, mut page: Page, path: &str) -> Result<Url> {
        for _ in 0..REDIRECTS {
            let next = page.redirect()?;
            let next = next.with_context(|| format!("{} {}: {}", page.status, page.url, page.text))?;
            if next.path() == path {
                return Ok(next);
            }
            page = self.once(Method::GET, &next, &[]).await?;
        }
        anyhow::bail!("no redirect leads to {path}")
    }
}

impl Page {
    /// Where it sends the browser.
    ///
    /// # Errors
    /// When that is no address.
    pub fn redirect(&self) -> Result<Option<Url>> {
        if !self.status.is_redirection() {
            return Ok(None);
        }
        let to = self.headers.get(LOCATION).context("a redirect says where to")?.to_str()?;
        Ok(Some(self.url.join(to)?))
    }

    /// Where its form goes; a form without an address goes to the address of the page.
    ///
    /// # Errors
    /// When it has no form.
    pub fn form(&self) -> Result<Url> {
        let (_, form) = self.text.split_once("<form").with_context(|| format!("no form: {}", self.text))?;
        let tag = form.split('>').next().unwrap_or_default();
        Ok(match attribute(tag, "action") {
            Some(action) => self.url.join(&action)?,
            None => self.url.clone(),
        })
    }

    fn hidden(&self) -> Vec<(String, String)> {
        let inputs = self.text.split("<input").skip(1).filter_map(|rest| rest.split('>').next());
        inputs
            .filter(|tag| attribute(tag, "type").as_deref() == Some("hidden"))
            .filter_map(|tag| Some((attribute(tag, "name")?, attribute(tag, "value")?)))
            .collect()
    }

    /// The stable code that a refusal shows.
    ///
    /// # Errors
    /// When the page shows none.
    pub fn code(&self) -> Result<String> {
        let (_, rest) = self
            .text
            .split_once("<dt>Code</dt><dd><code>")
            .with_context(|| format!("{} {} shows no code: {}", self.status, self.url, self.text))?;
        Ok(rest.split('<').next().unwrap_or_default().to_owned())
    }

    /// Checks that it holds a text.
    ///
    /// # Errors
    /// When it does not.
    pub fn says(&self, text: &str) -> Result<()> {
        ensure!(
            self.text.contains(text),
            "{} {} does not say `{text}`: {}",
            self.status,
            self.url,
            self.text
        );
        Ok(())
    }
}

/// The value of an attribute, with the escapes that pages use undone.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    let raw = rest.split('"').next()?;
    Some(raw.replace("&#38;", "&").replace("&amp;", "&").replace("&#x2f;", "/").replace("&#47;", "/"))
}
