"""Drives an MQTT server with paho-mqtt, as a third party would.

    paho_client.py HOST PORT {tcp|tls|ws|wss} {3.1|3.1.1|5} [--ca FILE] [--only SCENARIO]
                   [--large-bytes N] [--user NAME --password TEXT --refused CODE]

Every scenario waits for what it expects with a deadline and never for time. The program prints one
line when all passed, and ends with status 1 and the scenario's name when one did not. With --user
it checks only that the server takes this user and refuses others with CODE.
"""

import argparse
import queue
import secrets
import sys
import traceback

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

DEADLINE_SECONDS = 20
VERSIONS = {"3.1": mqtt.MQTTv31, "3.1.1": mqtt.MQTTv311, "5": mqtt.MQTTv5}


class Failed(Exception):
    """What was expected did not come."""


class Server:
    """Where the server is and how it is spoken to."""

    def __init__(self, arguments):
        self.host = arguments.host
        self.port = arguments.port
        self.transport = arguments.transport
        self.version = VERSIONS[arguments.version]
        self.ca = arguments.ca
        self.large_bytes = arguments.large_bytes
        # Runs against one server do not see each other's topics and sessions.
        self.run = secrets.token_hex(4)

    @property
    def is_v5(self):
        return self.version == mqtt.MQTTv5

    def topic(self, name):
        return f"paho/{self.run}/{name}"

    def client(self, name, **options):
        return Client(self, name, **options)


class Client:
    """One client; all waits have a deadline."""

    def __init__(self, server, name, clean=True, session_seconds=0, will=None, user=None, password=None):
        self.server = server
        self.clean = clean
        self.session_seconds = session_seconds
        self.messages = queue.Queue()
        self.answers = queue.Queue()
        options = {} if server.is_v5 else {"clean_session": clean}
        self.paho = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            client_id=f"{name}-{server.run}",
            protocol=server.version,
            transport="websockets" if server.transport in ("ws", "wss") else "tcp",
            reconnect_on_failure=False,
            **options,
        )
        if server.transport in ("tls", "wss"):
            self.paho.tls_set(ca_certs=server.ca)
        if server.transport in ("ws", "wss"):
            self.paho.ws_set_options(path="/mqtt")
        if will:
            self.paho.will_set(*will)
        if user is not None:
            self.paho.username_pw_set(user, password)
        self.paho.on_connect = lambda client, data, flags, code, properties: self.answers.put(
            ("connected", (flags, code, properties))
        )
        self.paho.on_subscribe = lambda client, data, mid, codes, properties: self.answers.put(("subscribed", codes))
        self.paho.on_unsubscribe = lambda client, data, mid, codes, properties: self.answers.put(
            ("unsubscribed", codes)
        )
        self.paho.on_message = lambda client, data, message: self.messages.put(message)

    def answer(self, kind):
        try:
            got, value = self.answers.get(timeout=DEADLINE_SECONDS)
        except queue.Empty:
            raise Failed(f"the server did not answer: waited for '{kind}'") from None
        check(got, kind, "answer")
        return value

    def try_connect(self):
        """Connects and returns the flags, the reason code and the properties of the CONNACK."""
        options = {}
        if self.server.is_v5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = self.session_seconds
            options = {"clean_start": self.clean, "properties": properties}
        self.paho.connect(self.server.host, self.server.port, keepalive=60, **options)
        self.paho.loop_start()
        return self.answer("connected")

    def connect(self):
        flags, code, _ = self.try_connect()
        if code.is_failure:
            raise Failed(f"CONNECT was refused: {code}")
        self.session_present = flags.session_present
        return self

    def check_session_present(self, wanted):
        # The CONNACK of MQTT 3.1 has no such flag.
        if self.server.version != mqtt.MQTTv31:
            check(self.session_present, wanted, "session present")

    def subscribe(self, topic, qos=0, **options):
        if options:
            self.paho.subscribe(topic, options=SubscribeOptions(qos=qos, **options))
        else:
            self.paho.subscribe(topic, qos)
        codes = self.answer("subscribed")
        check([code.value for code in codes], [qos], f"SUBACK for {topic}")
        return self

    def unsubscribe(self, topic):
        self.paho.unsubscribe(topic)
        self.answer("unsubscribed")

    def publish(self, topic, payload, qos=0, retain=False, **properties):
        """Publishes; at QoS 1 and 2 waits for the acknowledgement."""
        info = self.publish_at_once(topic, payload, qos, retain, **properties)
        info.wait_for_publish(DEADLINE_SECONDS)
        if not info.is_published():
            raise Failed(f"PUBLISH to {topic} at QoS {qos} was not acknowledged")

    def publish_at_once(self, topic, payload, qos=0, retain=False, **properties):
        packed = None
        if properties:
            packed = Properties(PacketTypes.PUBLISH)
            for name, value in properties.items():
                setattr(packed, name, value)
        info = self.paho.publish(topic, payload, qos, retain, properties=packed)
        check(info.rc, mqtt.MQTT_ERR_SUCCESS, f"PUBLISH to {topic}")
        return info

    def receive(self):
        try:
            return self.messages.get(timeout=DEADLINE_SECONDS)
        except queue.Empty:
            raise Failed("a message did not come") from None

    def expect(self, topic, payload, qos=None, retain=None):
        message = self.receive()
        payload = payload.encode() if isinstance(payload, str) else payload
        check(message.topic, topic, "topic")
        check(message.payload, payload, f"payload on {topic}")
        if qos is not None:
            check(message.qos, qos, f"QoS on {topic}")
        if retain is not None:
            check(message.retain, retain, f"retain flag on {topic}")
        return message

    def disconnect(self):
        self.paho.disconnect()
        self.paho.loop_stop()

    def kill(self):
        """Lets the connection drop without a DISCONNECT."""
        self.paho.loop_stop()
        self.paho.socket().close()


