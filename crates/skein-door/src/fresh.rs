//! Connections that have no session yet, so that a server that stops need not wait for their connect timeout.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use skein_plane::{Outbox, TaskHandle};
use skein_types::Code;

/// The handles of connections between accept and CONNECT.
#[derive(Debug, Default)]
pub struct Fresh {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// By address: a handle has no other name.
    handles: HashMap<usize, Weak<TaskHandle>>,
    closed: bool,
}

impl Fresh {
    /// Notes a connection; it is told at once when the server stops already.
    pub fn enter(&self, handle: &Arc<TaskHandle>) {
        let mut inner = self.inner.lock();
        if inner.closed {
            handle.close(Code::ServerShuttingDown, Outbox::default());
        } else {
            inner.handles.insert(address(handle), Arc::downgrade(handle));
        }
    }

    /// Forgets a connection: it has a session now, or has ended.
    pub fn leave(&self, handle: &Arc<TaskHandle>) {
        self.inner.lock().handles.remove(&address(handle));
    }

    /// Tells everyone noted to end, and everyone who comes later.
    pub(crate) fn close(&self) {
        let handles = {
            let mut inner = self.inner.lock();
            inner.closed = true;
            std::mem::take(&mut inner.handles)
        };
        for handle in handles.values().filter_map(Weak::upgrade) {
            handle.close(Code::ServerShuttingDown, Outbox::default());
        }
    }
}

fn address(handle: &Arc<TaskHandle>) -> usize {
    Arc::as_ptr(handle).addr()
}
