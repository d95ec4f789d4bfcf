//! The open connections: who may have another, and which one goes when there are too many.
//!
//! A connection waits (for a request's first byte or for the rest of its head) or is busy. Only a waiting one may
//! be closed to make room, the one that has waited longest first; the step from waiting to busy is one
//! compare-and-swap, so a request whose head is complete is never thrown away. An evicted connection leaves the
//! table at once, and its thread follows as soon as it notices that there is nothing more to read; it may still say
//! goodbye.

use std::collections::HashMap;
use std::net::{IpAddr, Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use crate::http::lock;

const WAITING: u8 = 0;
const BUSY: u8 = 1;
const EVICTED: u8 = 2;

/// Who reads an answer for so long may be cut when there is no room for other answers.
const SLOW_READER_MS: u64 = 250;

/// What other threads need of a connection.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) peer: IpAddr,
    number: u64,
    state: AtomicU8,
    /// When it last began to wait, in the table's ticks.
    waiting_since: AtomicU64,
    /// When it began to send an answer that counts against the outbound budget; 0 while it does not.
    sending_since: AtomicU64,
    /// It was closed in the middle of an answer to make room for other answers.
    cut: AtomicBool,
}

/// One IPv4 address or the first 64 bits of an IPv6 one, which is what one customer gets.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum AddressKey {
    V4(u32),
    V6(u64),
}

impl AddressKey {
    fn of(address: IpAddr) -> AddressKey {
        match address.to_canonical() {
            IpAddr::V4(v4) => AddressKey::V4(v4.to_bits()),
            IpAddr::V6(v6) => AddressKey::V6((v6.to_bits() >> 64) as u64),
        }
    }
}

/// Why a connection was not let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refused {
    Full,
    AddressFull,
    Stopped,
}

pub(super) struct Table {
    connections_max: usize,
    per_address_max: usize,
    started: Instant,
    stopped: AtomicBool,
    state: Mutex<State>,
    emptied: Condvar,
}

#[derive(Default)]
struct State {
    connections: HashMap<u64, Listed>,
    addresses: HashMap<AddressKey, usize>,
    next_number: u64,
    /// Threads that serve a connection, evicted ones included.
    threads: usize,
}

struct Listed {
    connection: Arc<Connection>,
    /// None for an address that is not counted.
    address: Option<AddressKey>,
}

/// Keeps a connection in the table; its thread owns it.
pub(super) struct Entry {
    table: Arc<Table>,
    pub(super) connection: Arc<Connection>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut state = lock(&self.table.state);
        state.remove(self.connection.number);
        state.threads -= 1;
        if state.threads == 0 {
            self.table.emptied.notify_all();
        }
    }
}

impl State {
    fn remove(&mut self, number: u64) {
        if let Some(listed) = self.connections.remove(&number) {
            self.count_out(listed.address);
        }
    }

    /// One more of this address. False, and nothing changes, if it has as many as it may.
    fn count_in(&mut self, address: Option<AddressKey>, per_address_max: usize) -> bool {
        let Some(address) = address else {
            return true;
        };
        let held = self.addresses.get(&address).copied().unwrap_or(0);
        let has_room = held < per_address_max;
        if has_room {
            self.addresses.insert(address, held + 1);
        }
        has_room
    }

    fn count_out(&mut self, address: Option<AddressKey>) {
        if let Some(address) = address
            && let Some(count) = self.addresses.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                self.addresses.remove(&address);
            }
        }
    }

    /// Closes the connection that has waited longest, if any waits.
    fn evict(&mut self) -> bool {
        loop {
            let oldest = self
                .connections
                .values()
                .map(|listed| &listed.connection)
                .filter(|c| c.state.load(Ordering::Relaxed) == WAITING)
                .min_by_key(|c| c.waiting_since.load(Ordering::Relaxed))
                .map(|c| c.number);
            let Some(oldest) = oldest else {
                return false;
            };
            // It may have become busy since; then look again.
            if self.evict_one(oldest) {
                return true;
            }
        }
    }

    fn evict_one(&mut self, number: u64) -> bool {
        let Some(Listed { connection, .. }) = self.connections.get(&number) else {
            return false;
        };
        let swapped = connection.state.compare_exchange(
            WAITING,
            EVICTED,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        if swapped.is_err() {
            return false;
        }
        // It fails only if the client is gone already.
        let _ = connection.stream.shutdown(Shutdown::Read);
        self.remove(number);
        true
    }
}

