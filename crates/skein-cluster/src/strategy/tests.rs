//! Strategies by name and by kind, and what becomes of the nodes they name.

use std::sync::Arc;

use skein_types::{ClientId, NodeId, Topic};

use super::*;

const INTERESTED: [NodeId; 2] = [NodeId(2), NodeId(4)];
const LIVE: [NodeId; 3] = [NodeId(2), NodeId(3), NodeId(4)];
const VIEW: View<'_> = View { interested: &INTERESTED, live: &LIVE };

fn ask(strategy: &dyn Strategy, text: &str, publisher: Option<&str>) -> Targets {
    let publisher = publisher.map(ClientId::new);
    let topic = Topic::new(text.into()).unwrap();
    strategy.targets(&Outgoing { topic: &topic, publisher: publisher.as_ref() }, &VIEW)
}

fn nodes(ids: &[u16]) -> Targets {
    Targets::Only(ids.iter().copied().map(NodeId).collect())
}

#[test]
fn targets_are_nodes_that_are_up() {
    assert_eq!(ask(&Interest, "a", None).nodes(&VIEW), INTERESTED);
    assert_eq!(ask(&Broadcast, "a", None).nodes(&VIEW), LIVE);
    assert_eq!(nodes(&[4, 9, 2, 4]).nodes(&VIEW), [NodeId(2), NodeId(4)]);
    assert_eq!(Interest.generation(), 0);
}

#[test]
fn strategies_have_names() {
    #[derive(Debug)]
    struct Nowhere;
    impl Strategy for Nowhere {
        fn targets(&self, _message: &Outgoing<'_>, _view: &View<'_>) -> Targets {
            Targets::Only(Vec::new())
        }
    }
    let mut strategies = Strategies::new();
    strategies.register("nowhere", || Arc::new(Nowhere)).unwrap();
    assert_eq!(strategies.names().collect::<Vec<_>>(), ["broadcast", "interest", "nowhere"]);
    assert_eq!(ask(&*strategies.make("nowhere").unwrap(), "a", None), nodes(&[]));
    assert_eq!(ask(&*strategies.make("interest").unwrap(), "a", None), Targets::Interested);
    assert_eq!(ask(&*strategies.make("broadcast").unwrap(), "a", None), Targets::All);
    let unknown = strategies.make("intrest").unwrap_err().to_string();
    assert_eq!(
        unknown,
        "cluster: there is no strategy \"intrest\". Known are broadcast, interest, nowhere. Set \
         cluster.strategy to one of them, or register it before the node starts."
    );
    assert!(matches!(strategies.register("interest", || Arc::new(Nowhere)), Err(StrategyError::Taken(_))));
    for bad in ["", "a:x"] {
        assert!(matches!(strategies.register(bad, || Arc::new(Nowhere)), Err(StrategyError::BadName(_))));
    }
}

#[test]
fn a_kind_makes_a_strategy_from_an_argument() {
    let make = |argument: &str| -> Result<Arc<dyn Strategy>, BoxError> {
        if argument == "all" { Ok(Arc::new(Broadcast)) } else { Err(format!("no {argument:?}").into()) }
    };
    let mut strategies = Strategies::new();
    strategies.register_kind("only", "which", make).unwrap();
    assert_eq!(ask(&*strategies.make("only:all").unwrap(), "a", None), Targets::All);
    let failed = strategies.make("only:a:b").unwrap_err();
    let StrategyError::CannotBeMade { name, source } = &failed else { panic!("{failed:?}") };
    assert_eq!((name.as_str(), source.to_string()), ("only:a:b", "no \"a:b\"".to_owned()));
    let unknown = strategies.make("any:all").unwrap_err().to_string();
    assert!(unknown.contains("Known are broadcast, interest, only:<which>."), "{unknown}");
    assert!(matches!(strategies.register_kind("only", "which", make), Err(StrategyError::Taken(_))));
    assert!(matches!(strategies.register_kind("a:b", "which", make), Err(StrategyError::BadName(_))));
}
