//! The link of a first start.

use super::browser::{location, problem};
use super::*;
use crate::support::process::Binary;

const OWNER: &str = "olive@example.test";

/// Starts a new server in a process of its own; the path of the owner's link.
fn first_start(picket: &Binary) -> (crate::support::process::Process, String) {
    let mut server = picket.serve(&["--print-credentials"]);
    server.wait_for("admin@localhost signs in for the first time here");
    let link = server.wait_for("  http://");
    let address = server.address();
    let path = link.strip_prefix(&address).expect("a link of this server");
    let path = path.to_owned();
    (server, path)
}

#[test]
fn the_owner_chooses_how_to_sign_in_and_is_signed_in() {
    let picket = Binary::new();
    let (server, path) = first_start(&picket);
    assert!(path.starts_with("/account/set-up/"), "{path}");
    let mut browser = Browser::at(&server.address());
    let page = browser.get(&path);
    assert!(page.text().contains("value=\"admin@localhost\""));
    let fields = [
        ("email", OWNER),
        ("name", "Olive"),
        ("password", NEW_PASSWORD),
        ("again", NEW_PASSWORD),
    ];
    for (name, value, expected) in [
        ("email", "olive", "This is no email address."),
        ("again", "other", "The two passwords are not the same."),
        (
            "name",
            "Unlikely Badger Orchard Drum",
            "This password is too much like the name.",
        ),
    ] {
        let fields = fields.map(|(field, old)| (field, if field == name { value } else { old }));
        let answer = browser.submit(&path, &path, &fields);
        assert_eq!((answer.status, problem(&answer).as_str()), (400, expected));
    }
    let answer = browser.submit(&path, &path, &fields);
    assert_eq!(location(&answer), "/");
    let home = browser.get("/");
    assert!(home.text().contains("Olive") && home.text().contains("Default"));
    // It worked once.
    assert_eq!(browser.get(&path).status, 404);
    let mut again = Browser::at(&server.address());
    assert_eq!(again.sign_in("admin@localhost", NEW_PASSWORD).status, 400);
    assert_eq!(location(&again.sign_in(OWNER, NEW_PASSWORD)), "/");
}

#[test]
fn a_service_gets_the_link_in_the_file() {
    let picket = Binary::new();
    let mut server = picket.serve(&[]);
    server.wait_for("new tokens are in picket.db.credentials");
    let output = server.terminate();
    let kept = std::fs::read_to_string(picket.path("picket.db.credentials")).unwrap();
    let start = kept.find("/account/set-up/").expect("a link") + "/account/set-up/".len();
    let token = &kept[start..start + 64];
    assert!(!output.stdout.contains(token) && !output.stderr.contains(token));
    let file = std::fs::read(picket.path("picket.db")).unwrap();
    assert!(memchr::memmem::find(&file, token.as_bytes()).is_none());
}
