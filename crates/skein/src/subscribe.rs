//! `skein sub`: prints the messages of one or more filters.

use std::{
    collections::BTreeSet,
    num::NonZeroU16,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::bail;
use clap::Args;
use skein_node::{
    mqtt_codec::{Ack, Packet, Publish, ReasonCode, SubAck, Subscribe, SubscribeItem},
    types::{QoS, SubscriptionFilter},
};

use crate::{
    mqtt_arguments::ConnectionArgs,
    mqtt_client::{Event, MqttClient, explain},
    output::{complain, print_bytes},
};

/// What mosquitto_sub ends with when -W is over; scripts look at it.
const TIMED_OUT: u8 = 27;
const SUBSCRIBE_ID: NonZeroU16 = NonZeroU16::MIN;

#[derive(Args, Clone, Debug)]
pub(crate) struct SubArgs {
    /// Topic filter to subscribe to; may be repeated
    #[arg(short, long = "topic", required = true, value_name = "FILTER", value_parser = filter)]
    topics: Vec<SubscriptionFilter>,
    /// Maximum QoS of the subscription: 0, 1 or 2
    #[arg(short, long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    qos: u8,
    /// Print the topic before each message
    #[arg(short, long)]
    verbose: bool,
    /// Do not print a newline after each message
    #[arg(short = 'N')]
    no_newline: bool,
    /// Do not print messages that were retained before the subscription
    #[arg(short = 'R', long)]
    no_retained: bool,
    /// Exit after this many messages
    #[arg(short = 'C', value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Exit after this many seconds, with code 27
    #[arg(short = 'W', value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    wait: Option<u32>,
    #[command(flatten)]
    connection: ConnectionArgs,
}

struct Subscriber {
    client: MqttClient,
    arguments: SubArgs,
    printed: u64,
    /// Messages of QoS 2 that were printed and may come again until they are released (MQTT-4.3.3-10).
    received: BTreeSet<NonZeroU16>,
}

impl SubArgs {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let until = self.wait.map(|seconds| Instant::now() + Duration::from_secs(seconds.into()));
        let (client, _) = MqttClient::connect(&self.connection)?;
        let mut subscriber = Subscriber { client, arguments: self, printed: 0, received: BTreeSet::new() };
        subscriber.subscribe()?;
        let code = subscriber.print_all(until)?;
        subscriber.client.close()?;
        Ok(code)
    }
}

impl Subscriber {
    fn subscribe(&mut self) -> anyhow::Result<()> {
        let qos = QoS::from_u8(self.arguments.qos).unwrap_or_default();
        let filters = self.arguments.topics.iter();
        let items = filters.map(|filter| SubscribeItem::new(filter.clone(), qos)).collect();
        let subscribe = Subscribe { packet_id: SUBSCRIBE_ID, subscription_id: None, user: Vec::new(), items };
        self.client.send(&Packet::Subscribe(Box::new(subscribe)))
    }

    fn print_all(&mut self, until: Option<Instant>) -> anyhow::Result<ExitCode> {
        loop {
            match self.client.wait(None, until)? {
                Event::Packet(Packet::Publish(publish)) => {
                    self.take(&publish)?;
                    if self.arguments.count == Some(self.printed) {
                        return Ok(ExitCode::SUCCESS);
                    }
                }
                Event::Packet(Packet::PubRel(release)) => {
                    self.received.remove(&release.packet_id);
                    self.client.send(&Packet::PubComp(Ack::success(release.packet_id)))?;
                }
                Event::Packet(Packet::SubAck(answer)) => self.check(&answer)?,
                Event::Packet(_) | Event::Input => {}
                Event::Timeout => return Ok(ExitCode::from(TIMED_OUT)),
                Event::Closed => bail!("the server closed the connection"),
            }
        }
    }

    /// A message is acknowledged once it is printed: what could not be printed comes again to a session that is kept.
    fn take(&mut self, publish: &Publish) -> anyhow::Result<()> {
        let is_repeated =
            publish.qos == QoS::ExactlyOnce && publish.packet_id.is_some_and(|id| !self.received.insert(id));
        let is_left_out = self.arguments.no_retained && publish.retain;
        if !is_repeated && !is_left_out {
            self.print(publish)?;
        }
        match (publish.qos, publish.packet_id) {
            (QoS::AtLeastOnce, Some(id)) => self.client.send(&Packet::PubAck(Ack::success(id))),
            (QoS::ExactlyOnce, Some(id)) => self.client.send(&Packet::PubRec(Ack::success(id))),
            _ => Ok(()),
        }
    }

    fn print(&mut self, publish: &Publish) -> anyhow::Result<()> {
        let mut line = Vec::with_capacity(publish.payload.len() + 64);
        if self.arguments.verbose {
            line.extend_from_slice(publish.topic.as_deref().unwrap_or_default().as_bytes());
            line.push(b' ');
        }
        line.extend_from_slice(&publish.payload);
        if !self.arguments.no_newline {
            line.push(b'\n');
        }
        self.printed += 1;
        print_bytes(&line)
    }

    fn check(&self, answer: &SubAck) -> anyhow::Result<()> {
        let words = answer.properties.as_ref().and_then(|properties| properties.reason_string.as_deref());
        let pairs = self.arguments.topics.iter().zip(&answer.reasons);
        let refused: Vec<(&SubscriptionFilter, &ReasonCode)> =
            pairs.filter(|(_, reason)| reason.is_error()).collect();
        for (filter, reason) in &refused {
            complain(&explain(
                &format!("the server refused to subscribe to {:?}", filter.to_string()),
                **reason,
                words,
            ));
        }
        if refused.len() == self.arguments.topics.len() {
            bail!("nothing is left to wait for");
        }
        Ok(())
    }
}

fn filter(text: &str) -> Result<SubscriptionFilter, String> {
    SubscriptionFilter::new(text).map_err(|error| error.to_string())
}
