//! Webhooks: web addresses that are told of nodes that come and go.
//!
//! Each has a thread and a bounded queue of its own, so that one that does not answer holds up neither the node nor the
//! others. What does not get through after a few tries is dropped and said to be so in the log.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use parking_lot::{Condvar, Mutex};

use crate::config::url_without_password;

/// Events that wait for one address; the oldest goes when there are more.
const QUEUE_MAX: usize = 256;
/// How often an event is sent before it is given up.
const TRIES: u32 = 5;
/// The pause after the first try that failed; twice as long after each further one.
const PAUSE: Duration = Duration::from_millis(250);
/// How long one try may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The webhooks of a node.
#[derive(Debug, Default)]
pub(crate) struct Webhooks {
    hooks: Mutex<Vec<Arc<Hook>>>,
}

struct Hook {
    url: String,
    /// The same as logs show it.
    shown: String,
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    events: VecDeque<Arc<str>>,
    dropped: u64,
    closed: bool,
}

impl std::fmt::Debug for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hook").field("url", &self.shown).finish_non_exhaustive()
    }
}

impl Webhooks {
    /// Tells these addresses from now on and no others. What waits for one that stays is still sent.
    pub(crate) fn set(&self, urls: &[String]) {
        let mut hooks = self.hooks.lock();
        hooks.retain(|hook| {
            let stays = urls.contains(&hook.url);
            if !stays {
                hook.close();
            }
            stays
        });
        for url in urls {
            if hooks.iter().any(|hook| hook.url == *url) {
                continue;
            }
            let hook = Arc::new(Hook {
                shown: url_without_password(url).unwrap_or_default(),
                url: url.clone(),
                waiting: Mutex::default(),
                changed: Condvar::new(),
            });
            let own = hook.clone();
            match std::thread::Builder::new().name("webhook".to_owned()).spawn(move || own.run()) {
                Ok(_ends_when_closed) => hooks.push(hook),
                Err(error) => {
                    tracing::error!(url = hook.shown, %error, "cluster: cannot start the thread of a webhook; it gets no notifications")
                }
            }
        }
    }

    /// Has every address told.
    pub(crate) fn tell(&self, body: &Arc<str>) {
        for hook in self.hooks.lock().iter() {
            hook.push(body.clone());
        }
    }
}

impl Drop for Webhooks {
    fn drop(&mut self) {
        self.set(&[]);
    }
}

impl Hook {
    fn push(&self, body: Arc<str>) {
        let mut waiting = self.waiting.lock();
        if waiting.events.len() >= QUEUE_MAX {
            waiting.events.pop_front();
            waiting.dropped += 1;
        }
        waiting.events.push_back(body);
        self.changed.notify_all();
    }

    fn close(&self) {
        self.waiting.lock().closed = true;
        self.changed.notify_all();
    }

    fn run(&self) {
        let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(Some(TIMEOUT)).build().into();
        while let Some(body) = self.next() {
            self.send(&agent, &body);
        }
    }

    fn next(&self) -> Option<Arc<str>> {
        let mut waiting = self.waiting.lock();
        loop {
            if waiting.dropped > 0 {
                let dropped = std::mem::take(&mut waiting.dropped);
                tracing::warn!(
                    url = self.shown,
                    dropped,
                    "cluster: a webhook is too slow; notifications are dropped"
                );
            }
            if waiting.closed {
                return None;
            }
            if let Some(body) = waiting.events.pop_front() {
                return Some(body);
            }
            self.changed.wait(&mut waiting);
        }
    }

    fn send(&self, agent: &ureq::Agent, body: &str) {
        let mut pause = PAUSE;
        for attempt in 1..=TRIES {
            let sent = agent.post(&self.url).header("content-type", "application/json").send(body);
            match sent {
                Ok(_) => return,
                Err(error) if attempt == TRIES => {
                    tracing::warn!(url = self.shown, %error, tries = TRIES, "cluster: a webhook cannot be reached");
                }
                Err(error) => {
                    tracing::debug!(url = self.shown, %error, attempt, "cluster: a webhook did not answer")
                }
            }
            if attempt < TRIES && self.is_closed_within(pause) {
                return;
            }
            pause *= 2;
        }
    }

    fn is_closed_within(&self, pause: Duration) -> bool {
        let mut waiting = self.waiting.lock();
        self.changed.wait_while_for(&mut waiting, |waiting| !waiting.closed, pause);
        waiting.closed
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
    };

    use super::*;

    /// Answers one request with `status`; its body.
    fn answer(listener: &TcpListener, status: &str) -> String {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(skein_testkit::DEADLINE)).unwrap();
        let mut request = Vec::new();
        let mut chunk = [0; 1024];
        loop {
            let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                if length.is_some_and(|length| body.len() >= length.trim().parse().unwrap()) {
                    break;
                }
            }
            let read = stream.read(&mut chunk).unwrap();
            assert!(read > 0, "the request is whole: {request:?}");
            request.extend_from_slice(&chunk[..read]);
        }
        let close = "content-length: 0\r\nconnection: close";
        stream.write_all(format!("HTTP/1.1 {status}\r\n{close}\r\n\r\n").as_bytes()).unwrap();
        let text = String::from_utf8(request).unwrap();
        assert!(text.starts_with("POST /nodes HTTP/1.1\r\n"), "{text}");
        text.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    fn server() -> (TcpListener, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/nodes", listener.local_addr().unwrap());
        (listener, url)
    }

    #[test]
    fn an_event_is_sent_again_until_it_is_taken() {
        let (listener, url) = server();
        let hooks = Webhooks::default();
        hooks.set(&[url]);
        hooks.tell(&Arc::from("{\"n\":1}"));
        hooks.tell(&Arc::from("{\"n\":2}"));
        assert_eq!(answer(&listener, "503 Busy"), "{\"n\":1}");
        assert_eq!(answer(&listener, "200 OK"), "{\"n\":1}");
        assert_eq!(answer(&listener, "204 No Content"), "{\"n\":2}");
    }

    #[test]
    fn one_that_never_answers_holds_nobody_up() {
        let (silent, silent_url) = server();
        let (listener, url) = server();
        let hooks = Webhooks::default();
        hooks.set(&[silent_url, url.clone()]);
        for number in 0..1000 {
            hooks.tell(&Arc::from(number.to_string()));
        }
        // The newest come; of the others as many as the address was quick enough for.
        loop {
            if answer(&listener, "200 OK") == "999" {
                break;
            }
        }
        let waits = |hook: &Arc<Hook>| hook.waiting.lock().events.len();
        assert!(hooks.hooks.lock().iter().map(waits).sum::<usize>() <= QUEUE_MAX);
        // An address that is not named any more is told of nothing more.
        hooks.set(&[url]);
        assert_eq!(hooks.hooks.lock().len(), 1);
        drop(silent);
    }

    #[test]
    fn what_is_never_taken_is_given_up() {
        let (listener, url) = server();
        let hooks = Webhooks::default();
        hooks.set(&[url]);
        hooks.tell(&Arc::from("1"));
        hooks.tell(&Arc::from("2"));
        let bodies: String = (0..TRIES).map(|_| answer(&listener, "500 No")).collect();
        assert_eq!((&*bodies, &*answer(&listener, "200 OK")), ("11111", "2"));
    }
}