def check(got, wanted, what):
    if got != wanted:
        raise Failed(f"{what}: expected {shortened(wanted)}, got {shortened(got)}")


def shortened(value):
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}… ({len(text)} characters)"


# --- scenarios of every version -------------------------------------------------------------------


def qos_both_ways(server):
    subscriber = server.client("qos-sub").connect()
    publisher = server.client("qos-pub").connect()
    for granted in (0, 1, 2):
        topic = server.topic(f"qos/{granted}")
        subscriber.subscribe(topic, granted)
        for sent in (0, 1, 2):
            publisher.publish(topic, f"{sent} to {granted}", sent)
            subscriber.expect(topic, f"{sent} to {granted}", qos=min(sent, granted), retain=False)
        subscriber.unsubscribe(topic)
        publisher.publish(topic, "to nobody", 1)
    marker = server.topic("qos/end")
    subscriber.subscribe(marker)
    publisher.publish(marker, "end")
    subscriber.expect(marker, "end")
    subscriber.disconnect()
    publisher.disconnect()


def wildcards(server):
    one_level = server.client("plus").connect().subscribe(server.topic("w/+/b"))
    many_levels = server.client("hash").connect().subscribe(server.topic("w/#"))
    publisher = server.client("wild-pub").connect()
    for name in ("w", "w/x/b", "w/x/y/b", "w//b"):
        publisher.publish(server.topic(name), name, 1)
        many_levels.expect(server.topic(name), name)
    for name in ("w/x/b", "w//b"):
        one_level.expect(server.topic(name), name)
    for client in (one_level, many_levels, publisher):
        client.disconnect()


def retained_set_replace_delete(server):
    topic = server.topic("retained")
    publisher = server.client("ret-pub").connect()
    live = server.client("ret-live").connect().subscribe(topic, 1)
    for text in ("first", "second"):
        publisher.publish(topic, text, 1, retain=True)
        live.expect(topic, text, retain=False)
        late = server.client("ret-late").connect().subscribe(topic, 1)
        late.expect(topic, text, qos=1, retain=True)
        late.disconnect()
    publisher.publish(topic, "", 1, retain=True)
    live.expect(topic, "", retain=False)
    after = server.client("ret-after").connect().subscribe(topic, 1)
    publisher.publish(topic, "live", 1)
    after.expect(topic, "live", retain=False)
    for client in (publisher, live, after):
        client.disconnect()


def will_on_kill(server):
    topic = server.topic("will")
    observer = server.client("will-observer").connect().subscribe(topic, 2)
    polite = server.client("will-polite", will=(topic, "not sent", 1, False)).connect()
    polite.disconnect()
    killed = server.client("will-killed", will=(topic, "gone", 2, True)).connect()
    killed.kill()
    observer.expect(topic, "gone", qos=2, retain=False)
    late = server.client("will-late").connect().subscribe(topic, 0)
    late.expect(topic, "gone", retain=True)
    late.publish(topic, "", 1, retain=True)
    late.disconnect()
    observer.disconnect()


