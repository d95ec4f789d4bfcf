//! More clients than lanes.

use std::thread;
use std::time::Duration;

use picket::http::Settings;

use super::{Client, settings, start};

/// A lost wake-up left clients waiting until another request happened to come by.
#[test]
fn every_client_gets_a_lane_in_the_end() {
    let server = start(Settings {
        general_lanes_max: 3,
        lane_wait: Duration::from_secs(60),
        ..settings()
    });
    let address = server.local_addr();
    thread::scope(|scope| {
        for _ in 0..200 {
            scope.spawn(move || {
                let mut client = Client::connect(address);
                for _ in 0..5 {
                    assert_eq!(client.get("/later?ms=1").text(), "later");
                    assert_eq!(client.get("/").text(), "ok");
                }
            });
        }
    });
    assert_eq!(server.metrics().requests, 2000);
    assert_eq!(server.metrics().refusals.len(), 0);
    assert!(server.metrics().general_lanes_open <= 3);
}

/// Clients give up at the moment when lanes come free.
#[test]
fn giving_up_loses_no_lane() {
    let server = start(Settings {
        general_lanes_max: 2,
        lane_wait: Duration::from_millis(4),
        ..settings()
    });
    let address = server.local_addr();
    thread::scope(|scope| {
        for _ in 0..30 {
            scope.spawn(move || {
                for _ in 0..20 {
                    let mut client = Client::connect(address);
                    let answer = client.get("/later?ms=1");
                    assert!(matches!(answer.status, 200 | 503), "{answer:?}");
                }
            });
        }
    });
    // Both lanes still serve.
    let mut clients = [Client::connect(address), Client::connect(address)];
    for client in &mut clients {
        client.send("GET /later?ms=100 HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    for client in &mut clients {
        assert_eq!(client.answer().status, 200);
    }
    assert_eq!(server.metrics().lanes_broken, 0);
}

#[test]
fn lanes_open_on_demand_and_no_further() {
    let server = start(Settings {
        general_lanes_max: 5,
        ..settings()
    });
    let before = server.metrics().general_lanes_open;
    let mut clients: Vec<Client> = (0..20)
        .map(|_| Client::connect(server.local_addr()))
        .collect();
    for client in &mut clients {
        client.send("GET /later?ms=50 HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    for client in &mut clients {
        assert_eq!(client.answer().status, 200);
    }
    assert!(before < 5);
    assert_eq!(server.metrics().general_lanes_open, 5);
}
