use aws_lc_rs::digest::{SHA256, digest};
use axum::body::Body;
use axum::http::Request;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use msgraph_sim::{DEMO_APP, DEMO_SIGN_IN_APP, DEMO_TENANT};
use serde_json::{Value, json};

use crate::client::{Reply, Tester};

pub(crate) const BACK: &str = "http://localhost:51234/back";
pub(crate) const VERIFIER: &str = "a-verifier-that-is-long-enough-for-the-rules-0123456789";
pub(crate) const GLOBAL_ADMINISTRATOR: &str = "62e90394-69f5-4237-9190-012177145e10";
const GLOBAL_READER: &str = "f2ef992c-3afb-46b9-b7cf-a126ee74c451";
const EVERY_MEMBER: &str = "b79fbf4d-3ef9-4689-8143-76b194e85509";
const CONSUMERS: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

pub(crate) fn form(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// Fields of the address that a redirect leads to.
pub(crate) fn back(reply: &Reply) -> std::collections::HashMap<String, String> {
    assert_eq!(reply.status, 302, "{}", reply.text);
    let address = url::Url::parse(reply.header("location")).unwrap();
    assert_eq!(address.as_str().split(['?', '#']).next(), Some(BACK));
    address.query_pairs().into_owned().collect()
}

/// A sign-in as a test wants it.
#[derive(Clone)]
pub(crate) struct SignIn {
    pub(crate) tenant: String,
    pub(crate) app: String,
    pub(crate) secret: Option<&'static str>,
    pub(crate) fields: Vec<(&'static str, String)>,
}

impl SignIn {
    pub(crate) fn new() -> Self {
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, VERIFIER.as_bytes()));
        Self {
            tenant: DEMO_TENANT.to_string(),
            app: DEMO_APP.to_string(),
            secret: Some("demo-secret"),
            fields: vec![
                ("response_type", "code".to_owned()),
                ("redirect_uri", BACK.to_owned()),
                ("scope", "openid profile User.Read".to_owned()),
                ("state", "s-1".to_owned()),
                ("nonce", "n-1".to_owned()),
                ("code_challenge", challenge),
                ("code_challenge_method", "S256".to_owned()),
            ],
        }
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.fields.retain(|(n, _)| *n != name);
        if !value.is_empty() {
            self.fields.push((name, value.to_owned()));
        }
        self
    }

    pub(crate) fn at(mut self, tenant: &str) -> Self {
        tenant.clone_into(&mut self.tenant);
        self
    }

    pub(crate) fn address(&self) -> String {
        let mut fields = vec![("client_id", self.app.as_str())];
        fields.extend(self.fields.iter().map(|(n, v)| (*n, v.as_str())));
        format!("/{}/oauth2/v2.0/authorize?{}", self.tenant, form(&fields))
    }

    /// Picks a person on the page.
    pub(crate) async fn pick(&self, t: &Tester, person: &str) -> Reply {
        t.post_form(&self.address(), &[("person", person)]).await
    }

    pub(crate) async fn code(&self, t: &Tester, person: &str) -> String {
        back(&self.pick(t, person).await).remove("code").expect("a code")
    }

    pub(crate) async fn redeem(&self, t: &Tester, code: &str) -> Reply {
        self.redeem_with(t, code, &[]).await
    }

    /// Redeems with some fields replaced; an empty value leaves one out.
    pub(crate) async fn redeem_with(&self, t: &Tester, code: &str, other: &[(&str, &str)]) -> Reply {
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("client_id", self.app.as_str()),
            ("code", code),
            ("redirect_uri", BACK),
            ("code_verifier", VERIFIER),
        ];
        fields.extend(self.secret.map(|secret| ("client_secret", secret)));
        for (name, value) in other {
            fields.retain(|(n, _)| n != name);
            if !value.is_empty() {
                fields.push((*name, *value));
            }
        }
        t.form(&self.tenant, form(&fields)).await
    }

    /// Signs somebody in; gives the token answer.
    pub(crate) async fn tokens(&self, t: &Tester, person: &str) -> Value {
        let code = self.code(t, person).await;
        let reply = self.redeem(t, &code).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.json
    }
}

pub(crate) fn claims(token: &Value) -> Value {
    jsonwebtoken::dangerous::insecure_decode_claims(token.as_str().unwrap()).unwrap()
}

fn code_of(reply: &Reply) -> u64 {
    reply.json["error_codes"][0].as_u64().unwrap_or_default()
}

