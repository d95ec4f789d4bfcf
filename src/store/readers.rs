//! Connections for reading, lent out one at a time and taken back. There are as many as were ever lent at
//! once: the number of workers bounds it.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;

use super::connection;
use crate::domain::Result;

pub(crate) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(crate) fn new(path: &Path) -> Readers {
        Readers {
            path: path.to_owned(),
            idle: Mutex::new(Vec::new()),
        }
    }

    /// # Errors
    /// The file could not be opened once more.
    pub(crate) fn lend(&self) -> Result<Reader<'_>> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let connection = match idle {
            Some(connection) => connection,
            None => connection::open_for_reading(&self.path)?,
        };
        #[cfg(test)]
        let connection = statements::counted(connection)?;
        Ok(Reader {
            readers: self,
            connection: Some(connection),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn close(&self) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

/// A lent connection.
pub(crate) struct Reader<'a> {
    readers: &'a Readers,
    /// None only while it is being dropped.
    connection: Option<Connection>,
}

impl Deref for Reader<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
            .as_ref()
            .expect("a reader keeps its connection until it is dropped")
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.readers
                .idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(connection);
        }
    }
}

/// How many statements lent connections ran on this thread.
#[cfg(test)]
pub(crate) mod statements {
    use std::cell::Cell;

    use rusqlite::Connection;
    use rusqlite::trace::{TraceEvent, TraceEventCodes};

    thread_local! {
        static RUN: Cell<u64> = const { Cell::new(0) };
    }

    pub(crate) fn run_here() -> u64 {
        RUN.get()
    }

    pub(super) fn counted(mut connection: Connection) -> rusqlite::Result<Connection> {
        let count = |_: TraceEvent<'_>| RUN.set(RUN.get() + 1);
        connection.trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(count))?;
        Ok(connection)
    }
}
