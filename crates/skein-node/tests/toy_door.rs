//! A protocol that is nothing like MQTT, added without touching plane or node: lines of JSON, the payload escaped and
//! something behind it, numbers without end, cumulative acknowledgements. It publishes, subscribes and resumes beside MQTT, on
//! two nodes.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed expectation ends the test that stated it")]

#[path = "toy_door/door.rs"]
mod door;

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::Arc,
};

use serde_json::{Value, json};
use skein_door::ListenerSettings;
use skein_node::{
    Node,
    config::{Config, Sources},
};
use skein_testkit::{DEADLINE, RawClient, TestDirectory, free_address, wait_until};

use self::door::ToyDoor;

/// A node and where its doors are.
struct Running {
    node: Node,
    mqtt: SocketAddr,
    toy: SocketAddr,
}

fn start(id: u16, listen: SocketAddr, join: Option<SocketAddr>, dir: &Path) -> Running {
    let join = join.map(|address| format!("join = [\"{address}\"]\n")).unwrap_or_default();
    let text = format!(
        "[node]\nid = {id}\nworkers = 1\n[data]\ndir = {:?}\n[mqtt]\nlisten = \"127.0.0.1:0\"\nws_listen = []\n\
         [http]\nlisten = []\n[cluster]\nlisten = \"{listen}\"\n{join}",
        dir.display()
    );
    let sources = Sources { file: Some(("toy.toml".into(), text)), ..Sources::default() };
    let node = Node::start(Config::load(&sources).unwrap()).unwrap();
    let mqtt = node.addresses().find(|(_, transport, _)| *transport == "tcp").unwrap().2;
    let settings = ListenerSettings { name: "toy".into(), ..ListenerSettings::default() };
    let toy = node.open_door(([127, 0, 0, 1], 0).into(), settings, Arc::new(ToyDoor)).unwrap();
    Running { node, mqtt, toy }
}

/// A client of the toy protocol.
struct Toy(BufReader<TcpStream>);

impl Toy {
    fn connect(address: SocketAddr, name: &str) -> (Self, bool) {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut toy = Self(BufReader::new(stream));
        toy.send(&json!({"hello": name}));
        let present = toy.read()["hello"].as_bool().unwrap();
        (toy, present)
    }

    fn send(&mut self, line: &Value) {
        self.0.get_mut().write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    fn read(&mut self) -> Value {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
    }

    /// Sends a request and reads its answer.
    fn ask(&mut self, line: Value) {
        self.send(&line);
        assert_eq!(self.read(), json!({"ok": line}));
    }
}

fn message(number: u64, topic: &str, data: &str) -> Value {
    json!({"msg": topic, "data": data, "n": number})
}

#[test]
fn a_protocol_of_another_kind_works_beside_mqtt_on_two_nodes() {
    let (one_dir, two_dir) = (TestDirectory::create("toy"), TestDirectory::create("toy"));
    let listens = [free_address(), free_address()];
    let one = start(1, listens[0], None, one_dir.path());
    let two = start(2, listens[1], Some(listens[0]), two_dir.path());
    wait_until("both nodes know each other", DEADLINE, || {
        [&one, &two].iter().all(|running| running.node.cluster().peers().iter().count() == 1)
    });

    // From MQTT on the one to the toy on the other.
    let (mut toy, present) = Toy::connect(two.toy, "reader");
    assert!(!present);
    toy.ask(json!({"sub": "a/#"}));
    let mut mqtt = RawClient::open_v5(one.mqtt, "writer");
    for (number, payload) in ["plain", "quo\"ted", "back\\slash"].iter().enumerate() {
        mqtt.send(&format!("32 [ \"a/b\" {:04x} 00 '{payload}' ]", number + 1));
        mqtt.expect(&format!("40 [ {:04x} ]", number + 1));
    }
    assert_eq!(toy.read(), message(0, "a/b", "plain"));
    assert_eq!(toy.read(), message(1, "a/b", "quo\"ted"));
    assert_eq!(toy.read(), message(2, "a/b", "back\\slash"));

    // Two are acknowledged at once; the third comes again, under its number.
    toy.ask(json!({"ack": 1}));
    drop(toy);
    let (mut toy, present) = Toy::connect(two.toy, "reader");
    assert!(present);
    assert_eq!(toy.read(), message(2, "a/b", "back\\slash"));
    toy.ask(json!({"ack": 2}));

    // From the toy to MQTT on the other node, and to a toy on its own.
    mqtt.send("82 [ 0009 00 \"back/#\" 01 ]");
    mqtt.expect("90 [ 0009 00 01 ]");
    let (mut other, _) = Toy::connect(two.toy, "other");
    other.ask(json!({"sub": "back/+"}));
    toy.ask(json!({"pub": "back/1", "data": "{\"deep\": [1]}"}));
    mqtt.expect("32 [ \"back/1\" 0001 00 '{\"deep\": [1]}' ]");
    assert_eq!(other.read(), message(0, "back/1", "{\"deep\": [1]}"));

    // One client id, one connection, whichever node.
    let (elsewhere, _) = Toy::connect(one.toy, "other");
    assert_eq!(other.read(), json!({"bye": "SessionTakenOver"}));
    drop(elsewhere);
    one.node.stop(DEADLINE);
    two.node.stop(DEADLINE);
}