/// The AADSTS number in a description.
fn aadsts(text: &str) -> u64 {
    let (_, rest) = text.split_once("AADSTS").expect("a number");
    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

#[tokio::test]
async fn a_person_is_picked_and_the_tokens_say_who_it_is() {
    let t = Tester::start().await;
    let sign_in = SignIn::new();
    let page = t.get(&sign_in.address()).await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html; charset=utf-8"));
    for text in ["Demo application", "gale@contoso.example", "Global Administrator", "guest", "name=\"deny\""]
    {
        assert!(page.text.contains(text), "{text}");
    }
    let answer = back(&sign_in.pick(&t, "gale@contoso.example").await);
    assert_eq!(answer["state"], "s-1");
    let tokens = sign_in.redeem(&t, &answer["code"]).await.json;
    assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&json!("Bearer"), &json!(3599)));
    assert!(tokens.get("refresh_token").is_none(), "nobody asked for offline_access");

    let discovery = t.get(&format!("/{DEMO_TENANT}/v2.0/.well-known/openid-configuration")).await.json;
    let keys: JwkSet =
        serde_json::from_value(t.get(&t.local(discovery["jwks_uri"].as_str().unwrap())).await.json).unwrap();
    let id = tokens["id_token"].as_str().unwrap();
    let kid = jsonwebtoken::decode_header(id).unwrap().kid.unwrap();
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&[DEMO_APP]);
    validation.set_issuer(&[discovery["issuer"].as_str().unwrap()]);
    let key = DecodingKey::from_jwk(keys.find(&kid).unwrap()).unwrap();
    let id = jsonwebtoken::decode::<Value>(id, &key, &validation).unwrap().claims;
    let gale = t.oid("gale@contoso.example").await;
    assert_eq!((&id["tid"], &id["oid"]), (&json!(DEMO_TENANT), &json!(gale)));
    assert_eq!((&id["nonce"], &id["ver"], &id["name"]), (&json!("n-1"), &json!("2.0"), &json!("Gale")));
    assert_eq!(id["preferred_username"], "gale@contoso.example");
    assert_eq!(id["wids"], json!([GLOBAL_ADMINISTRATOR, EVERY_MEMBER]));
    assert!(id.get("idp").is_none() && id.get("auth_time").is_none());

    let access = claims(&tokens["access_token"]);
    assert_eq!((&access["idtyp"], &access["scp"]), (&json!("user"), &json!("User.Read openid profile")));
    assert_eq!((&access["oid"], &access["aud"]), (&json!(gale), &json!("https://graph.microsoft.com")));
    assert_eq!(access["iss"], format!("https://sts.windows.net/{DEMO_TENANT}/"));
    assert_eq!(access["wids"], json!([GLOBAL_ADMINISTRATOR, EVERY_MEMBER]));
    assert!(access.get("roles").is_none());
}

#[tokio::test]
async fn every_kind_of_person_can_sign_in() {
    let t = Tester::start().await;
    let wids =
        async |person: &str| claims(&SignIn::new().tokens(&t, person).await["id_token"])["wids"].clone();
    assert_eq!(wids("rhea@contoso.example").await, json!([GLOBAL_READER, EVERY_MEMBER]));
    assert_eq!(wids("ana@contoso.example").await, json!([EVERY_MEMBER]), "wids not empty proves nothing");

    // a guest signs in where she is one, and lands at home elsewhere
    let guest = claims(&SignIn::new().tokens(&t, "vera@fabrikam.example").await["id_token"]);
    assert_eq!(guest["idp"], "https://sts.windows.net/7e4a0000-0000-4000-8000-0000000000ff/");
    assert_eq!((&guest["tid"], guest.get("wids")), (&json!(DEMO_TENANT), None));
    let away = SignIn::new().at("organizations").pick(&t, "vera@fabrikam.example").await;
    assert_eq!(away.status, 400);

    // personal accounts have a directory and a key of their own
    let spec = json!({ "displayName": "Personal", "domains": ["outlook.example"],
                       "users": [{ "userPrincipalName": "pat@outlook.example" }] });
    t.put(&format!("/_sim/tenants/{CONSUMERS}"), spec).await;
    let refused = SignIn::new().at("organizations").pick(&t, "pat@outlook.example").await;
    assert_eq!((refused.status.as_u16(), aadsts(&refused.text)), (400, 50_020));
    let common = SignIn::new().at("common");
    let personal = common.tokens(&t, "pat@outlook.example").await;
    let id = claims(&personal["id_token"]);
    assert_eq!((&id["tid"], id["iss"].as_str().unwrap().ends_with("/v2.0")), (&json!(CONSUMERS), true));
    let kid = jsonwebtoken::decode_header(personal["id_token"].as_str().unwrap()).unwrap().kid.unwrap();
    let keys = t.get("/common/discovery/v2.0/keys").await.json;
    let of = |kid: &str| {
        keys["keys"].as_array().unwrap().iter().find(|k| k["kid"] == kid).unwrap()["issuer"].clone()
    };
    assert_eq!(of(&kid), format!("{}/{CONSUMERS}/v2.0", t.sim.base_url()));

    // a work account at the shared address: its own tenant in the token, a template in the issuer of discovery
    let work =
        claims(&SignIn::new().at("organizations").tokens(&t, "gale@contoso.example").await["id_token"]);
    assert_eq!(work["tid"], json!(DEMO_TENANT));
    let discovery = t.get("/organizations/v2.0/.well-known/openid-configuration").await.json;
    assert_eq!(discovery["issuer"], format!("{}/{{tenantid}}/v2.0", t.sim.base_url()));

    t.patch(&t.tenant("users/ana@contoso.example"), json!({ "accountEnabled": false })).await;
    let disabled = SignIn::new().pick(&t, "ana@contoso.example").await;
    assert_eq!((disabled.status.as_u16(), aadsts(&disabled.text)), (400, 50_057));
    let nobody = SignIn::new().pick(&t, "nobody@contoso.example").await;
    assert_eq!(aadsts(&nobody.text), 50_034);
}