def session_resume(server):
    topics = [server.topic("session/1"), server.topic("session/2")]

    def connect():
        return server.client("session", clean=False, session_seconds=300).connect()

    first = connect()
    first.check_session_present(False)
    first.subscribe(topics[0], 1)
    first.subscribe(topics[1], 2)
    first.disconnect()

    publisher = server.client("session-pub").connect()
    for number in range(20):
        publisher.publish(topics[number % 2], str(number), 1 + number % 2)
    again = connect()
    again.check_session_present(True)
    # The order is promised within a topic and QoS, not between them.
    waiting = [again.receive() for _ in range(20)]
    for which in (0, 1):
        got = [(message.payload, message.qos) for message in waiting if message.topic == topics[which]]
        check(got, [(b"%d" % number, 1 + which) for number in range(which, 20, 2)], topics[which])
    publisher.publish(topics[0], "live", 1)
    again.expect(topics[0], "live")
    again.disconnect()
    publisher.disconnect()

    ended = server.client("session", clean=True).connect()
    ended.check_session_present(False)
    ended.disconnect()


def takeover(server):
    first = server.client("same").connect()
    second = server.client("same").connect().subscribe(server.topic("same"), 1)
    second.publish(server.topic("same"), "mine", 1)
    second.expect(server.topic("same"), "mine")
    second.disconnect()
    first.paho.loop_stop()


def large_payload(server):
    topic = server.topic("large")
    payload = secrets.token_bytes(server.large_bytes)
    client = server.client("large").connect().subscribe(topic, 1)
    for qos in (0, 1):
        client.publish(topic, payload, qos)
        client.expect(topic, payload, qos=qos)
    client.disconnect()


def ordered_burst(server):
    subscriber = server.client("burst-sub").connect()
    publisher = server.client("burst-pub").connect()
    for qos in (0, 1, 2):
        topic = server.topic(f"burst/{qos}")
        subscriber.subscribe(topic, qos)
        infos = [publisher.publish_at_once(topic, str(number), qos) for number in range(2000)]
        for number in range(2000):
            subscriber.expect(topic, str(number), qos=qos)
        for info in infos:
            info.wait_for_publish(DEADLINE_SECONDS)
    subscriber.disconnect()
    publisher.disconnect()


# --- scenarios of MQTT 5 --------------------------------------------------------------------------


def shared_subscription(server):
    topic = server.topic("shared")
    members = [server.client(f"member-{number}").connect() for number in range(2)]
    for member in members:
        member.subscribe(f"$share/group/{topic}", 1)
        member.subscribe(server.topic("shared-end"), 1)
    publisher = server.client("shared-pub").connect()
    for number in range(100):
        publisher.publish(topic, str(number), 1)
    publisher.publish(server.topic("shared-end"), "end", 1)
    got = []
    for member in members:
        mine = []
        while (message := member.receive()).topic == topic:
            mine.append(int(message.payload))
        check(mine, sorted(mine), "order within a member")
        if not mine:
            raise Failed("a member of the group got nothing of 100 messages")
        got += mine
    check(sorted(got), list(range(100)), "what the group got together")
    for client in (*members, publisher):
        client.disconnect()


def request_response(server):
    requests, responses = server.topic("requests"), server.topic("responses")
    responder = server.client("responder").connect().subscribe(requests, 1)
    requester = server.client("requester").connect().subscribe(responses, 1)
    correlation = bytes(range(256))
    requester.publish(requests, "6*7", 1, ResponseTopic=responses, CorrelationData=correlation)
    request = responder.expect(requests, "6*7")
    responder.publish(
        request.properties.ResponseTopic, "42", 1, CorrelationData=request.properties.CorrelationData
    )
    response = requester.expect(responses, "42")
    check(response.properties.CorrelationData, correlation, "correlation data")
    responder.disconnect()
    requester.disconnect()


def properties_kept(server):
    topic = server.topic("properties")
    client = server.client("properties").connect().subscribe(topic, 1)
    pairs = [("a", "1"), ("b", "zwei"), ("a", "3"), ("", "ü€")]
    client.publish(
        topic, "{}", 1, UserProperty=pairs, ContentType="application/json", PayloadFormatIndicator=1
    )
    properties = client.expect(topic, "{}").properties
    check(properties.UserProperty, pairs, "user properties and their order")
    check(properties.ContentType, "application/json", "content type")
    check(properties.PayloadFormatIndicator, 1, "payload format")
    client.disconnect()


