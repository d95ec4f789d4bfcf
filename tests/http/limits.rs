//! What a client may take, and what it gets when it takes more.

use std::time::Duration;

use picket::http::Settings;

use super::{Client, ask, settings, start, until};

#[test]
fn an_idle_connection_is_closed() {
    let server = start(Settings {
        idle_timeout: Duration::from_millis(100),
        ..settings()
    });
    let mut client = Client::connect(server.local_addr());
    assert_eq!(client.get("/").status, 200);
    assert!(client.is_closed());
    assert!(Client::connect(server.local_addr()).is_closed());
}

#[test]
fn a_slow_head_is_refused_however_steadily_it_comes() {
    let server = start(Settings {
        head_timeout: Duration::from_millis(300),
        ..settings()
    });
    let mut client = Client::connect(server.local_addr());
    client.send("GET / HTTP/1.1\r\n");
    for _ in 0..50 {
        client.send("A: b\r\n");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(client.answer().status, 408);
}

#[test]
fn a_slow_body_is_refused_and_one_of_the_minimum_rate_is_not() {
    let server = start(Settings {
        body_grace: Duration::from_millis(200),
        ..settings()
    });
    let head = "POST /ingest/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n";
    let mut slow = Client::connect(server.local_addr());
    slow.send(head);
    for _ in 0..50 {
        slow.send("a");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(slow.answer().status, 408);
    let mut steady = Client::connect(server.local_addr());
    steady.send(head);
    for _ in 0..20 {
        steady.send([b'a'; 1000]);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(steady.answer().status, 200);
}

#[test]
fn an_address_gets_so_many_connections_unless_it_is_loopback_by_default() {
    let server = start(Settings {
        per_address_max: 3,
        ..settings()
    });
    let mut clients: Vec<Client> = Vec::new();
    for _ in 0..3 {
        let mut client = Client::connect(server.local_addr());
        assert_eq!(client.get("/").status, 200);
        clients.push(client);
    }
    assert!(Client::connect(server.local_addr()).is_closed());
    assert_eq!(server.metrics().connections_refused, 1);
    drop(clients);
    until(|| server.metrics().connections_open == 0);
    assert_eq!(ask(&server, "GET / HTTP/1.0\r\n\r\n").status, 200);

    let server = start(settings());
    let mut clients: Vec<Client> = (0..100)
        .map(|_| Client::connect(server.local_addr()))
        .collect();
    for client in &mut clients {
        assert_eq!(client.get("/").status, 200);
    }
}

#[test]
fn a_new_connection_takes_the_place_of_the_longest_idle() {
    let server = start(Settings {
        connections_max: 3,
        ..settings()
    });
    let mut busy = Client::connect(server.local_addr());
    busy.send("GET /later?ms=500 HTTP/1.1\r\nHost: x\r\n\r\n");
    until(|| server.metrics().requests >= 1);
    let mut first = Client::connect(server.local_addr());
    assert_eq!(first.get("/").status, 200);
    std::thread::sleep(Duration::from_millis(20));
    let mut second = Client::connect(server.local_addr());
    assert_eq!(second.get("/").status, 200);
    let mut third = Client::connect(server.local_addr());
    assert_eq!(third.get("/").status, 200);
    assert!(first.is_closed());
    assert_eq!(second.get("/").status, 200);
    assert_eq!(busy.answer().text(), "later");
    assert_eq!(server.metrics().connections_evicted, 1);
}

#[test]
fn without_a_lane_in_time_a_client_is_told_to_come_back() {
    let server = start(Settings {
        general_lanes_max: 1,
        lane_wait: Duration::from_millis(50),
        ..settings()
    });
    let mut first = Client::connect(server.local_addr());
    first.send("GET /later?ms=1000 HTTP/1.1\r\nHost: x\r\n\r\n");
    until(|| server.metrics().requests >= 1);
    let answer = ask(&server, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(answer.status, 503);
    assert!(answer.header("Retry-After").is_some());
    let other_set = ask(&server, "GET /ingest/echo HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(other_set.status, 200);
    assert_eq!(first.answer().text(), "later");
    assert_eq!(first.get("/").status, 200);
}

#[test]
fn bodies_go_to_files_when_memory_is_full_and_are_refused_when_all_is() {
    let server = start(Settings {
        inbound_bytes_max: 300_000,
        inbound_memory_bytes_max: 100_000,
        ..settings()
    });
    let post = |bytes: usize| {
        let head = format!("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {bytes}\r\n\r\n");
        [head.into_bytes(), vec![b'a'; bytes]].concat()
    };
    let small = ask(&server, post(90_000));
    assert!(small.text().contains("\nmemory\naaa"));
    let spooled = ask(&server, post(200_000));
    assert!(spooled.text().contains("\nfile\naaa"));
    let refused = ask(&server, post(400_000));
    assert_eq!(refused.status, 503);
    assert!(refused.header("Retry-After").is_some());
    assert_eq!(ask(&server, post(290_000)).status, 200);
}

#[test]
fn a_spool_directory_that_is_gone_is_no_reason_to_die() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = start(Settings {
        spool_dir: directory.path().join("missing"),
        ..settings()
    });
    let head = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n";
    let request = [head.as_bytes(), &vec![b'a'; 2_000_000]].concat();
    assert_eq!(ask(&server, request).status, 503);
    assert_eq!(ask(&server, "GET / HTTP/1.0\r\n\r\n").status, 200);
}

#[test]
fn a_client_that_does_not_read_is_cut_and_others_are_not() {
    let server = start(Settings {
        send_timeout: Duration::from_millis(300),
        ..settings()
    });
    let mut deaf = Client::connect(server.local_addr());
    deaf.send("GET /large?bytes=50000000 HTTP/1.1\r\nHost: x\r\n\r\n");
    until(|| {
        let mut good = Client::connect(server.local_addr());
        assert_eq!(good.get("/large?bytes=100000").body.len(), 100_000);
        server.metrics().slow_readers_cut == 1
    });
}

#[test]
fn who_reads_slowly_makes_room_for_other_answers() {
    let server = start(Settings {
        outbound_bytes_max: 300_000,
        ..settings()
    });
    let mut deaf: Vec<Client> = (0..3)
        .map(|_| Client::connect(server.local_addr()))
        .collect();
    for client in &mut deaf {
        // More than the sockets hold.
        let request = "GET /large?bytes=200000 HTTP/1.1\r\nHost: x\r\n\r\n";
        client.send(request.repeat(100));
    }
    until(|| server.metrics().slow_readers_cut >= 2);
    let mut good = Client::connect(server.local_addr());
    assert_eq!(good.get("/large?bytes=200000").body.len(), 200_000);
    assert!(good.get("/").status == 200);
}

#[test]
fn an_answer_without_room_is_refused_and_costs_no_lane() {
    let server = start(Settings {
        outbound_bytes_max: 100_000,
        general_lanes_max: 1,
        ..settings()
    });
    for bytes in [150_000, 250_000, 5_000_000] {
        let target = format!("/large?bytes={bytes}");
        let mut client = Client::connect(server.local_addr());
        let answer = client.get(&target);
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (503, "The server is busy")
        );
        assert!(answer.header("Retry-After").is_some());
        assert!(client.is_closed());
        // Nobody knows what it did, so nobody says that it failed.
        let mut post = Client::connect(server.local_addr());
        post.send(format!(
            "POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
        ));
        assert!(post.is_closed());
        let mut head = Client::connect(server.local_addr());
        head.send(format!("HEAD {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let head = head.head().expect("a head");
        assert!(head.contains(&format!("Content-Length: {bytes}")), "{head}");
    }
    assert_eq!(server.metrics().lanes_broken, 0);
}

#[test]
fn a_trusted_proxy_names_the_client() {
    let server = start(Settings {
        trusted_proxies: vec!["127.0.0.0/8".parse().expect("a range")],
        ..settings()
    });
    let request = "GET /echo HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 1.1.1.1, 203.0.113.9\r\n\r\n";
    assert!(ask(&server, request).text().contains(" peer 203.0.113.9 "));
}