#[tokio::test]
async fn without_a_page_when_the_hint_says_who() {
    let t = Tester::start().await;
    let silent = SignIn::new().with("prompt", "none");
    let hinted = silent.clone().with("login_hint", "gale@contoso.example").with("scope", "openid");
    assert!(back(&t.get(&hinted.address()).await).contains_key("code"));
    let unknown = back(&t.get(&silent.address()).await);
    assert_eq!(
        (unknown["error"].as_str(), aadsts(&unknown["error_description"])),
        ("login_required", 50_058)
    );
    // what was not consented to needs the page
    let consent = silent.with("login_hint", "gale@contoso.example");
    let refused = back(&t.get(&consent.address()).await);
    assert_eq!(
        (refused["error"].as_str(), aadsts(&refused["error_description"])),
        ("consent_required", 65_001)
    );
    SignIn::new().code(&t, "gale@contoso.example").await;
    assert!(back(&t.get(&consent.address()).await).contains_key("code"));
    // the hint and the domain sort and filter the page
    let page = t.get(&SignIn::new().with("login_hint", "cleo@contoso.example").address()).await.text;
    assert!(page.find("cleo@contoso.example") < page.find("gale@contoso.example"));
    let page = t.get(&SignIn::new().at("common").with("domain_hint", "other.example").address()).await.text;
    assert!(!page.contains("gale@contoso.example"));
}

#[tokio::test]
async fn a_code_is_good_once_and_for_its_own_request() {
    let t = Tester::start().await;
    let sign_in = SignIn::new();
    let who = "gale@contoso.example";
    let code = sign_in.code(&t, who).await;
    let wrong: [(&[(&str, &str)], u64); 8] = [
        (&[("code_verifier", "another-verifier-that-is-long-enough-for-the-rules")], 501_481),
        (&[("code_verifier", "")], 501_481),
        (&[("redirect_uri", "http://localhost:51234/other")], 500_112),
        (&[("client_secret", "wrong")], 7_000_215),
        (&[("client_secret", "")], 7_000_218),
        (&[("code", "made-up")], 70_000),
        (&[("client_id", "a11ce000-0000-4000-8000-00000000a002"), ("client_secret", "")], 70_000),
        (&[("scope", "https://graph.microsoft.com/User.Read.All")], 65_001),
    ];
    for (fields, number) in wrong {
        let reply = sign_in.redeem_with(&t, &code, fields).await;
        assert!(reply.status == 400 || reply.status == 401, "{fields:?}");
        assert_eq!(code_of(&reply), number, "{fields:?}: {}", reply.text);
    }
    let other = json!({ "domains": ["other.example"] });
    t.put("/_sim/tenants/00000000-0000-4000-8000-0000000000aa", other).await;
    let elsewhere = sign_in.clone().at("00000000-0000-4000-8000-0000000000aa").redeem(&t, &code).await;
    assert_eq!(code_of(&elsewhere), 700_005);
    assert_eq!(sign_in.redeem(&t, &code).await.status, 200, "a refused try does not use the code up");
    let again = sign_in.redeem(&t, &code).await;
    assert_eq!((again.json["error"].as_str(), code_of(&again)), (Some("invalid_grant"), 54_005));

    t.patch("/_sim/settings", json!({ "codeLifetimeSeconds": 0 })).await;
    let late = sign_in.code(&t, who).await;
    assert_eq!(code_of(&sign_in.redeem(&t, &late).await), 70_008);
}

