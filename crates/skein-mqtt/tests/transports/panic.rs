//! A panic in one connection's task: that connection ends, its session is left in order, everybody else goes on.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use skein_door::Transport;
use skein_testkit::{DEADLINE, wait_until};
use skein_types::ClientId;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use crate::{
    client::{Client, publish, within_deadline},
    server::Server,
};

/// A stream that panics at the first read after it was told to.
struct Trap {
    stream: DuplexStream,
    armed: Arc<AtomicBool>,
}

impl AsyncRead for Trap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        assert!(!self.armed.load(Relaxed), "the trap of this test");
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Trap {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn a_panic_ends_its_own_connection_only() {
    let server = Server::start(Transport::Tcp);
    // On the same thread and runtime, so that whatever the panic left behind would reach this one.
    let (theirs, ours) = tokio::io::duplex(1000);
    let _served = tokio::spawn(server.serve(Box::new(theirs)));
    let mut bystander = Client::open(ours, "bystander").await;
    bystander.subscribe("a").await;

    let armed = Arc::new(AtomicBool::new(false));
    let (theirs, ours) = tokio::io::duplex(1000);
    let trap = Box::new(Trap { stream: theirs, armed: armed.clone() });
    let broken = tokio::spawn(server.serve(trap));
    let mut victim = Client::open(ours, "victim").await;
    victim.subscribe("a").await;
    armed.store(true, Relaxed);
    victim.send(&publish("b", b"wakes the server up")).await;
    assert!(within_deadline(broken).await.unwrap_err().is_panic());

    assert_eq!(server.state.open.load(Relaxed), 1);
    wait_until("the victim's session is gone", DEADLINE, || {
        server.shared.plane.sessions().get(&ClientId::new("victim")).is_none()
    });
    bystander.echo("a", b"still here").await;
    assert_eq!(server.shared.plane.matcher().subscriptions(), 1);
}
