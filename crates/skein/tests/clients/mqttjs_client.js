// Drives an MQTT server with the npm package mqtt (mqtt.js), as a third party would.
//
//   node mqttjs_client.js HOST PORT {tcp|tls|ws|wss} {3.1|3.1.1|5} [--ca FILE] [--only SCENARIO]
//                         [--large-bytes N] [--user NAME --password TEXT --refused CODE]
//
// NODE_PATH names the directory of the package. Every scenario waits for what it expects with a
// deadline and never for time. The program prints one line when all passed, and ends with status 1
// and the scenario's name when one did not. With --user it checks only that the server takes this
// user and refuses others with CODE.
"use strict";

const assert = require("node:assert");
const crypto = require("node:crypto");
const fs = require("node:fs");
const { parseArgs } = require("node:util");
const mqtt = require("mqtt");

const DEADLINE_MS = 20_000;
const SCHEMES = { tcp: "mqtt", tls: "mqtts", ws: "ws", wss: "wss" };
const VERSIONS = {
  "3.1": { protocolId: "MQIsdp", protocolVersion: 3 },
  "3.1.1": { protocolId: "MQTT", protocolVersion: 4 },
  5: { protocolId: "MQTT", protocolVersion: 5 },
};

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    ca: { type: "string" },
    only: { type: "string" },
    user: { type: "string" },
    password: { type: "string" },
    refused: { type: "string" },
    "large-bytes": { type: "string", default: "1000000" },
  },
});
const [host, port, transport, version] = positionals;
const isV5 = version === "5";
// Runs against one server do not see each other's topics and sessions.
const run = crypto.randomBytes(4).toString("hex");
const topicOf = (name) => `mqttjs/${run}/${name}`;

function deadline(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited in vain for ${what}`)), DEADLINE_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** One client; all waits have a deadline. */
class Client {
  constructor(name, settings = {}) {
    this.waiting = [];
    this.wanting = [];
    const { seconds, properties, ...rest } = settings;
    this.settings = {
      ...VERSIONS[version],
      clientId: `${name}-${run}`,
      reconnectPeriod: 0,
      connectTimeout: DEADLINE_MS,
      ...(options.ca ? { ca: fs.readFileSync(options.ca) } : {}),
      ...(isV5 ? { properties: { sessionExpiryInterval: seconds ?? 0, ...properties } } : {}),
      ...rest,
    };
  }

  /** Connects; throws the error of a refusal, whose `code` is the reason code. */
  async connect() {
    this.mqtt = mqtt.connect(`${SCHEMES[transport]}://${host}:${port}/mqtt`, this.settings);
    this.mqtt.on("message", (topic, payload, packet) => {
      // The packet of a message with an alias has no topic; the event has.
      const message = { ...packet, topic };
      const take = this.wanting.shift();
      if (take) take(message);
      else this.waiting.push(message);
    });
    const connected = new Promise((resolve, reject) => {
      this.mqtt.once("connect", resolve);
      this.mqtt.once("error", reject);
    });
    this.connack = await deadline(connected, "CONNACK");
    this.mqtt.on("error", () => {});
    return this;
  }

  checkSessionPresent(wanted) {
    // The CONNACK of MQTT 3.1 has no such flag.
    if (version !== "3.1") assert.strictEqual(this.connack.sessionPresent, wanted, "session present");
  }

  async subscribe(filter, qos = 0, more = {}) {
    const grants = await deadline(this.mqtt.subscribeAsync(filter, { qos, ...more }), "SUBACK");
    assert.strictEqual(grants[0].qos, qos, `granted QoS for ${filter}`);
    return this;
  }

  unsubscribe(filter) {
    return deadline(this.mqtt.unsubscribeAsync(filter), "UNSUBACK");
  }

  /** Publishes; at QoS 1 and 2 waits for the acknowledgement. */
  publish(topic, payload, qos = 0, retain = false, properties = undefined) {
    const more = properties ? { properties } : {};
    return deadline(this.mqtt.publishAsync(topic, payload, { qos, retain, ...more }), `PUBLISH to ${topic}`);
  }

  receive() {
    if (this.waiting.length > 0) return Promise.resolve(this.waiting.shift());
    return deadline(new Promise((resolve) => this.wanting.push(resolve)), "a message");
  }

  async expect(topic, payload, { qos, retain } = {}) {
    const packet = await this.receive();
    assert.strictEqual(packet.topic, topic);
    if (!packet.payload.equals(Buffer.from(payload))) {
      assert.fail(`payload on ${topic}: expected ${shortened(payload)}, got ${shortened(packet.payload)}`);
    }
    if (qos !== undefined) assert.strictEqual(packet.qos, qos, `QoS on ${topic}`);
    if (retain !== undefined) assert.strictEqual(packet.retain, retain, `retain flag on ${topic}`);
    return packet;
  }

  disconnect() {
    return deadline(this.mqtt.endAsync(), "the end of the connection");
  }

  /** Lets the connection drop without a DISCONNECT. */
  kill() {
    this.mqtt.stream.destroy();
  }
}