#[tokio::test]
async fn the_proof_key_is_what_the_application_says() {
    let t = Tester::start().await;
    let refused = async |sign_in: SignIn| {
        let fields = back(&t.get(&sign_in.address()).await);
        (fields["error"].clone(), aadsts(&fields["error_description"]))
    };
    let none = SignIn::new().with("code_challenge", "").with("code_challenge_method", "");
    let plain = SignIn::new().with("code_challenge", VERIFIER).with("code_challenge_method", "plain");
    assert_eq!(refused(none.clone()).await, ("invalid_request".to_owned(), 9_002_325));
    assert_eq!(refused(plain.clone()).await, ("invalid_request".to_owned(), 90_023));
    assert_eq!(refused(SignIn::new().with("code_challenge", "short")).await.1, 501_491);
    let app = t.get(&format!("/_sim/apps/{DEMO_APP}")).await.json;
    let mut loose = app.clone();
    loose["pkce"] = json!("plain");
    t.put(&format!("/_sim/apps/{DEMO_APP}"), loose.clone()).await;
    plain.tokens(&t, "gale@contoso.example").await;
    assert_eq!(refused(none.clone()).await.1, 9_002_325);
    loose["pkce"] = json!("optional");
    t.put(&format!("/_sim/apps/{DEMO_APP}"), loose).await;
    let code = none.code(&t, "gale@contoso.example").await;
    assert_eq!(none.redeem_with(&t, &code, &[("code_verifier", "")]).await.status, 200);
}

#[tokio::test]
async fn refusals_go_back_only_to_registered_addresses() {
    let t = Tester::start().await;
    let shown = async |sign_in: SignIn| {
        let page = t.get(&sign_in.address()).await;
        assert!(page.status == 400 && page.header("location").is_empty(), "{}", page.text);
        aadsts(&page.text)
    };
    assert_eq!(shown(SignIn::new().with("redirect_uri", "https://evil.example/back")).await, 50_011);
    assert_eq!(shown(SignIn::new().with("redirect_uri", "")).await, 900_144);
    let mut stranger = SignIn::new();
    stranger.app = "00000000-0000-4000-8000-0000000000bb".to_owned();
    assert_eq!(shown(stranger).await, 700_016);
    assert_eq!(shown(SignIn::new().at("nowhere.example")).await, 90_002);
    let twice = t.get(&format!("{}&state=other", SignIn::new().address())).await;
    assert_eq!((twice.status.as_u16(), aadsts(&twice.text)), (400, 9_000_411));

    let refused = async |sign_in: SignIn| back(&t.get(&sign_in.address()).await);
    let fields = refused(SignIn::new().with("response_type", "token")).await;
    assert_eq!((fields["error"].as_str(), fields["state"].as_str()), ("unsupported_response_type", "s-1"));
    assert_eq!(aadsts(&refused(SignIn::new().with("prompt", "maybe")).await["error_description"]), 90_023);
    assert_eq!(
        aadsts(&refused(SignIn::new().with("scope", "openid Made.Up")).await["error_description"]),
        650_053
    );
    let denied = back(&t.post_form(&SignIn::new().address(), &[("deny", "1")]).await);
    assert_eq!((denied["error"].as_str(), aadsts(&denied["error_description"])), ("access_denied", 65_004));
    let fault =
        json!({ "code": 53_003, "error": "access_denied", "type": "tokenError", "description": "Blocked." });
    t.fault(json!({ "kind": "authorize", "times": 1, "action": fault })).await;
    assert_eq!(aadsts(&refused(SignIn::new()).await["error_description"]), 53_003);

    let posted = SignIn::new().with("response_mode", "form_post").pick(&t, "gale@contoso.example").await;
    assert!(
        posted.status == 200
            && posted.text.contains("name=\"code\"")
            && posted.text.contains("action=\"http://localhost:51234/back\"")
    );
    let fragment = SignIn::new().with("response_mode", "fragment").pick(&t, "gale@contoso.example").await;
    assert!(fragment.header("location").starts_with(&format!("{BACK}#code=")));
}

