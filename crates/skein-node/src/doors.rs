//! The doors of a node: which there are, their listeners, and what of their settings can change while the node runs.
//!
//! Listeners are bound first, so that a port in use is found before anything else begins; doors come to be when what they
//! stand on is there. To add a protocol: bind its listeners here, make its door in [`Bound::doors`], put its settings in
//! force in [`reload`].

use std::{net::SocketAddr, sync::Arc};

use skein_door::{
    Door, Listener, ListenerSettings, ListenerState, Redirect, SharedLimit, TlsSource, Transport,
    UpgradeRoute,
};
use skein_http::HttpDoor;
use skein_mqtt::{MqttDoor, Settings};

use crate::{
    config::{Config, MqttListener},
    settings::{
        http_listener_settings, listener_settings, mqtt_connections, mqtt_settings, transport_of, web_rules,
    },
    start_error::StartError,
};

/// Where MQTT is spoken on the ports of the HTTP door, and what its connections are called in listings.
const MQTT_PATH: &str = "/mqtt";
const MQTT_ON_HTTP: &str = "http/mqtt";

/// A door and the listeners it is served on.
pub(crate) struct Served {
    pub(crate) door: Arc<dyn Door>,
    pub(crate) listeners: Vec<Listener>,
}

/// Listeners that do not accept yet, and the doors that need nothing but settings.
pub(crate) struct Bound {
    pub(crate) mqtt_door: Arc<MqttDoor>,
    /// Of every listener of every door, for listings and reload.
    pub(crate) states: Vec<Arc<ListenerState>>,
    /// Paths at which doors take WebSockets on the ports of others.
    pub(crate) upgrades: Vec<UpgradeRoute>,
    mqtt: Vec<Listener>,
    http: Vec<Listener>,
}

impl Bound {
    /// Binds everything the configuration asks for. Needs a runtime around it.
    pub(crate) fn bind(
        config: &Config,
        tls: Option<&Arc<TlsSource>>,
        redirect: &Arc<Redirect>,
    ) -> Result<Self, StartError> {
        let mqtt_door = MqttDoor::new(all_mqtt_settings(config, redirect));
        let together = mqtt_connections(config);
        let (mqtt, http) = (bind_mqtt(config, tls, &together)?, bind_http(config, tls)?);
        let mut states: Vec<_> = mqtt.iter().chain(&http).map(|listener| listener.state().clone()).collect();
        let mut upgrades = Vec::new();
        if let Some(first) = http.first() {
            let settings = listener_settings(config, &mqtt_on_http(config), &web_rules(config), &together);
            let listener = ListenerState::new(MqttDoor::NAME, first.state().address, "ws", settings);
            states.push(listener.clone());
            upgrades.push(UpgradeRoute { path: MQTT_PATH, door: mqtt_door.clone(), listener });
        }
        Ok(Self { mqtt_door, states, upgrades, mqtt, http })
    }

    /// Every door with its listeners.
    pub(crate) fn doors(self, http_door: Arc<HttpDoor>) -> Vec<Served> {
        let Self { mqtt_door, mqtt, http, .. } = self;
        vec![Served { door: mqtt_door, listeners: mqtt }, Served { door: http_door, listeners: http }]
    }
}

/// Puts in force what of the doors' settings can change while the node runs.
pub(crate) fn reload(
    config: &Config,
    redirect: &Arc<Redirect>,
    mqtt: &MqttDoor,
    states: &[Arc<ListenerState>],
) {
    let web = web_rules(config);
    let listeners = with_mqtt_on_http(config);
    for state in states {
        let name = state.settings.load().name.clone();
        if state.door == HttpDoor::NAME {
            state.settings.store(Arc::new(http_listener_settings(config, &web)));
        } else if let Some(listener) = listeners.iter().find(|listener| *listener.name == *name) {
            state.settings.store(Arc::new(listener_settings(config, listener, &web, &Arc::default())));
        }
    }
    mqtt.reload(all_mqtt_settings(config, redirect));
}

fn all_mqtt_settings(config: &Config, redirect: &Arc<Redirect>) -> Vec<Settings> {
    let web = web_rules(config);
    with_mqtt_on_http(config).iter().map(|listener| mqtt_settings(config, listener, redirect, &web)).collect()
}

fn with_mqtt_on_http(config: &Config) -> Vec<MqttListener> {
    let mut all = config.mqtt.all_listeners();
    all.push(mqtt_on_http(config));
    all
}

/// What comes by the HTTP door has the limits of listeners that have none of their own.
fn mqtt_on_http(config: &Config) -> MqttListener {
    MqttListener {
        name: MQTT_ON_HTTP.to_owned(),
        address: ([0, 0, 0, 0], 0).into(),
        transport: crate::config::Transport::Ws,
        limits: config.mqtt.limits.clone(),
    }
}

fn bind_mqtt(
    config: &Config,
    tls: Option<&Arc<TlsSource>>,
    together: &Arc<SharedLimit>,
) -> Result<Vec<Listener>, StartError> {
    let (mut bound, web) = (Vec::new(), web_rules(config));
    for listener in config.mqtt.all_listeners() {
        // The configuration was refused if a listener needs a certificate that is not there.
        let Some(transport) = transport_of(listener.transport, tls) else { continue };
        let settings = listener_settings(config, &listener, &web, together);
        bound.push(Listener::bind(MqttDoor::NAME, listener.address, transport, settings)?);
    }
    Ok(bound)
}

fn bind_http(config: &Config, tls: Option<&Arc<TlsSource>>) -> Result<Vec<Listener>, StartError> {
    let web = web_rules(config);
    let bind = |address: &SocketAddr, transport| {
        let settings: ListenerSettings = http_listener_settings(config, &web);
        Listener::bind(HttpDoor::NAME, *address, transport, settings)
    };
    let mut bound = Vec::new();
    for (address, uses_tls) in config.http.addresses() {
        let transport = match (uses_tls, tls) {
            (false, _) => Transport::Tcp,
            (true, Some(source)) => Transport::Tls(source.clone()),
            // The configuration was refused.
            (true, None) => continue,
        };
        bound.push(bind(&address, transport)?);
    }
    Ok(bound)
}
