//! `skein pub`: publishes one message, or each line of the standard input.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read},
    num::NonZeroU16,
    os::fd::AsFd,
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context, bail};
use bytes::{Bytes, BytesMut};
use clap::{ArgGroup, Args};
use skein_node::{
    mqtt_codec::{Ack, ConnAck, PACKET_BYTES_MAX, Packet, Publish, ReasonCode},
    types::{ByteString, QoS, Topic},
};

use crate::{
    mqtt_arguments::ConnectionArgs,
    mqtt_client::{Event, MqttClient, explain},
    output::complain,
};

/// Messages of QoS 1 and 2 on their way at a time: enough to hide the network, few enough for any server.
const WINDOW: usize = 100;
const READ_BYTES: usize = 64 * 1024;

#[derive(Args, Clone, Debug)]
#[command(group = ArgGroup::new("payload").required(true))]
pub(crate) struct PubArgs {
    /// The topic to publish on
    #[arg(short, long, value_parser = topic)]
    topic: Topic,
    /// Publish this text
    #[arg(short, long, group = "payload", value_name = "TEXT", allow_hyphen_values = true)]
    message: Option<String>,
    /// Publish the content of a file
    #[arg(short, long, group = "payload", value_name = "FILE")]
    file: Option<PathBuf>,
    /// Publish each line of the standard input as a message
    #[arg(short = 'l', long, group = "payload")]
    stdin_line: bool,
    /// Publish the whole standard input as one message
    #[arg(short = 's', long, group = "payload")]
    stdin_file: bool,
    /// Publish an empty message; with -r it removes the retained one
    #[arg(short = 'n', long, group = "payload")]
    null_message: bool,
    /// Quality of service: 0, 1 or 2
    #[arg(short, long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    qos: u8,
    /// Retain the message for later subscribers
    #[arg(short, long)]
    retain: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Where messages come from.
enum Input {
    /// One message, or none any more.
    One(Option<Bytes>),
    /// Lines, as they come.
    Lines { source: File, read: BytesMut, scratch: Vec<u8>, is_at_end: bool },
}

struct Publisher {
    client: MqttClient,
    topic: Topic,
    qos: QoS,
    retain: bool,
    window: usize,
    packet_bytes_max: u32,
    last_id: u16,
    in_flight: BTreeSet<NonZeroU16>,
    refused: u64,
}

impl PubArgs {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let mut input = self.input()?;
        let (client, answer) = MqttClient::connect(&self.connection)?;
        let mut publisher = self.publisher(client, &answer)?;
        publisher.publish_all(&mut input)?;
        publisher.client.close()?;
        Ok(if publisher.refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn input(&self) -> anyhow::Result<Input> {
        if self.stdin_line {
            let source = File::from(io::stdin().as_fd().try_clone_to_owned()?);
            let (read, scratch) = (BytesMut::new(), vec![0; READ_BYTES]);
            return Ok(Input::Lines { source, read, scratch, is_at_end: false });
        }
        let message = if let Some(text) = &self.message {
            text.clone().into_bytes()
        } else if let Some(path) = &self.file {
            fs::read(path).with_context(|| format!("cannot read the message from {}", path.display()))?
        } else if self.stdin_file {
            let mut all = Vec::new();
            io::stdin().lock().read_to_end(&mut all).context("cannot read the message")?;
            all
        } else {
            Vec::new()
        };
        Ok(Input::One(Some(message.into())))
    }

    /// Checks what is asked for against what the server has said it takes.
    fn publisher(self, client: MqttClient, answer: &ConnAck) -> anyhow::Result<Publisher> {
        let qos = QoS::from_u8(self.qos).unwrap_or_default();
        let granted = &answer.properties;
        if qos > granted.qos_max {
            let (asked, max) = (self.qos, granted.qos_max as u8);
            bail!("the server takes messages up to QoS {max}, not {asked}. Choose -q {max}");
        }
        if self.retain && !granted.retain_available {
            bail!("the server does not support retained messages. Leave out -r");
        }
        Ok(Publisher {
            client,
            topic: self.topic,
            qos,
            retain: self.retain,
            window: granted.receive_maximum.map_or(WINDOW, |max| WINDOW.min(max.into())),
            packet_bytes_max: granted.packet_bytes_max.unwrap_or(PACKET_BYTES_MAX).min(PACKET_BYTES_MAX),
            last_id: 0,
            in_flight: BTreeSet::new(),
            refused: 0,
        })
    }
}

impl Publisher {
    fn publish_all(&mut self, input: &mut Input) -> anyhow::Result<()> {
        loop {
            while self.in_flight.len() < self.window
                && let Some(payload) = input.take()?
            {
                self.publish(payload)?;
            }
            if input.is_over() && self.in_flight.is_empty() {
                return Ok(());
            }
            let source = if self.in_flight.len() < self.window { input.source() } else { None };
            match self.client.wait(source.map(AsFd::as_fd), None)? {
                Event::Packet(packet) => self.handle(packet)?,
                Event::Input => input.read_some()?,
                Event::Closed | Event::Timeout => bail!(
                    "the server closed the connection; {} messages were sent and not acknowledged",
                    self.in_flight.len()
                ),
            }
        }
    }

