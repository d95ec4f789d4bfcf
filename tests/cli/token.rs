//! `picket token create`, `list` and `revoke`.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::support::process::Binary;

const OWNER_SCOPES: &str = "alerts:read alerts:write event:admin event:read event:write member:admin \
    member:invite member:read member:write org:admin org:integrations org:read org:write project:admin \
    project:read project:releases project:write team:admin team:read team:write";

fn with(file: &str) -> Binary {
    let picket = Binary::new();
    picket.write("a.toml", file);
    picket.succeed(&["apply", "a.toml"]);
    picket
}

fn list(picket: &Binary) -> Vec<Value> {
    serde_json::from_str(&picket.succeed(&["token", "list", "--json"])).unwrap()
}

#[test]
fn a_token_is_printed_once_and_kept_as_a_hash() {
    let picket = with("[[user]]\nemail = \"ann@example.test\"\n");
    let token = picket.succeed(&["token", "create"]);
    let token = token.strip_suffix('\n').unwrap();
    assert_eq!((token.len(), &token[..7]), (71, "sntryu_"));
    let stored: Vec<u8> = picket
        .database()
        .query_row("SELECT hash FROM auth_token", [], |row| row.get(0))
        .unwrap();
    assert_eq!(stored, Sha256::digest(token).to_vec());
    let (text, all) = (picket.succeed(&["token", "list"]), list(&picket));
    assert!(!text.contains(token) && !format!("{all:?}").contains(token));
    assert_eq!(all.len(), 1);
    let names: Vec<_> = all[0].as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        names,
        [
            "id",
            "kind",
            "owner",
            "name",
            "last_characters",
            "scopes",
            "created",
            "expires",
            "last_used",
            "state"
        ]
    );
    for (name, value) in [
        ("id", "1"),
        ("kind", "user"),
        ("owner", "ann@example.test"),
        ("name", "cli"),
        ("last_characters", &token[67..]),
        ("state", "active"),
    ] {
        assert_eq!(all[0][name], value, "{name}");
    }
    let scopes: Vec<_> = OWNER_SCOPES.split(' ').collect();
    assert_eq!(all[0]["scopes"], serde_json::json!(scopes));
    assert!(all[0]["expires"].is_null() && all[0]["last_used"].is_null());
}

#[test]
fn scopes_bring_what_they_imply_and_an_expiry_is_kept() {
    let picket = with("[[user]]\nemail = \"ann@example.test\"\n");
    let made = picket.succeed(&[
        "token",
        "create",
        "--user",
        "ANN@example.test",
        "--name",
        "ci",
        "--scopes",
        "project:write,org:ci",
        "--expires",
        "2100-01-02T03:04:05+01:00",
        "--json",
    ]);
    let made: Value = serde_json::from_str(&made).unwrap();
    assert!(made["token"].as_str().unwrap().starts_with("sntryu_"));
    assert_eq!(
        made["scopes"],
        serde_json::json!(["org:ci", "project:read", "project:write"])
    );
    assert_eq!(made["expires"], "2100-01-02T02:04:05Z");
    assert_eq!(list(&picket)[0]["expires"], "2100-01-02T02:04:05Z");
}

#[test]
fn an_organization_token_carries_the_servers_address() {
    use base64::Engine;
    let picket = with("[[organization]]\nslug = \"acme\"\n");
    let token = picket.succeed(&[
        "token",
        "create",
        "--organization",
        "acme",
        "--url-prefix",
        "https://errors.test",
    ]);
    let parts: Vec<&str> = token.trim().split('_').collect();
    assert_eq!((parts.len(), parts[0]), (3, "sntrys"));
    let claims = base64::engine::general_purpose::STANDARD
        .decode(parts[1])
        .unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["url"], "https://errors.test");
    assert_eq!(claims["org"], "acme");
    let all = list(&picket);
    assert_eq!(all[0]["kind"], "organization");
    assert_eq!(all[0]["owner"], "acme");
    assert_eq!(all[0]["scopes"], serde_json::json!(["org:ci"]));
}

#[test]
fn the_only_user_needs_no_naming_and_one_of_several_does() {
    let picket = with("[[organization]]\nslug = \"acme\"\n");
    let fails = |arguments: &[&str], text: &str| {
        let output = picket.run(arguments);
        assert_eq!(output.stderr, format!("picket: {text}\n"));
        assert_eq!(output.code, Some(1));
    };
    fails(
        &["token", "create"],
        "there are no users, so --organization is needed",
    );
    picket.write(
        "b.toml",
        "[[user]]\nemail = \"a@b\"\n[[user]]\nemail = \"c@d\"\n",
    );
    picket.succeed(&["apply", "b.toml"]);
    fails(
        &["token", "create"],
        "there are several users; --user says whose token it is",
    );
    fails(
        &["token", "create", "--user", "e@f"],
        "there is no user e@f",
    );
    fails(
        &["token", "create", "--organization", "other"],
        "there is no organization other",
    );
    assert!(list(&picket).is_empty());
    picket.succeed(&["token", "create", "--user", "c@d"]);
    assert_eq!(list(&picket)[0]["owner"], "c@d");
}

#[test]
fn a_token_is_revoked_once_for_good() {
    let picket = with("[[user]]\nemail = \"ann@example.test\"\n");
    picket.succeed(&["token", "create"]);
    assert_eq!(
        picket.succeed(&["token", "revoke", "1"]),
        "token 1 is revoked\n"
    );
    assert_eq!(list(&picket)[0]["state"], "revoked");
    assert_eq!(
        picket.succeed(&["token", "revoke", "1"]),
        "token 1 was revoked before\n"
    );
    let output = picket.run(&["token", "revoke", "2"]);
    assert_eq!(output.stderr, "picket: there is no token 2\n");
    assert_eq!(output.code, Some(1));
    let deeds: Vec<String> = picket
        .database()
        .prepare("SELECT event FROM audit_entry ORDER BY id")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(
        deeds,
        ["user.create", "user-token.create", "user-token.remove"]
    );
}

#[test]
fn an_expired_token_is_shown_as_such() {
    let picket = with(
        "[[user]]\nemail = \"a@b\"\n[[user.token]]\nname = \"old\"\nexpires = 2001-01-01T00:00:00Z\n",
    );
    assert_eq!(list(&picket)[0]["state"], "expired");
}
