//! The one timer of a connection: connect timeout, keep alive, and whether a blocked client still reads.

use skein_types::{Code, Moment};
use tokio::time::Instant;

use super::{Connection, closing::End};

/// What a client is told that is closed for not reading.
const SLOW_CONSUMER: &str = "the client does not read what is sent to it";

impl Connection {
    /// When something is due if nothing happens: the end of the connect timeout, the keep alive, or a look at whether
    /// a blocked client still takes anything.
    fn due(&self) -> Option<Moment> {
        if self.mqtt.handle().is_none() {
            return Some(self.connected_at.after(self.mqtt.settings().listener.connect_timeout));
        }
        let keep_alive = self.mqtt.keep_alive().map(|limit| self.last_heard.after(limit));
        let blocked = self
            .is_blocked()
            .then(|| self.shared.clock.now().after(self.mqtt.settings().session.slow_consumer_timeout / 2));
        keep_alive.into_iter().chain(blocked).min()
    }

    fn is_blocked(&self) -> bool {
        self.blocked || self.io.has_pending()
    }

    /// Sets the timer for what is due next. It is not moved with every packet: when it fires early it is set anew.
    pub(super) fn set_timer(&mut self) {
        let Some(due) = self.due() else {
            self.timer = None;
            return;
        };
        let deadline = Instant::now() + self.shared.clock.until(due);
        match &mut self.timer {
            Some(timer) => timer.as_mut().reset(deadline),
            None => self.timer = Some(Box::pin(tokio::time::sleep_until(deadline))),
        }
    }

    /// The timer fired while the client is not read: nothing can be due by its silence, only by its not reading.
    pub(super) fn put_off_timer(&mut self) -> Result<(), End> {
        let now = self.shared.clock.now();
        self.timer = None;
        if let Some(handle) = self.mqtt.handle() {
            if handle.is_slow_consumer(now) {
                return Err(self.close(Code::SlowConsumer, SLOW_CONSUMER));
            }
            self.last_heard = now;
            self.set_timer();
        }
        Ok(())
    }

    pub(super) fn timed_out(&mut self) -> Result<(), End> {
        let now = self.shared.clock.now();
        let Some(handle) = self.mqtt.handle() else {
            if now >= self.connected_at.after(self.mqtt.settings().listener.connect_timeout) {
                return Err(
                    self.close(Code::ConnectTimeout, "the client was not let in within the connect timeout")
                );
            }
            self.set_timer();
            return Ok(());
        };
        let progressed = self.io.take_progress();
        if handle.is_slow_consumer(now) && !progressed {
            return Err(self.close(Code::SlowConsumer, SLOW_CONSUMER));
        }
        // MQTT-3.1.2-22.
        if self.mqtt.keep_alive().is_some_and(|limit| self.last_heard.after(limit) <= now) {
            return Err(
                self.close(Code::KeepAliveTimeout, "nothing received within 1.5 times the keep alive")
            );
        }
        self.set_timer();
        Ok(())
    }
}