def message_expiry(server):
    queued, retained = server.topic("expiry/queued"), server.topic("expiry/retained")
    away = server.client("expiry", clean=False, session_seconds=300).connect().subscribe(queued, 1)
    away.disconnect()
    publisher = server.client("expiry-pub").connect()
    publisher.publish(queued, "short", 1, MessageExpiryInterval=1)
    publisher.publish(queued, "long", 1, MessageExpiryInterval=600)
    publisher.publish(queued, "for ever", 1)
    # Lives longer, so when this one has expired the queued one has expired as well.
    publisher.publish(retained, "short", 1, retain=True, MessageExpiryInterval=2)
    for attempt in range(100_000):
        marker = server.topic(f"expiry/marker/{attempt}")
        publisher.subscribe(retained, 1)
        publisher.subscribe(marker, 1)
        publisher.publish(marker, "end", 1)
        if publisher.receive().topic == marker:
            break
        publisher.expect(marker, "end")
        publisher.unsubscribe(retained)
        publisher.unsubscribe(marker)
    else:
        raise Failed("a retained message outlived its expiry")
    back = server.client("expiry", clean=False, session_seconds=0).connect()
    long = back.expect(queued, "long")
    left = long.properties.MessageExpiryInterval
    if not 500 < left < 600:
        raise Failed(f"the expiry must count down while a message waits: 600 became {left}")
    back.expect(queued, "for ever")
    back.disconnect()
    publisher.disconnect()


def topic_alias(server):
    topic = server.topic("alias")
    subscriber = server.client("alias-sub").connect().subscribe(topic, 1)
    publisher = server.client("alias-pub")
    _, _, properties = publisher.try_connect()
    if getattr(properties, "TopicAliasMaximum", 0) < 1:
        raise Failed("the server takes no topic aliases")
    publisher.publish(topic, "named", 1, TopicAlias=1)
    publisher.publish("", "aliased", 1, TopicAlias=1)
    for text in ("named", "aliased"):
        message = subscriber.expect(topic, text)
        check(hasattr(message.properties, "TopicAlias"), False, "the publisher's alias at the subscriber")
    subscriber.disconnect()
    publisher.disconnect()


def subscription_options(server):
    topic = server.topic("options")
    client = server.client("options").connect()
    other = server.client("options-other").connect()
    client.subscribe(topic, 1, noLocal=True, retainAsPublished=True)
    client.publish(topic, "own", 1)
    other.publish(topic, "kept", 1, retain=True)
    client.expect(topic, "kept", retain=True)
    # Retain handling 1: retained messages come with a new subscription only; 2: never.
    client.subscribe(topic, 1, retainHandling=1)
    other.subscribe(topic, 1, retainHandling=2)
    other.publish(topic, "", 1, retain=True)
    client.expect(topic, "")
    other.expect(topic, "")
    client.disconnect()
    other.disconnect()


# --- users ----------------------------------------------------------------------------------------


def access(server, user, password, refused):
    welcome = server.client("welcome", user=user, password=password).connect()
    welcome.subscribe(server.topic("access"), 1)
    welcome.publish(server.topic("access"), "in", 1)
    welcome.expect(server.topic("access"), "in")
    welcome.disconnect()
    for name, secret in ((user, password + "x"), ("nobody", password), (None, None)):
        client = server.client("stranger", user=name, password=secret)
        _, code, _ = client.try_connect()
        if name is not None:
            check(code.value, refused, f"reason code for {name}")
        elif not code.is_failure:
            raise Failed("a client without a user was let in")
        client.paho.loop_stop()


SCENARIOS = [
    qos_both_ways,
    wildcards,
    retained_set_replace_delete,
    will_on_kill,
    session_resume,
    takeover,
    large_payload,
    ordered_burst,
]
SCENARIOS_V5 = [
    shared_subscription,
    request_response,
    properties_kept,
    message_expiry,
    topic_alias,
    subscription_options,
]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("transport", choices=("tcp", "tls", "ws", "wss"))
    parser.add_argument("version", choices=VERSIONS)
    parser.add_argument("--ca")
    parser.add_argument("--only")
    parser.add_argument("--large-bytes", type=int, default=1_000_000)
    parser.add_argument("--user")
    parser.add_argument("--password")
    parser.add_argument("--refused", type=int)
    arguments = parser.parse_args()
    server = Server(arguments)
    if arguments.user is not None:
        scenarios = [lambda server: access(server, arguments.user, arguments.password, arguments.refused)]
        scenarios[0].__name__ = "access"
    else:
        scenarios = SCENARIOS + (SCENARIOS_V5 if server.is_v5 else [])
        scenarios = [one for one in scenarios if arguments.only in (None, one.__name__)]
    for scenario in scenarios:
        try:
            scenario(server)
        except Exception as error:
            if not isinstance(error, Failed):
                traceback.print_exc()
            print(f"paho {arguments.transport} {arguments.version}: {scenario.__name__}: {error}", file=sys.stderr)
            # Threads of clients that still run must not keep the program.
            sys.stderr.flush()
            return 1
    print(f"paho {arguments.transport} {arguments.version}: {len(scenarios)} scenarios passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
