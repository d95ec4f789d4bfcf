//! What is secret is neither logged nor in the file.

use rustix::process::Signal;
use serde_json::json;

use super::browser::location;
use super::*;
use crate::support::client::Client;
use crate::support::process::Binary;

/// Somebody sets a server up, invites, forgets a password and mistypes links, while the log tells all that it can.
#[test]
fn no_secret_of_people_is_logged_or_kept_in_clear() {
    let post = Post::start();
    let mut picket = Binary::new();
    picket.set("RUST_LOG", "trace");
    picket.set("PICKET_SMTP_URL", &post.url());
    picket.set("PICKET_MAIL_FROM", "picket@example.test");
    let mut server = picket.serve(&[]);
    let file = server.wait_for("new tokens are in ");
    let file = file.split(',').next().unwrap().to_owned();
    let address = server.address();
    let kept = std::fs::read_to_string(picket.path(&file)).unwrap();
    let after = |start: &str| -> String {
        let at = kept.find(start).expect("it is there") + start.len();
        kept[at..at + 64].to_owned()
    };
    let (link, token) = (after("/account/set-up/"), after("\n  sntryu_"));

    let mut owner = Browser::at(&address);
    let mut secrets = vec![link.clone(), token.clone()];
    let path = format!("/account/set-up/{link}/");
    let fields = [
        ("email", "olive@example.test"),
        ("name", "Olive"),
        ("password", NEW_PASSWORD),
        ("again", NEW_PASSWORD),
    ];
    assert_eq!(location(&owner.submit(&path, &path, &fields)), "/");
    secrets.extend(owner.cookies.values().cloned());

    let client = Client::new(address.parse().unwrap())
        .with_header("Authorization", &format!("Bearer sntryu_{token}"));
    let body = json!({ "email": "zed@example.test" });
    let made = client.post_json("/api/0/organizations/default/members/", &body);
    assert_eq!(made.status, 201, "{made:?}");
    let prefix = format!("http://{address}");
    let in_path = |link: &str| link.strip_prefix(&prefix).expect("a link").to_owned();
    let last = |path: &str| {
        path.trim_end_matches('/')
            .rsplit('/')
            .next()
            .unwrap()
            .to_owned()
    };
    let invitation = in_path(made.json()["invite_link"].as_str().unwrap());
    secrets.push(last(&invitation));
    let mut zed = Browser::at(&address);
    let zeds = "a password of zed alone";
    let fields = [("name", ""), ("password", zeds), ("again", zeds)];
    assert_eq!(
        location(&zed.submit(&invitation, &invitation, &fields)),
        "/"
    );
    secrets.extend(zed.cookies.values().cloned());

    let mut forgetful = Browser::at(&address);
    let recover = "/account/recover/";
    forgetful.submit(recover, recover, &[("email", "zed@example.test")]);
    let reset = in_path(post.wait_for(2).line(&format!("{prefix}/account/")));
    secrets.push(last(&reset));
    assert_eq!(forgetful.get(&reset).status, 200);
    let wrong = "a password that is wrong";
    assert_eq!(forgetful.sign_in("zed@example.test", wrong).status, 400);
    let unknown = "7".repeat(64);
    for path in [
        "/account/set-up/",
        "/account/recover/confirm/",
        "/accept/1/",
    ] {
        assert_eq!(forgetful.get(&format!("{path}{unknown}/")).status, 404);
    }
    secrets.extend([NEW_PASSWORD, zeds, wrong, &unknown].map(str::to_owned));

    server.signal(Signal::TERM);
    let output = server.wait();
    assert_eq!(output.code, Some(0));
    assert!(output.stderr.contains("stopped"), "{}", output.stderr);
    let database = std::fs::read(picket.path("picket.db")).unwrap();
    let holds = |text: &str| memchr::memmem::find(&database, text.as_bytes()).is_some();
    assert!(holds("olive@example.test") && secrets.len() > 12);
    for secret in &secrets {
        assert!(!output.stdout.contains(secret), "{secret} is printed");
        assert!(!output.stderr.contains(secret), "{secret} is logged");
        assert!(!holds(secret), "{secret} is in the file");
    }
    // Nor whom mail was for.
    assert!(
        !output.stderr.contains("zed@example.test"),
        "{}",
        output.stderr
    );
}
