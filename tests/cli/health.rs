//! `picket health`.

use std::net::TcpListener;

use crate::support::process::Binary;

#[test]
fn health_tells_whether_the_server_serves() {
    let mut picket = Binary::new();
    let server = picket.serve(&[]);
    let url = format!("http://{}", server.address());
    assert_eq!(picket.succeed(&["health", "--url", &url]), "ready\n");
    picket.set("PICKET_LISTEN", &server.address());
    assert_eq!(picket.succeed(&["health"]), "ready\n");
    assert_eq!(server.terminate().code, Some(0));
    let gone = picket.run(&["health"]);
    assert_eq!(gone.code, Some(1));
    assert!(
        gone.stderr
            .starts_with(&format!("picket: the server at {url} cannot be asked: ")),
        "{gone:?}"
    );
}

#[test]
fn health_does_not_wait_for_ever() {
    let picket = Binary::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let output = picket.run(&["health", "--url", &url]);
    assert_eq!(output.code, Some(1), "{output:?}");
}
