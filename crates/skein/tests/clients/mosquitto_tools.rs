//! mosquitto_pub, mosquitto_sub and mosquitto_rr as clients, over TCP and TLS, in MQTT 3.1, 3.1.1
//! and 5. (Debian builds them without WebSocket.)

use std::fs::File;
use std::process::{Command, Stdio};

use skein_testkit::{Broker, BrokerOptions, Server};

use crate::{Program, Transport, with_a_user};

/// How one of the tools reaches the broker.
struct Tools {
    broker: Broker,
    transport: Transport,
    version: &'static str,
}

impl Tools {
    fn new(transport: Transport, version: &'static str) -> Self {
        Self { broker: Program::chosen().start(&BrokerOptions::default()), transport, version }
    }

    fn is_v5(&self) -> bool {
        self.version == "mqttv5"
    }

    fn command(&self, tool: &str) -> Command {
        // Without a terminal the tools keep what they write until their buffer is full. stdbuf
        // becomes the tool, so the process id is the tool's.
        let mut command = Command::new("stdbuf");
        command.args(["-oL", tool]);
        command.args(["-h", "127.0.0.1", "-p", &self.transport.port(&self.broker).to_string()]);
        command.args(["-V", self.version]);
        if self.transport == Transport::Tls {
            command.arg("--cafile").arg(&self.broker.certificates.ca_file);
        }
        command
    }

    /// A mosquitto_sub that has its SUBACK; it writes topic, QoS, retain flag and payload of each message.
    fn subscriber(&self, arguments: &[&str]) -> Server {
        let mut command = self.command("mosquitto_sub");
        command.args(["-d", "-F", "got %t %q %r %p"]).args(arguments);
        let subscriber = Server::start("mosquitto_sub", &mut command);
        subscriber.wait_for_line("Subscribed (mid");
        subscriber
    }

    fn publish(&self, topic: &str, arguments: &[&str]) {
        succeeds(self.command("mosquitto_pub").args(["-t", topic]).args(arguments));
    }
}

