//! What Microsoft's answers through the browser say, as far as a browser's word goes. Nothing is looked up here.

use secrecy::SecretString;
use url::form_urlencoded;

use crate::fault::Fault;

/// Longest text of Microsoft's that is shown.
const TEXT: usize = 400;

/// The parameters of an answer, each given once.
#[derive(Debug)]
pub(crate) struct Answer(Vec<(String, String)>);

impl Answer {
    /// Reads the query; a parameter given twice has no meaning.
    pub(crate) fn read(query: Option<&str>) -> Result<Self, Fault> {
        let mut found: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if found.iter().any(|(known, _)| *known == name) {
                return Err(Fault::AnswerAmbiguous);
            }
            found.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(found))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The state that the answer brings back.
    pub(crate) fn state(&self) -> Result<&str, Fault> {
        self.get("state").filter(|state| !state.is_empty()).ok_or(Fault::StateMissing)
    }

    /// What Microsoft says went wrong.
    fn error(&self) -> Option<String> {
        let error = self.get("error")?;
        let text = self.get("error_description").unwrap_or_default();
        let clean: String = format!("{error}: {text}")
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(TEXT)
            .collect();
        Some(clean.trim_end_matches([':', ' ']).to_owned())
    }

    /// The code of a sign-in, or what was said instead.
    pub(crate) fn sign_in(&self) -> Result<Result<SecretString, String>, Fault> {
        let code = self.get("code").filter(|code| !code.is_empty());
        match (code, self.error()) {
            (Some(_), Some(_)) => Err(Fault::AnswerAmbiguous),
            (Some(code), None) => Ok(Ok(SecretString::from(code))),
            (None, Some(error)) => Ok(Err(error)),
            (None, None) => Err(Fault::AnswerIncomplete),
        }
    }

    /// The tenant that is said to have consented, or what was said instead. Microsoft sends `admin_consent=True`
    /// beside an error, too, so the error is looked for first.
    pub(crate) fn consent(&self) -> Result<Result<&str, String>, Fault> {
        if let Some(error) = self.error() {
            return Ok(Err(error));
        }
        match (self.get("admin_consent"), self.get("tenant")) {
            (Some(given), Some(tenant)) if given.eq_ignore_ascii_case("true") => Ok(Ok(tenant)),
            _ => Err(Fault::AnswerIncomplete),
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn sign_in(query: &str) -> Result<Result<String, String>, String> {
        let answer = Answer::read(Some(query)).map_err(|fault| fault.code().to_owned())?;
        let found = answer.sign_in().map_err(|fault| fault.code().to_owned())?;
        Ok(found.map(|code| code.expose_secret().to_owned()))
    }

    fn consent(query: &str) -> Result<Result<String, String>, String> {
        let answer = Answer::read(Some(query)).map_err(|fault| fault.code().to_owned())?;
        answer.consent().map(|found| found.map(str::to_owned)).map_err(|fault| fault.code().to_owned())
    }

    #[test]
    fn b58_an_answer_says_one_thing_once() {
        assert_eq!(sign_in("state=s&code=c"), Ok(Ok("c".to_owned())));
        assert_eq!(sign_in("state=s&code=c&error=access_denied"), Err("answer_ambiguous".to_owned()));
        assert_eq!(sign_in("state=s&code=c&code=d"), Err("answer_ambiguous".to_owned()));
        assert_eq!(sign_in("state=s&state=s&code=c"), Err("answer_ambiguous".to_owned()));
        assert_eq!(sign_in("state=s&co%64e=a&code=b"), Err("answer_ambiguous".to_owned()));
        assert_eq!(sign_in("state=s"), Err("answer_incomplete".to_owned()));
        assert_eq!(sign_in("state=s&code="), Err("answer_incomplete".to_owned()));
        assert_eq!(Answer::read(None).unwrap().state().unwrap_err().code(), "state_missing");
        assert_eq!(Answer::read(Some("state=")).unwrap().state().unwrap_err().code(), "state_missing");
    }

    #[test]
    fn b57_an_error_beats_the_consent_beside_it() {
        let denied = "error=consent_required&error_description=AADSTS65004%3A+declined%0Aover&admin_consent=True&state=s";
        assert_eq!(consent(denied), Ok(Err("consent_required: AADSTS65004: declined over".to_owned())));
        assert_eq!(consent("admin_consent=True&tenant=t&state=s"), Ok(Ok("t".to_owned())));
        for query in ["tenant=t&state=s", "admin_consent=False&tenant=t", "admin_consent=True&state=s"] {
            assert_eq!(consent(query), Err("answer_incomplete".to_owned()), "{query}");
        }
    }
}