const connect = (name, settings) => new Client(name, settings).connect();
const disconnect = (...clients) => Promise.all(clients.map((client) => client.disconnect()));
const shortened = (value) => {
  const text = value.toString();
  return text.length <= 200 ? text : `${text.slice(0, 200)}… (${text.length} characters)`;
};
const numbers = (count) => Array.from({ length: count }, (_, number) => number);

// --- scenarios of every version -----------------------------------------------------------------

async function qosBothWays() {
  const subscriber = await connect("qos-sub");
  const publisher = await connect("qos-pub");
  for (const granted of [0, 1, 2]) {
    const topic = topicOf(`qos/${granted}`);
    await subscriber.subscribe(topic, granted);
    for (const sent of [0, 1, 2]) {
      await publisher.publish(topic, `${sent} to ${granted}`, sent);
      await subscriber.expect(topic, `${sent} to ${granted}`, { qos: Math.min(sent, granted), retain: false });
    }
    await subscriber.unsubscribe(topic);
    await publisher.publish(topic, "to nobody", 1);
  }
  await subscriber.subscribe(topicOf("qos/end"));
  await publisher.publish(topicOf("qos/end"), "end");
  await subscriber.expect(topicOf("qos/end"), "end");
  await disconnect(subscriber, publisher);
}

async function retainedSetReplaceDelete() {
  const topic = topicOf("retained");
  const publisher = await connect("ret-pub");
  const live = await (await connect("ret-live")).subscribe(topic, 1);
  for (const text of ["first", "second"]) {
    await publisher.publish(topic, text, 1, true);
    await live.expect(topic, text, { retain: false });
    const late = await (await connect("ret-late")).subscribe(topic, 1);
    await late.expect(topic, text, { qos: 1, retain: true });
    await late.disconnect();
  }
  await publisher.publish(topic, "", 1, true);
  await live.expect(topic, "", { retain: false });
  const after = await (await connect("ret-after")).subscribe(topic, 1);
  await publisher.publish(topic, "live", 1);
  await after.expect(topic, "live", { retain: false });
  await disconnect(publisher, live, after);
}

async function willOnKill() {
  const topic = topicOf("will");
  const observer = await (await connect("will-observer")).subscribe(topic, 2);
  const polite = await connect("will-polite", { will: { topic, payload: Buffer.from("not sent"), qos: 1, retain: false } });
  await polite.disconnect();
  const killed = await connect("will-killed", { will: { topic, payload: Buffer.from("gone"), qos: 2, retain: true } });
  killed.kill();
  await observer.expect(topic, "gone", { qos: 2, retain: false });
  const late = await (await connect("will-late")).subscribe(topic, 0);
  await late.expect(topic, "gone", { retain: true });
  await late.publish(topic, "", 1, true);
  await disconnect(late, observer);
}

async function sessionResume() {
  const topics = [topicOf("session/1"), topicOf("session/2")];
  const settings = { clean: false, seconds: 300 };
  const first = await connect("session", settings);
  first.checkSessionPresent(false);
  await first.subscribe(topics[0], 1);
  await first.subscribe(topics[1], 2);
  await first.disconnect();

  const publisher = await connect("session-pub");
  for (const number of numbers(20)) {
    await publisher.publish(topics[number % 2], String(number), 1 + (number % 2));
  }
  const again = await connect("session", settings);
  again.checkSessionPresent(true);
  // The order is promised within a topic and QoS, not between them.
  const waiting = [];
  while (waiting.length < 20) waiting.push(await again.receive());
  for (const which of [0, 1]) {
    const got = waiting.filter((packet) => packet.topic === topics[which]);
    const wanted = numbers(20).filter((number) => number % 2 === which);
    assert.deepStrictEqual(got.map((packet) => Number(packet.payload)), wanted, topics[which]);
    assert.ok(got.every((packet) => packet.qos === 1 + which), "QoS of queued messages");
  }
  await publisher.publish(topics[0], "live", 1);
  await again.expect(topics[0], "live");
  await disconnect(again, publisher);

  const ended = await connect("session", { clean: true });
  ended.checkSessionPresent(false);
  await ended.disconnect();
}

