//! What the server and a service manager tell each other: systemd's protocols, with the test as the manager.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::process::{Binary, Process};

/// A socket that is told how the server is.
struct Manager {
    socket: UnixDatagram,
}

impl Manager {
    fn of(picket: &mut Binary) -> Manager {
        let path = picket.path("notify");
        let socket = UnixDatagram::bind(&path).expect("the socket is bound");
        socket
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("a time-out can be set");
        picket.set("NOTIFY_SOCKET", path.to_str().expect("the path is UTF-8"));
        Manager { socket }
    }

    fn told(&self) -> String {
        let mut bytes = [0; 4096];
        let count = self
            .socket
            .recv(&mut bytes)
            .expect("the server says something");
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    }
}

#[test]
fn a_service_manager_hears_when_the_server_serves_and_when_it_stops() {
    let mut picket = Binary::new();
    let manager = Manager::of(&mut picket);
    let server = picket.serve(&[]);
    let prefix = format!("http://{}", server.address());
    assert_eq!(
        manager.told(),
        format!("READY=1\nSTATUS=serving {prefix}\n")
    );
    // What is said to be ready takes connections.
    TcpStream::connect(server.address()).expect("the server accepts");
    let ended = server.terminate();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(manager.told(), "STOPPING=1\nSTATUS=stopping\n");
}

#[test]
fn a_watchdog_hears_from_a_healthy_server_in_time() {
    let mut picket = Binary::new();
    let manager = Manager::of(&mut picket);
    picket.set("WATCHDOG_USEC", "400000");
    let server = picket.serve(&[]);
    assert!(manager.told().starts_with("READY=1\n"));
    let begun = Instant::now();
    for _ in 0..3 {
        assert_eq!(manager.told(), "WATCHDOG=1\n");
    }
    assert!(
        begun.elapsed() >= Duration::from_millis(500),
        "three times at once"
    );
    assert_eq!(server.terminate().code, Some(0));
}

#[test]
fn a_stopped_process_is_silent() {
    let mut picket = Binary::new();
    let manager = Manager::of(&mut picket);
    picket.set("WATCHDOG_USEC", "200000");
    let server = picket.serve(&[]);
    assert!(manager.told().starts_with("READY=1\n"));
    server.signal(Signal::STOP);
    manager
        .socket
        .set_read_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    let mut last = [0; 64];
    // What was on its way when the signal came.
    while manager.socket.recv(&mut last).is_ok() {}
    server.signal(Signal::CONT);
    assert_eq!(manager.told(), "WATCHDOG=1\n");
    assert_eq!(server.terminate().code, Some(0));
}

/// The command as systemd runs it for a unit with sockets: `handed` as the descriptor 3, and as many as `count` said to
/// be there.
fn with_socket(picket: &Binary, handed: OwnedFd, count: u32, arguments: &str) -> Command {
    let mut command = picket.command(&[]);
    let program = command.get_program().to_owned();
    let mut shell = Command::new("/bin/sh");
    shell
        .arg("-c")
        .arg(format!(
            "exec 3<&0 </dev/null; LISTEN_FDS={count} LISTEN_PID=$$ exec \"$0\" serve {arguments}"
        ))
        .arg(program)
        .current_dir(picket.path(""))
        .env_clear()
        .stdin(Stdio::from(handed));
    command = shell;
    command
}

#[test]
fn a_socket_that_is_handed_over_takes_the_place_of_the_address() {
    let picket = Binary::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // Whoever comes before the server is there waits, and is served.
    let mut early = TcpStream::connect(address).unwrap();
    early
        .write_all(b"GET /api/0/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let arguments = format!("--listen {}", taken.local_addr().unwrap());
    let server = Process::start(with_socket(&picket, OwnedFd::from(listener), 1, &arguments));
    assert_eq!(server.address(), address.to_string());
    let mut answer = String::new();
    early
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    early.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
    TcpStream::connect(address).expect("the next one is served too");
    assert_eq!(server.terminate().code, Some(0));
}

#[test]
fn a_socket_for_somebody_else_is_left_alone() {
    let mut picket = Binary::new();
    picket.set("LISTEN_FDS", "1");
    picket.set("LISTEN_PID", "1");
    let server = picket.serve(&[]);
    assert!(server.address().starts_with("127.0.0.1:"));
    assert_eq!(server.terminate().code, Some(0));
}

#[test]
fn what_cannot_be_served_on_is_refused() {
    let picket = Binary::new();
    let refused = |handed: OwnedFd, count| {
        let output = with_socket(&picket, handed, count, "--listen 127.0.0.1:0")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let listener = || OwnedFd::from(TcpListener::bind("127.0.0.1:0").unwrap());
    assert_eq!(
        refused(listener(), 2),
        "picket: the service manager handed over 2 sockets; picket serves on one\n"
    );
    let none = "picket: the service manager's socket is none to accept connections on: ";
    let file = OwnedFd::from(File::open("/dev/null").unwrap());
    assert!(refused(file, 1).starts_with(none));
    let datagrams = OwnedFd::from(UnixDatagram::unbound().unwrap());
    assert!(refused(datagrams, 1).starts_with(none));
    let waiting = TcpListener::bind("127.0.0.1:0").unwrap();
    let connected = TcpStream::connect(waiting.local_addr().unwrap()).unwrap();
    assert_eq!(
        refused(OwnedFd::from(connected), 1),
        format!("{none}it does not listen (Accept=no is needed)\n")
    );
    assert!(!picket.path("picket.db").exists());
}
