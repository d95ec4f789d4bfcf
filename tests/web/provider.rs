//! An OpenID Connect provider that says what a test wants it to say, signed as the test wants.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use openidconnect::core::{CoreHmacKey, CoreJwsSigningAlgorithm, CoreRsaPrivateSigningKey};
use openidconnect::{JsonWebKeyId, PrivateSigningKey};
use p256::ecdsa::SigningKey;
use p256::ecdsa::signature::Signer;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::START;

pub(crate) const CLIENT_ID: &str = "picket";
pub(crate) const CLIENT_SECRET: &str = "the secret of a client";

/// What a token is signed with. The keys are for these tests only, and no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    First,
    Second,
    /// Of an elliptic curve.
    Elliptic,
}

impl Key {
    pub(crate) fn id(self) -> &'static str {
        match self {
            Key::First => "first",
            Key::Second => "second",
            Key::Elliptic => "elliptic",
        }
    }

    fn rsa(self) -> CoreRsaPrivateSigningKey {
        let pem = match self {
            Key::First => include_str!("keys/first.pem"),
            Key::Second | Key::Elliptic => include_str!("keys/second.pem"),
        };
        let id = JsonWebKeyId::new(self.id().to_owned());
        CoreRsaPrivateSigningKey::from_pem(pem, Some(id)).expect("a key")
    }

    /// RSA with SHA-256.
    pub(crate) fn sign(self, bytes: &[u8]) -> Vec<u8> {
        let algorithm = CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256;
        self.rsa().sign(&algorithm, bytes).expect("a signature")
    }

    fn elliptic() -> SigningKey {
        SigningKey::from_slice(&[7; 32]).expect("a key")
    }

    /// As the provider publishes it.
    pub(crate) fn public(self) -> Value {
        if self != Key::Elliptic {
            return serde_json::to_value(self.rsa().as_verification_key()).expect("JSON");
        }
        let point = Key::elliptic().verifying_key().to_sec1_point(false);
        json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "kid": self.id(),
            "x": URL_SAFE_NO_PAD.encode(point.x().expect("x")),
            "y": URL_SAFE_NO_PAD.encode(point.y().expect("y")),
        })
    }
}

/// A token to be signed, as a test changes it.
#[derive(Clone)]
pub(crate) struct Token {
    pub(crate) header: Value,
    pub(crate) claims: Value,
    pub(crate) signed: Signed,
}

#[derive(Clone)]
pub(crate) enum Signed {
    By(Key),
    /// HS256 with these bytes.
    ByShared(Vec<u8>),
    NotAtAll,
}

impl Token {
    /// Header and signature of a key, which need not fit each other.
    pub(crate) fn sign_with(&mut self, key: Key) {
        self.signed = Signed::By(key);
        self.header["kid"] = json!(key.id());
        if key == Key::Elliptic {
            self.header["alg"] = json!("ES256");
        }
    }

    fn write(&self) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let input = format!("{}.{}", part(&self.header), part(&self.claims));
        let bytes = input.as_bytes();
        let signature = match &self.signed {
            Signed::By(Key::Elliptic) => {
                let signature: p256::ecdsa::Signature = Key::elliptic().sign(bytes);
                signature.to_bytes().to_vec()
            }
            Signed::By(key) => key
                .rsa()
                .sign(&CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256, bytes)
                .expect("a signature"),
            Signed::ByShared(secret) => CoreHmacKey::new(secret.clone())
                .sign(&CoreJwsSigningAlgorithm::HmacSha256, bytes)
                .expect("a signature"),
            Signed::NotAtAll => Vec::new(),
        };
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// What a client asked for, from the address that a browser was sent to.
#[derive(Clone, Debug)]
pub(crate) struct Asked(pub(crate) BTreeMap<String, String>);

impl Asked {
    pub(crate) fn parse(url: &str) -> Asked {
        let query = url.split_once('?').expect("a query").1;
        Asked(
            form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

struct Grant {
    asked: Asked,
    subject: Value,
    token: String,
}

struct State {
    issuer: String,
    codes: HashMap<String, Grant>,
    keys: Vec<Key>,
    is_down: bool,
    /// What is told beside the token; of itself only whose that is.
    user_info: Option<Value>,
    last_subject: Value,
    key_requests: u32,
    /// How many answers were wrong about the client, the code or its proof.
    refusals: u32,
}

/// The provider, on a free port.
pub(crate) struct Provider {
    state: Arc<Mutex<State>>,
    /// With its port.
    pub(crate) host: String,
}

impl Provider {
    pub(crate) fn start() -> Provider {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let host = listener.local_addr().expect("an address").to_string();
        let state = Arc::new(Mutex::new(State {
            issuer: format!("http://{host}"),
            codes: HashMap::new(),
            keys: vec![Key::First],
            is_down: false,
            user_info: None,
            last_subject: Value::Null,
            key_requests: 0,
            refusals: 0,
        }));
        let shared = Arc::clone(&state);
        // Ends with the test program.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = serve(stream, &shared);
            }
        });
        Provider { state, host }
    }