async function largePayload() {
  const topic = topicOf("large");
  const payload = crypto.randomBytes(Number(options["large-bytes"]));
  const client = await (await connect("large")).subscribe(topic, 1);
  for (const qos of [0, 1]) {
    await client.publish(topic, payload, qos);
    await client.expect(topic, payload, { qos });
  }
  await client.disconnect();
}

async function orderedBurst() {
  const subscriber = await connect("burst-sub");
  const publisher = await connect("burst-pub");
  for (const qos of [0, 1, 2]) {
    const topic = topicOf(`burst/${qos}`);
    await subscriber.subscribe(topic, qos);
    // mqtt.js does not heed the server's Receive Maximum by itself; 16 is below any server's.
    for (let first = 0; first < 2000; first += 16) {
      const batch = numbers(2000).slice(first, first + 16);
      await Promise.all(batch.map((number) => publisher.publish(topic, String(number), qos)));
    }
    for (const number of numbers(2000)) await subscriber.expect(topic, String(number), { qos });
  }
  await disconnect(subscriber, publisher);
}

// --- scenarios of MQTT 5 ------------------------------------------------------------------------

async function sharedSubscription() {
  const topic = topicOf("shared");
  const end = topicOf("shared-end");
  const members = [await connect("member-0"), await connect("member-1")];
  for (const member of members) {
    await member.subscribe(`$share/group/${topic}`, 1);
    await member.subscribe(end, 1);
  }
  const publisher = await connect("shared-pub");
  for (const number of numbers(100)) await publisher.publish(topic, String(number), 1);
  await publisher.publish(end, "end", 1);
  const together = [];
  for (const member of members) {
    const mine = [];
    for (let packet = await member.receive(); packet.topic !== end; packet = await member.receive()) {
      mine.push(Number(packet.payload));
    }
    assert.ok(mine.length > 0, "a member of the group got nothing of 100 messages");
    assert.deepStrictEqual(mine, mine.toSorted((a, b) => a - b), "order within a member");
    together.push(...mine);
  }
  assert.deepStrictEqual(together.toSorted((a, b) => a - b), numbers(100), "what the group got together");
  await disconnect(...members, publisher);
}

async function requestResponse() {
  const requests = topicOf("requests");
  const responseTopic = topicOf("responses");
  const responder = await (await connect("responder")).subscribe(requests, 1);
  const requester = await (await connect("requester")).subscribe(responseTopic, 1);
  const correlationData = Buffer.from(numbers(256));
  await requester.publish(requests, "6*7", 1, false, { responseTopic, correlationData });
  const request = (await responder.expect(requests, "6*7")).properties;
  await responder.publish(request.responseTopic, "42", 1, false, { correlationData: request.correlationData });
  const response = (await requester.expect(responseTopic, "42")).properties;
  assert.deepStrictEqual(response.correlationData, correlationData, "correlation data");
  await disconnect(responder, requester);
}

async function propertiesKept() {
  const topic = topicOf("properties");
  const client = await (await connect("properties")).subscribe(topic, 1);
  const userProperties = { a: ["1", "3"], b: "zwei", c: "ü€" };
  const sent = { userProperties, contentType: "application/json", payloadFormatIndicator: true };
  await client.publish(topic, "{}", 1, false, sent);
  const got = (await client.expect(topic, "{}")).properties;
  assert.deepStrictEqual({ ...got.userProperties }, userProperties, "user properties");
  assert.strictEqual(got.contentType, "application/json");
  assert.strictEqual(got.payloadFormatIndicator, true);
  await client.disconnect();
}