#[tokio::test]
async fn a_public_application_redeems_without_a_secret() {
    let t = Tester::start().await;
    let mut public = SignIn::new();
    public.app = DEMO_SIGN_IN_APP.to_string();
    public.secret = None;
    let code = public.code(&t, "gale@contoso.example").await;
    let with_secret = public.redeem_with(&t, &code, &[("client_secret", "x")]).await;
    assert_eq!(code_of(&with_secret), 700_025);
    let tokens = public.redeem(&t, &code).await.json;
    assert_eq!(claims(&tokens["access_token"])["appidacr"], "0");
    // signing in made a service principal, which has no application permission
    let tenant = t.get(&format!("/_sim/tenants/{DEMO_TENANT}")).await.json;
    let consents = tenant["consents"].as_array().unwrap();
    let made = consents.iter().find(|c| c["appId"] == json!(DEMO_SIGN_IN_APP)).unwrap();
    assert_eq!(made["roles"], json!([]));
}

#[tokio::test]
async fn delegated_permissions_need_whoever_may_allow_them() {
    let t = Tester::start().await;
    let wide =
        SignIn::new().with("scope", "openid https://graph.microsoft.com/TeamsTelephoneNumber.ReadWrite.All");
    let refused = back(&wide.pick(&t, "ana@contoso.example").await);
    assert_eq!((refused["error"].as_str(), aadsts(&refused["error_description"])), ("access_denied", 90_094));
    let reader = back(&wide.pick(&t, "rhea@contoso.example").await);
    assert_eq!(aadsts(&reader["error_description"]), 90_094);
    let tokens = wide.tokens(&t, "gale@contoso.example").await;
    assert_eq!(claims(&tokens["access_token"])["scp"], "TeamsTelephoneNumber.ReadWrite.All openid");
    t.post(
        &t.tenant("consent"),
        json!({ "appId": DEMO_APP, "scopes": ["TeamsTelephoneNumber.ReadWrite.All"] }),
    )
    .await;
    wide.tokens(&t, "ana@contoso.example").await;
    t.post(&t.tenant("consent"), json!({ "appId": DEMO_APP, "enabled": false })).await;
    assert_eq!(aadsts(&back(&wide.pick(&t, "gale@contoso.example").await)["error_description"]), 7_000_112);
}

#[tokio::test]
async fn offline_access_gives_a_refresh_token() {
    let t = Tester::start().await;
    let sign_in = SignIn::new().with("scope", "openid profile offline_access User.Read");
    let tokens = sign_in.tokens(&t, "gale@contoso.example").await;
    let refresh = tokens["refresh_token"].as_str().unwrap();
    let again = async || {
        let fields = [
            ("grant_type", "refresh_token"),
            ("client_id", sign_in.app.as_str()),
            ("client_secret", "demo-secret"),
            ("refresh_token", refresh),
        ];
        t.form(&sign_in.tenant, form(&fields)).await
    };
    let renewed = again().await;
    assert_eq!(claims(&renewed.json["access_token"])["idtyp"], "user", "{}", renewed.text);
    t.post(&t.tenant("revoke-tokens"), json!({})).await;
    assert_eq!(code_of(&again().await), 50_173);
}

#[tokio::test]
async fn keys_rotate() {
    let t = Tester::start().await;
    let kids = async || {
        let keys = t.get(&format!("/{DEMO_TENANT}/discovery/v2.0/keys")).await.json;
        keys["keys"].as_array().unwrap().iter().map(|k| k["kid"].clone()).collect::<Vec<_>>()
    };
    let first = kids().await;
    t.post("/_sim/keys/rotate", json!({})).await;
    let second = kids().await;
    assert_eq!((second.len(), &second[1]), (2, &first[0]));
    assert_eq!(t.get("/v1.0/organization").await.status, 200, "tokens of the old key stay good");
    t.post("/_sim/keys/rotate", json!({ "keep": false })).await;
    let third = kids().await;
    assert!(third.len() == 1 && !second.contains(&third[0]));
}

#[tokio::test]
async fn signing_out_leads_only_to_registered_addresses() {
    let t = Tester::start().await;
    let out = async |to: &str| {
        let query = form(&[("post_logout_redirect_uri", to), ("state", "s")]);
        let request = Request::get(format!("/{DEMO_TENANT}/oauth2/v2.0/logout?{query}")).body(Body::empty());
        t.raw(request.unwrap()).await.unwrap()
    };
    assert_eq!(out(BACK).await.header("location"), format!("{BACK}?state=s"));
    assert_eq!(out("https://evil.example/").await.status, 200);
}