    fn publish(&mut self, payload: Bytes) -> anyhow::Result<()> {
        let packet_id = (self.qos != QoS::AtMostOnce).then(|| self.free_id());
        let publish = Publish {
            qos: self.qos,
            retain: self.retain,
            topic: Some(self.topic.clone()),
            packet_id,
            payload,
            ..Publish::default()
        };
        // The header has at most five bytes and this packet one byte of properties at most: what is larger cannot be
        // encoded, so it is refused before its length is asked for.
        let fits = publish.payload.len() < PACKET_BYTES_MAX as usize - self.topic.as_str().len() - 16;
        let packet = Packet::Publish(publish);
        if !fits || packet.encoded_len(self.client.version()) > self.packet_bytes_max as usize {
            bail!(
                "the message is larger than the {} bytes a packet may have on this server. Send a smaller one",
                self.packet_bytes_max
            );
        }
        self.in_flight.extend(packet_id);
        self.client.send(&packet)
    }

    /// A packet id that is not in flight: there are far more ids than the window holds.
    fn free_id(&mut self) -> NonZeroU16 {
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            if let Some(id) = NonZeroU16::new(self.last_id)
                && !self.in_flight.contains(&id)
            {
                return id;
            }
        }
    }

    fn handle(&mut self, packet: Packet) -> anyhow::Result<()> {
        match packet {
            Packet::PubAck(ack) | Packet::PubComp(ack) => self.finish(&ack),
            Packet::PubRec(ack) if ack.reason.is_error() => self.finish(&ack),
            Packet::PubRec(ack) => self.client.send(&Packet::PubRel(Ack::success(ack.packet_id)))?,
            // A session that was kept may have messages for its earlier subscriptions; they wait for `sub`.
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, ack: &Ack) {
        self.in_flight.remove(&ack.packet_id);
        if ack.reason.is_error() && ack.reason != ReasonCode::PacketIdentifierNotFound {
            self.refused += 1;
            let words = ack.properties.as_ref().and_then(|properties| properties.reason_string.as_deref());
            complain(&explain(
                &format!("the server refused a message on {:?}", self.topic.as_str()),
                ack.reason,
                words,
            ));
        }
    }
}

impl Input {
    /// The next message, if there is one already.
    fn take(&mut self) -> anyhow::Result<Option<Bytes>> {
        match self {
            Self::One(message) => Ok(message.take()),
            Self::Lines { read, is_at_end, .. } => {
                if let Some(end) = read.iter().position(|byte| *byte == b'\n') {
                    let mut line = read.split_to(end + 1);
                    line.truncate(end);
                    return Ok(Some(line.freeze()));
                }
                if read.len() > PACKET_BYTES_MAX as usize {
                    bail!("a line of the standard input is longer than a message may be");
                }
                let is_last = *is_at_end && !read.is_empty();
                Ok(is_last.then(|| read.split().freeze()))
            }
        }
    }

    fn is_over(&self) -> bool {
        match self {
            Self::One(message) => message.is_none(),
            Self::Lines { read, is_at_end, .. } => *is_at_end && read.is_empty(),
        }
    }

    /// What to wait for when nothing is there.
    fn source(&self) -> Option<&File> {
        match self {
            Self::One(_) => None,
            Self::Lines { source, is_at_end, .. } => (!is_at_end).then_some(source),
        }
    }

    fn read_some(&mut self) -> anyhow::Result<()> {
        let Self::Lines { source, read, scratch, is_at_end } = self else { return Ok(()) };
        match source.read(scratch).context("cannot read the standard input")? {
            0 => *is_at_end = true,
            count => read.extend_from_slice(scratch.get(..count).unwrap_or_default()),
        }
        Ok(())
    }
}

pub(crate) fn topic(text: &str) -> Result<Topic, String> {
    Topic::new(ByteString::from(text)).map_err(|error| error.to_string())
}