impl Table {
    pub(super) fn new(connections_max: usize, per_address_max: usize) -> Table {
        Table {
            connections_max: connections_max.max(1),
            per_address_max,
            started: Instant::now(),
            stopped: AtomicBool::new(false),
            state: Mutex::default(),
            emptied: Condvar::new(),
        }
    }

    /// Milliseconds since the table exists, from 1.
    fn tick(&self) -> u64 {
        1 + u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX - 1)
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.state).connections.len()
    }

    /// Lets a connection in, if need be in another's place; true if there was another. `counted` says whether its
    /// address has a limit. A refused one comes back open, so that who counts it does so before its client can see it
    /// close.
    pub(super) fn admit(
        self: &Arc<Table>,
        stream: TcpStream,
        peer: IpAddr,
        counted: bool,
    ) -> Result<(Entry, bool), (Refused, TcpStream)> {
        let mut state = lock(&self.state);
        if self.is_stopped() {
            return Err((Refused::Stopped, stream));
        }
        let address = counted.then(|| AddressKey::of(peer));
        if !state.count_in(address, self.per_address_max) {
            return Err((Refused::AddressFull, stream));
        }
        // Threads of evicted connections are on their way out, but a flood of new ones must not outrun them.
        let full = state.connections.len() >= self.connections_max;
        if state.threads >= self.connections_max + 64 || full && !state.evict() {
            state.count_out(address);
            return Err((Refused::Full, stream));
        }
        let number = state.next_number;
        state.next_number += 1;
        let connection = Arc::new(Connection {
            stream,
            peer: peer.to_canonical(),
            number,
            state: AtomicU8::new(WAITING),
            waiting_since: AtomicU64::new(self.tick()),
            sending_since: AtomicU64::new(0),
            cut: AtomicBool::new(false),
        });
        let listed = Listed {
            connection: Arc::clone(&connection),
            address,
        };
        state.connections.insert(number, listed);
        state.threads += 1;
        let entry = Entry {
            table: Arc::clone(self),
            connection,
        };
        Ok((entry, full))
    }

    /// Closes the connection that has waited longest, if any waits.
    pub(super) fn evict(&self) -> bool {
        lock(&self.state).evict()
    }

    /// Closes the connection that has been sending a large answer for longest, if that is longer than a client that
    /// reads would take; never `except`'s.
    pub(super) fn cut_slowest_reader(&self, except: &Connection) -> bool {
        let state = lock(&self.state);
        let slow = self.tick().saturating_sub(SLOW_READER_MS);
        let slowest = state
            .connections
            .values()
            .map(|listed| &listed.connection)
            .filter(|c| c.number != except.number)
            .map(|c| (c.sending_since.load(Ordering::Relaxed), c))
            .filter(|(since, _)| (1..slow).contains(since))
            .min_by_key(|(since, _)| *since);
        let Some((_, connection)) = slowest else {
            return false;
        };
        connection.sending_since.store(0, Ordering::Relaxed);
        connection.cut.store(true, Ordering::Relaxed);
        let _ = connection.stream.shutdown(Shutdown::Both);
        true
    }

    /// Lets nobody in any more and closes all that wait.
    pub(super) fn stop(&self) {
        let mut state = lock(&self.state);
        // Under the lock, so that nobody is let in after the round below.
        self.stopped.store(true, Ordering::Release);
        let numbers: Vec<u64> = state.connections.keys().copied().collect();
        for number in numbers {
            state.evict_one(number);
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// True when the last connection's thread is gone before `deadline`.
    pub(super) fn wait_until_empty(&self, deadline: Instant) -> bool {
        let mut state = lock(&self.state);
        while state.threads > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            (state, _) = self
                .emptied
                .wait_timeout(state, left)
                .unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        true
    }

    /// Closes the sockets of all that are left, whatever they do.
    pub(super) fn close_all(&self) {
        for listed in lock(&self.state).connections.values() {
            let _ = listed.connection.stream.shutdown(Shutdown::Both);
        }
    }
}

impl Entry {
    /// Counts the connection as one of `client`, which its proxy says it is of, instead of the proxy's. False: that
    /// address has as many as it may, and the connection must end.
    pub(super) fn count_as(&self, client: IpAddr, counted: bool) -> bool {
        let mut state = lock(&self.table.state);
        let address = counted.then(|| AddressKey::of(client));
        if !state.count_in(address, self.table.per_address_max) {
            return false;
        }
        let listed = state.connections.get_mut(&self.connection.number);
        // An evicted one is not in the table any more, and counts nowhere.
        let replaced = listed.map_or(address, |l| std::mem::replace(&mut l.address, address));
        state.count_out(replaced);
        true
    }

    /// Whether it was closed to make room, or because the server stops.
    pub(super) fn is_evicted(&self) -> bool {
        self.connection.state.load(Ordering::Acquire) == EVICTED
    }

    /// Whether it was closed for reading an answer slowly.
    pub(super) fn was_cut(&self) -> bool {
        self.connection.cut.load(Ordering::Relaxed)
    }

    /// A head is complete. False: the connection was evicted and must end.
    pub(super) fn become_busy(&self) -> bool {
        self.connection
            .state
            .compare_exchange(WAITING, BUSY, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// The next request may come.
    pub(super) fn become_waiting(&self) {
        let connection = &self.connection;
        connection
            .waiting_since
            .store(self.table.tick(), Ordering::Relaxed);
        connection.state.store(WAITING, Ordering::Release);
    }

    /// Whether a large answer is on its way, for [`Table::cut_slowest_reader`].
    pub(super) fn mark_sending(&self, sending: bool) {
        let since = if sending { self.table.tick() } else { 0 };
        self.connection
            .sending_since
            .store(since, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn stream() -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection")
    }

    fn admit(table: &Arc<Table>, peer: &str) -> Result<(Entry, bool), Refused> {
        table
            .admit(stream(), peer.parse().expect("an address"), true)
            .map_err(|(refused, _)| refused)
    }

    #[test]
    fn an_address_has_a_limit_and_ipv6_counts_by_its_first_half() {
        let table = Arc::new(Table::new(10, 1));
        let first = admit(&table, "2001:db8::1").expect("room");
        assert_eq!(
            admit(&table, "2001:db8::2").err(),
            Some(Refused::AddressFull)
        );
        let _other = admit(&table, "2001:db8:0:1::1").expect("another /64");
        let _v4 = admit(&table, "192.0.2.1").expect("another family");
        assert_eq!(
            admit(&table, "::ffff:192.0.2.1").err(),
            Some(Refused::AddressFull)
        );
        drop(first);
        assert!(admit(&table, "2001:db8::2").is_ok());
    }

    #[test]
    fn a_connection_of_a_proxy_counts_for_whom_it_is_of() {
        let table = Arc::new(Table::new(10, 1));
        let proxied = || {
            let admitted = table.admit(stream(), "192.0.2.1".parse().expect("an address"), false);
            admitted.map_err(|_| "refused").expect("room").0
        };
        let client: IpAddr = "203.0.113.9".parse().expect("an address");
        let (first, second) = (proxied(), proxied());
        assert!(first.count_as(client, true));
        assert!(!second.count_as(client, true));
        assert!(second.count_as(client, false));
        drop(first);
        let third = proxied();
        assert!(third.count_as(client, true));
        drop((second, third));
        assert!(lock(&table.state).addresses.is_empty());
    }

    #[test]
    fn the_longest_waiting_goes_and_a_busy_one_stays() {
        let table = Arc::new(Table::new(2, 10));
        let (busy, _) = admit(&table, "192.0.2.1").expect("room");
        assert!(busy.become_busy());
        let (waiting, _) = admit(&table, "192.0.2.2").expect("room");
        let (third, evicted) = admit(&table, "192.0.2.3").expect("the waiting one's place");
        assert!(evicted);
        assert!(!waiting.become_busy());
        assert!(third.become_busy());
        assert_eq!(admit(&table, "192.0.2.4").err(), Some(Refused::Full));
        busy.become_waiting();
        assert!(admit(&table, "192.0.2.4").is_ok());
    }
}