async function messageExpiry() {
  const queued = topicOf("expiry/queued");
  const retained = topicOf("expiry/retained");
  const away = await (await connect("expiry", { clean: false, seconds: 300 })).subscribe(queued, 1);
  await away.disconnect();
  const publisher = await connect("expiry-pub");
  await publisher.publish(queued, "short", 1, false, { messageExpiryInterval: 1 });
  await publisher.publish(queued, "long", 1, false, { messageExpiryInterval: 600 });
  // Lives longer, so when this one has expired the queued one has expired as well.
  await publisher.publish(retained, "short", 1, true, { messageExpiryInterval: 2 });
  for (let attempt = 0; ; attempt += 1) {
    const marker = topicOf(`expiry/marker/${attempt}`);
    assert.ok(attempt < 100_000, "a retained message outlived its expiry");
    await publisher.subscribe(retained, 1);
    await publisher.subscribe(marker, 1);
    await publisher.publish(marker, "end", 1);
    if ((await publisher.receive()).topic === marker) break;
    await publisher.expect(marker, "end");
    await publisher.unsubscribe(retained);
    await publisher.unsubscribe(marker);
  }
  const back = await connect("expiry", { clean: false });
  const left = (await back.expect(queued, "long")).properties.messageExpiryInterval;
  assert.ok(left > 500 && left < 600, `the expiry must count down while a message waits: 600 became ${left}`);
  await disconnect(back, publisher);
}

async function topicAlias() {
  const topics = [topicOf("alias/a"), topicOf("alias/b")];
  // The subscriber lets the server use aliases towards it; the publisher makes its own.
  const subscriber = await connect("alias-sub", { properties: { topicAliasMaximum: 10 } });
  await subscriber.subscribe(topicOf("alias/+"), 1);
  const publisher = await connect("alias-pub", { autoAssignTopicAlias: true });
  assert.ok(publisher.connack.properties.topicAliasMaximum > 0, "the server takes no topic aliases");
  let withoutName = 0;
  publisher.mqtt.on("packetsend", (packet) => {
    if (packet.cmd === "publish" && packet.topic === "") withoutName += 1;
  });
  for (const number of numbers(50)) await publisher.publish(topics[number % 2], String(number), 1);
  for (const number of numbers(50)) await subscriber.expect(topics[number % 2], String(number));
  assert.strictEqual(withoutName, 48, "publishes that went out with an alias only");
  await disconnect(subscriber, publisher);
}

async function subscriptionOptions() {
  const topic = topicOf("options");
  const client = await connect("options");
  const other = await connect("options-other");
  await client.subscribe(topic, 1, { nl: true, rap: true, properties: { subscriptionIdentifier: 7 } });
  await client.publish(topic, "own", 1);
  await other.publish(topic, "kept", 1, true);
  const kept = await client.expect(topic, "kept", { retain: true });
  assert.strictEqual(kept.properties.subscriptionIdentifier, 7, "subscription identifier");
  await other.subscribe(topic, 1, { rh: 2 });
  await other.publish(topic, "", 1, true);
  await client.expect(topic, "");
  await other.expect(topic, "");
  await disconnect(client, other);
}

// --- users --------------------------------------------------------------------------------------

async function access() {
  const { user: username, password } = options;
  const welcome = await (await connect("welcome", { username, password })).subscribe(topicOf("access"), 1);
  await welcome.publish(topicOf("access"), "in", 1);
  await welcome.expect(topicOf("access"), "in");
  await welcome.disconnect();
  for (const wrong of [{ username, password: `${password}x` }, { username: "nobody", password }]) {
    const stranger = new Client("stranger", wrong);
    const refusal = await stranger.connect().then(() => undefined, (error) => error);
    assert.ok(refusal, `${wrong.username} was let in`);
    assert.strictEqual(refusal.code, Number(options.refused), `reason code for ${wrong.username}`);
    await stranger.mqtt.endAsync(true);
  }
}

const SCENARIOS = [qosBothWays, retainedSetReplaceDelete, willOnKill, sessionResume, largePayload, orderedBurst];
const SCENARIOS_V5 = [
  sharedSubscription,
  requestResponse,
  propertiesKept,
  messageExpiry,
  topicAlias,
  subscriptionOptions,
];

async function main() {
  assert.ok(transport in SCHEMES && version in VERSIONS, "usage: see the top of the file");
  let scenarios = options.user ? [access] : [...SCENARIOS, ...(isV5 ? SCENARIOS_V5 : [])];
  if (options.only) scenarios = scenarios.filter((scenario) => scenario.name === options.only);
  for (const scenario of scenarios) {
    try {
      await scenario();
    } catch (error) {
      console.error(`mqtt.js ${transport} ${version}: ${scenario.name}: ${error.stack}`);
      process.exit(1);
    }
  }
  console.log(`mqtt.js ${transport} ${version}: ${scenarios.length} scenarios passed`);
  process.exit(0);
}

main();
