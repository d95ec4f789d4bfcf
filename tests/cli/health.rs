//! `picket health`.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

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
fn a_server_without_that_page_is_not_ready() {
    let picket = Binary::new();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", other.local_addr().unwrap());
    let answering = thread::spawn(move || {
        let (mut connection, _) = other.accept().unwrap();
        let mut question = [0; 1024];
        assert!(connection.read(&mut question).unwrap() > 0);
        connection
            .write_all(
                b"HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\nconnection: close\r\n\r\ngone",
            )
            .unwrap();
    });
    let output = picket.run(&["health", "--url", &url]);
    answering.join().unwrap();
    assert_eq!(
        output.stderr,
        format!("picket: the server at {url} is not ready: it answered 404 gone\n")
    );
    assert_eq!((output.code, output.stdout.as_str()), (Some(1), ""));
}

#[test]
fn health_does_not_wait_for_ever() {
    let picket = Binary::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let output = picket.run(&["health", "--url", &url]);
    assert_eq!(output.code, Some(1), "{output:?}");
}