    pub(crate) fn issuer(&self) -> String {
        format!("http://{}", self.host)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no test panics with it")
    }

    pub(crate) fn set_keys(&self, keys: &[Key]) {
        self.state().keys = keys.to_vec();
    }

    pub(crate) fn set_down(&self, is_down: bool) {
        self.state().is_down = is_down;
    }

    pub(crate) fn set_user_info(&self, claims: Value) {
        self.state().user_info = Some(claims);
    }

    pub(crate) fn key_requests(&self) -> u32 {
        self.state().key_requests
    }

    pub(crate) fn refusals(&self) -> u32 {
        self.state().refusals
    }

    /// A code for what was asked, for a user of whom these claims are true, after the test has changed the token.
    pub(crate) fn code(
        &self,
        asked: &Asked,
        claims: &Value,
        change: impl FnOnce(&mut Token),
    ) -> String {
        let mut state = self.state();
        let now = START.secs();
        let mut token = Token {
            header: json!({ "alg": "RS256", "typ": "JWT", "kid": Key::First.id() }),
            claims: json!({
                "iss": state.issuer, "aud": asked.get("client_id"), "nonce": asked.get("nonce"),
                "iat": now, "exp": now + 3_600,
            }),
            signed: Signed::By(Key::First),
        };
        for (name, value) in claims.as_object().expect("claims") {
            token.claims[name] = value.clone();
        }
        change(&mut token);
        let code = format!("code-{}-{}", asked.get("state"), state.codes.len());
        let grant = Grant {
            asked: asked.clone(),
            subject: token.claims["sub"].clone(),
            token: token.write(),
        };
        state.codes.insert(code.clone(), grant);
        code
    }
}

struct Request {
    target: String,
    authorization: String,
    body: String,
}

fn read(stream: &TcpStream) -> std::io::Result<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let (mut authorization, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => authorization = value.to_owned(),
            "content-length" => length = value.parse().unwrap_or(0),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Request {
        target,
        authorization,
        body: String::from_utf8(body).unwrap_or_default(),
    })
}

fn serve(mut stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let request = read(&stream)?;
    let mut state = state.lock().expect("no test panics with it");
    let (status, body) = if state.is_down {
        (500, json!({}))
    } else {
        match request.target.as_str() {
            "/.well-known/openid-configuration" => (200, about(&state.issuer)),
            "/keys" => {
                state.key_requests += 1;
                let keys: Vec<Value> = state.keys.iter().map(|key| key.public()).collect();
                (200, json!({ "keys": keys }))
            }
            "/token" => match grant(&mut state, &request) {
                Ok(token) => (
                    200,
                    json!({ "access_token": "access", "token_type": "Bearer", "id_token": token }),
                ),
                Err(error) => {
                    state.refusals += 1;
                    (400, json!({ "error": error }))
                }
            },
            "/me" if request.authorization == "Bearer access" => {
                let claims = state.user_info.clone();
                (
                    200,
                    claims.unwrap_or_else(|| json!({ "sub": state.last_subject })),
                )
            }
            _ => (404, json!({})),
        }
    };
    let body = body.to_string();
    write!(
        stream,
        "HTTP/1.1 {status} Answer\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
}

fn about(issuer: &str) -> Value {
    json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/me"),
        "jwks_uri": format!("{issuer}/keys"),
        "end_session_endpoint": format!("{issuer}/leave"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        // It offers more than anybody should take.
        "id_token_signing_alg_values_supported": ["RS256", "ES256", "HS256", "none"],
    })
}

/// The token for a code: once, to the client that it was made for, with the proof that was promised.
fn grant(state: &mut State, request: &Request) -> Result<String, &'static str> {
    let expected = format!(
        "Basic {}",
        STANDARD.encode(format!("{CLIENT_ID}:{}", CLIENT_SECRET.replace(' ', "+")))
    );
    if request.authorization != expected {
        return Err("invalid_client");
    }
    let fields: HashMap<String, String> = form_urlencoded::parse(request.body.as_bytes())
        .into_owned()
        .collect();
    let field = |name: &str| fields.get(name).map_or("", String::as_str);
    let grant = state.codes.remove(field("code")).ok_or("invalid_grant")?;
    let proof = URL_SAFE_NO_PAD.encode(Sha256::digest(field("code_verifier")));
    if field("redirect_uri") != grant.asked.get("redirect_uri")
        || proof != grant.asked.get("code_challenge")
    {
        return Err("invalid_grant");
    }
    state.last_subject = grant.subject;
    Ok(grant.token)
}