/// Runs a tool to its end and returns what it wrote.
fn succeeds(command: &mut Command) -> String {
    let output =
        command.stdin(Stdio::null()).output().expect("`cargo xtask setup` installs mosquitto-clients");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// What a subscriber wrote about messages, in order.
fn received(subscriber: &Server) -> Vec<String> {
    subscriber.lines().into_iter().filter(|line| line.starts_with("got ")).collect()
}

fn every_scenario(transport: Transport, version: &'static str) {
    let tools = Tools::new(transport, version);
    every_quality_of_service(&tools);
    retained_set_replace_delete(&tools);
    will_on_kill(&tools);
    session_resume(&tools);
    large_payload(&tools);
    ordered_burst(&tools);
    request_response(&tools);
    if tools.is_v5() {
        properties_and_expiry(&tools);
        shared_subscription(&tools);
    }
}

fn every_quality_of_service(tools: &Tools) {
    for granted in ["0", "1", "2"] {
        let topic = format!("qos/{granted}");
        let subscriber = tools.subscriber(&["-t", &topic, "-q", granted]);
        let mut next = 0;
        for sent in ["0", "1", "2"] {
            tools.publish(&topic, &["-q", sent, "-m", "text"]);
            let qos = granted.min(sent);
            (next, _) = subscriber.wait_for_line_from(next, "got ");
            assert_eq!(received(&subscriber).last().unwrap(), &format!("got {topic} {qos} 0 text"));
        }
    }
}

fn retained_set_replace_delete(tools: &Tools) {
    let once = ["-C", "1", "-W", "20", "-t", "retained", "-F", "%r %p"];
    for text in ["first", "second"] {
        tools.publish("retained", &["-r", "-q", "1", "-m", text]);
        let got = succeeds(tools.command("mosquitto_sub").args(once));
        assert_eq!(got.trim(), format!("1 {text}"));
    }
    tools.publish("retained", &["-r", "-q", "1", "-n"]);
    let after = tools.subscriber(&["-t", "retained"]);
    tools.publish("retained", &["-m", "live"]);
    after.wait_for_line("got ");
    assert_eq!(received(&after), ["got retained 0 0 live"]);
}

fn will_on_kill(tools: &Tools) {
    let observer = tools.subscriber(&["-t", "will"]);
    let will = ["-t", "other", "--will-topic", "will", "--will-qos", "1", "--will-payload"];
    let mut polite = tools.subscriber(&[&will[..], &["terminated"]].concat());
    polite.terminate();
    let mut killed = tools.subscriber(&[&will[..], &["killed"]].concat());
    killed.kill();
    observer.wait_for_line("got will 0 0 killed");
    // On SIGTERM mosquitto_sub sends a DISCONNECT, in MQTT 5 with reason 0x04 "with will message".
    let polite_wills: &[&str] = if tools.is_v5() { &["got will 0 0 terminated"] } else { &[] };
    assert_eq!(received(&observer), [polite_wills, &["got will 0 0 killed"]].concat());
}

fn session_resume(tools: &Tools) {
    let mut session = vec!["-c", "-i", "resumes", "-q", "2", "-t", "session/+"];
    if tools.is_v5() {
        session.extend(["-x", "300"]);
    }
    succeeds(tools.command("mosquitto_sub").args(&session).arg("-E"));
    for (qos, text) in [("1", "one"), ("2", "two")] {
        tools.publish(&format!("session/{qos}"), &["-q", qos, "-m", text]);
    }
    let got =
        succeeds(tools.command("mosquitto_sub").args(&session).args(["-C", "2", "-W", "20", "-F", "%q %p"]));
    let mut lines: Vec<_> = got.lines().collect();
    // The order is promised within a topic and QoS, not between them.
    lines.sort_unstable();
    assert_eq!(lines, ["1 one", "2 two"]);
}

fn large_payload(tools: &Tools) {
    let text = "x".repeat(1_000_000);
    let file = tools.broker.directory.write("large", &text);
    let mut subscriber = tools.subscriber(&["-t", "large", "-q", "1", "-C", "1"]);
    tools.publish("large", &["-q", "1", "-f", &file.to_string_lossy()]);
    assert!(subscriber.wait_for_end().success());
    let line = subscriber.wait_for_line("got ");
    assert!(line == format!("got large 1 0 {text}"), "{} bytes came", line.len());
}

fn ordered_burst(tools: &Tools) {
    let lines: Vec<String> = (0..2000).map(|number| number.to_string()).collect();
    let file = tools.broker.directory.write("burst", lines.join("\n") + "\n");
    for qos in ["0", "1", "2"] {
        let mut arguments = vec!["-t", "burst", "-q", qos, "-C", "2000"];
        if tools.is_v5() && Program::chosen() == Program::Mosquitto {
            // By itself mosquitto_sub takes 20 messages at a time and ends when the server sends
            // more, which Mosquitto 2.0.11 does at QoS 2.
            arguments.extend(["-D", "connect", "receive-maximum", "65535"]);
        }
        let mut subscriber = tools.subscriber(&arguments);
        let mut publisher = tools.command("mosquitto_pub");
        publisher.args(["-t", "burst", "-q", qos, "-l"]).stdin(File::open(&file).unwrap());
        assert!(publisher.status().unwrap().success());
        assert!(subscriber.wait_for_end().success());
        let wanted: Vec<String> = lines.iter().map(|line| format!("got burst {qos} 0 {line}")).collect();
        subscriber.wait_for_line(&wanted[1999]);
        assert!(received(&subscriber) == wanted, "messages are missing or out of order at QoS {qos}");
    }
}

fn request_response(tools: &Tools) {
    let responder = tools.subscriber(&["-t", "requests"]);
    let mut command = tools.command("mosquitto_rr");
    command.args(["-t", "requests", "-e", "responses", "-m", "6*7", "-q", "1", "-W", "20"]);
    let mut requester = Server::start("mosquitto_rr", &mut command);
    responder.wait_for_line("got requests 0 0 6*7");
    tools.publish("responses", &["-m", "42"]);
    requester.wait_for_line("42");
    assert!(requester.wait_for_end().success());
}

fn properties_and_expiry(tools: &Tools) {
    let subscriber = tools.subscriber(&["-t", "properties", "-F", "got %C %P %D %R %E %p"]);
    let mut command = tools.command("mosquitto_pub");
    for property in [
        &["content-type", "text/plain"][..],
        &["user-property", "color", "blue"],
        &["correlation-data", "c-1"],
        &["response-topic", "answers"],
        &["message-expiry-interval", "600"],
    ] {
        command.args(["-D", "publish"]).args(property);
    }
    succeeds(command.args(["-t", "properties", "-m", "text"]));
    let line = subscriber.wait_for_line("got ");
    assert!(
        ["600", "599", "598"]
            .iter()
            .any(|left| line == format!("got text/plain color:blue c-1 answers {left} text")),
        "{line}"
    );
}

fn shared_subscription(tools: &Tools) {
    let members = [0, 1].map(|_| tools.subscriber(&["-t", "$share/group/shared", "-t", "end", "-q", "1"]));
    for number in 0..20 {
        tools.publish("shared", &["-q", "1", "-m", &number.to_string()]);
    }
    tools.publish("end", &["-q", "1", "-m", "end"]);
    let mut together = Vec::new();
    for member in &members {
        member.wait_for_line("got end");
        let mine: Vec<String> =
            received(member).into_iter().filter(|line| line.starts_with("got shared")).collect();
        assert!(!mine.is_empty(), "a member of the group got nothing of 20 messages");
        together.extend(mine);
    }
    together.sort_unstable();
    let mut wanted: Vec<String> = (0..20).map(|number| format!("got shared 1 0 {number}")).collect();
    wanted.sort_unstable();
    assert_eq!(together, wanted);
}

#[test]
fn mosquitto_tools_tcp_3_1() {
    every_scenario(Transport::Tcp, "mqttv31");
}

#[test]
fn mosquitto_tools_tcp_3_1_1() {
    every_scenario(Transport::Tcp, "mqttv311");
}

#[test]
fn mosquitto_tools_tcp_5() {
    every_scenario(Transport::Tcp, "mqttv5");
}

#[test]
fn mosquitto_tools_tls_3_1_1() {
    every_scenario(Transport::Tls, "mqttv311");
}

#[test]
fn mosquitto_tools_tls_5() {
    every_scenario(Transport::Tls, "mqttv5");
}

#[test]
fn mosquitto_tools_users() {
    let program = Program::chosen();
    let broker = program.start(&with_a_user());
    let (v3, v5) = program.refusal();
    for (version, refused) in [("mqttv311", v3), ("mqttv5", v5)] {
        let publish = |user: &str, password: &str| {
            let mut command = Command::new("mosquitto_pub");
            command.args(["-h", "127.0.0.1", "-p", &broker.tcp.port().to_string(), "-V", version]);
            command.args(["-u", user, "-P", password, "-t", "users", "-m", "text", "-q", "1"]);
            command.output().expect("`cargo xtask setup` installs mosquitto-clients").status.code()
        };
        assert_eq!(publish("ada", "lovelace"), Some(0), "{version}");
        assert_eq!(publish("ada", "wrong"), Some(refused), "{version}: the tool ends with the reason code");
        assert_eq!(publish("nobody", "lovelace"), Some(refused), "{version}");
    }
}
