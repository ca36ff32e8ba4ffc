//! Scripts that are right, wrong, endless and malicious.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use proptest::prelude::*;
use skein_cluster::strategy::{Strategies, StrategyError};
use skein_testkit::TestDirectory;
use skein_types::{ClientId, Moment, NodeId, Topic};

use super::{
    Outgoing, SCRIPT_BYTES_MAX, Script, ScriptError, ScriptFigures, ScriptFileError, Strategy, Targets, View,
    add_scripts,
};

const INTERESTED: [NodeId; 2] = [NodeId(2), NodeId(4)];
const LIVE: [NodeId; 3] = [NodeId(2), NodeId(3), NodeId(4)];
const VIEW: View<'_> = View { interested: &INTERESTED, live: &LIVE };

fn topic(text: &str) -> Topic {
    Topic::new(text.into()).unwrap()
}

fn ask(strategy: &dyn Strategy, text: &str, publisher: Option<&str>) -> Targets {
    let publisher = publisher.map(ClientId::new);
    strategy.targets(&Outgoing { topic: &topic(text), publisher: publisher.as_ref() }, &VIEW)
}

/// A script whose time stands still.
fn script(body: &str) -> Script {
    let text = format!("fn targets(topic, publisher, interested, live) {{ {body} }}");
    Script::with_clock(&text, || Moment::ZERO).unwrap()
}

fn nodes(ids: &[u16]) -> Targets {
    Targets::Only(ids.iter().copied().map(NodeId).collect())
}

/// The script failed once, and the message goes to all.
#[track_caller]
fn assert_falls_back(script: &Script) {
    assert_eq!(ask(script, "a/b", None), Targets::All);
    assert_eq!(script.figures(), ScriptFigures { runs: 1, cached: 0, failed: 1 });
}

#[test]
fn a_script_comes_from_a_file_and_is_replaced() {
    let directory = TestDirectory::create("script");
    let all = "fn targets(topic, publisher, interested, live) { \"all\" }";
    let file = directory.write("strategy.rhai", all);
    let mut strategies = Strategies::new();
    add_scripts(&mut strategies).unwrap();
    let made = strategies.make(&format!("script:{}", file.display())).unwrap();
    assert_eq!(ask(&*made, "a", None), Targets::All);
    let nowhere = strategies.make("script:/nowhere/x.rhai").unwrap_err();
    assert!(
        matches!(&nowhere, StrategyError::CannotBeMade { source, .. }
        if matches!(source.downcast_ref(), Some(ScriptFileError::File { .. }))),
        "{nowhere:?}"
    );
    fs::write(&file, [0xFF, 0xFE]).unwrap();
    assert!(matches!(Script::from_file(&file), Err(ScriptFileError::File { .. })));
    fs::write(&file, format!("{all}//{}", "x".repeat(SCRIPT_BYTES_MAX as usize))).unwrap();
    let too_long = Script::from_file(&file).unwrap_err();
    assert!(matches!(too_long, ScriptFileError::Script { reason: ScriptError::TooLong, .. }), "{too_long}");

    fs::write(&file, all).unwrap();
    let script = Script::from_file(&file).unwrap();
    fs::write(&file, "fn targets(topic, publisher, interested, live) { [3] }").unwrap();
    assert_eq!(ask(&script, "a", None), Targets::All);
    let before = script.generation();
    script.reload_file(&file).unwrap();
    assert_ne!(script.generation(), before);
    assert_eq!(ask(&script, "a", None), nodes(&[3]));
    fs::write(&file, "fn targets(").unwrap();
    let generation = script.generation();
    assert!(script.reload_file(&file).is_err());
    assert_eq!(
        (ask(&script, "a", None), script.generation()),
        (nodes(&[3]), generation),
        "what was in use stays"
    );
}

#[test]
fn a_script_sees_what_it_is_asked_about() {
    let by_topic = script(
        r#"if topic.starts_with("local/") { return []; }
           if topic == "all" { return "all"; }
           if publisher == "bridge" { return live.filter(|node| node != 3); }
           if publisher == () { return interested; }
           "interested""#,
    );
    assert_eq!(ask(&by_topic, "local/a", Some("c")), nodes(&[]));
    assert_eq!(ask(&by_topic, "all", Some("c")), Targets::All);
    assert_eq!(ask(&by_topic, "x", Some("bridge")), nodes(&[2, 4]));
    assert_eq!(ask(&by_topic, "x", Some("c")), Targets::Interested);
    assert_eq!(ask(&by_topic, "x", None), nodes(&[2, 4]));
    assert_eq!(by_topic.figures(), ScriptFigures { runs: 5, cached: 0, failed: 0 });
    assert_eq!(ask(&script("[4, 2, 4]"), "x", None), nodes(&[2, 4]), "sorted, each once");
    let longest = "a".repeat(65_535);
    let echo = script("if topic.len() == 65535 && (topic + topic).len() == 131070 { [2] } else { [3] }");
    assert_eq!(ask(&echo, &longest, None), nodes(&[2]), "the longest topic can be worked with");
}

#[test]
fn an_answer_is_kept_for_the_same_question() {
    let script = script("interested");
    let (one, other) = (ClientId::new("one"), topic("b"));
    let a = topic("a");
    let same = Outgoing { topic: &a, publisher: Some(&one) };
    for _ in 0..10 {
        script.targets(&same, &VIEW);
    }
    assert_eq!(script.figures(), ScriptFigures { runs: 1, cached: 9, failed: 0 });
    script.targets(&Outgoing { publisher: None, ..same }, &VIEW);
    script.targets(&Outgoing { topic: &other, ..same }, &VIEW);
    assert_eq!(script.figures().runs, 3);
    let fewer = View { interested: &[NodeId(2)], live: &[NodeId(2)] };
    assert_eq!(script.targets(&same, &fewer), nodes(&[2]), "no answer from before a node went");
    assert_eq!(script.figures().runs, 4);
}

#[test]
fn a_script_that_is_none_is_refused() {
    for garbage in ["fn targets(topic", "\u{0}\u{1}", "let x = ;", "}}}}", "import \"x\" as y;"] {
        assert!(matches!(Script::new(garbage), Err(ScriptError::Compile(_))), "{garbage:?}");
    }
    let evil = "fn targets(topic, publisher, interested, live) { eval(\"1\") }";
    assert!(matches!(Script::new(evil), Err(ScriptError::Compile(_))), "there is no eval");
    for other in ["", "fn targets(topic) { [] }", "fn target(topic, publisher, interested, live) { [] }"] {
        assert_eq!(Script::new(other).err(), Some(ScriptError::NoFunction), "{other:?}");
    }
    let long = "x".repeat(SCRIPT_BYTES_MAX as usize + 1);
    assert_eq!(Script::new(&long).err(), Some(ScriptError::TooLong));
    for depth in [1_000, 50_000] {
        let deep = format!("fn targets(a, b, c, d) {{ {}1{} }}", "(".repeat(depth), ")".repeat(depth));
        assert!(matches!(Script::new(&deep), Err(ScriptError::Compile(_))), "{depth}");
        let blocks = format!("fn targets(a, b, c, d) {{ {}1{} }}", "{".repeat(depth), "}".repeat(depth));
        assert!(matches!(Script::new(&blocks), Err(ScriptError::Compile(_))), "{depth}");
        let negations = format!("fn targets(a, b, c, d) {{ {}1 }}", "!".repeat(depth));
        assert!(matches!(Script::new(&negations), Err(ScriptError::Compile(_))), "{depth}");
    }
}

#[test]
fn what_is_not_an_answer_means_all() {
    for body in [
        "",
        "7",
        "true",
        "\"most\"",
        "[\"2\"]",
        "[2, ()]",
        "#{a: 1}",
        "[9]",
        "[-1]",
        "[65536 + 2]",
        "[1 << 40]",
        "throw \"no\"",
        "nowhere(topic)",
        "undefined",
        "1 / 0",
        "live[99]",
        "topic.x.y",
        "[[2]]",
        "9223372036854775807 + 1",
    ] {
        assert_falls_back(&script(body));
    }
}

#[test]
fn work_without_end_means_all() {
    for body in [
        "loop { }",
        "while true { let x = 1; }",
        "let x = 0; loop { x += 1; }",
        "for i in 0..9223372036854775807 { }",
        "targets(topic, publisher, interested, live)",
        "fn deeper(n) { deeper(n + 1) } deeper(0)",
        "let f = |n| n; loop { f.call(1); }",
        "let s = \"x\"; loop { s += s; }",
        "let a = []; loop { a.push(a); }",
        "let a = [1]; loop { a += a; }",
        "let a = []; a.pad(1000000000, 0); a",
        "let s = \"\"; s.pad(1000000000, 'x'); s",
        "let m = #{}; let i = 0; loop { m[\"k\" + i] = i; i += 1; }",
        "let b = blob(1000000000, 0); [2]",
        "throw \"x\".sub_string(0, 1) + topic + topic + topic + loop { }",
    ] {
        let started = Instant::now();
        let text = if let Some(rest) = body.strip_prefix("fn deeper") {
            let (function, call) = rest.split_once("} ").unwrap();
            format!("fn deeper{function}}} fn targets(topic, publisher, interested, live) {{ {call} }}")
        } else {
            format!("fn targets(topic, publisher, interested, live) {{ {body} }}")
        };
        let script = Script::with_clock(&text, || Moment::ZERO).unwrap();
        assert_falls_back(&script);
        // Generous for a build without optimisation on a busy machine; each takes a few milliseconds.
        assert!(started.elapsed() < Duration::from_secs(5), "{body}: {:?}", started.elapsed());
    }
}

/// A script on a thread with little stack, as threads of a server have it.
#[test]
fn recursion_ends_before_the_stack_does() {
    let deep = "fn f(n) { let a = [[[n + (1 + (1 + f(n + 1)))]]]; if n > 0 { if n > 0 { f(n + 1) } } } \
                fn targets(topic, publisher, interested, live) { f(1) }";
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    let thread = thread.spawn(move || assert_falls_back(&Script::with_clock(deep, || Moment::ZERO).unwrap()));
    thread.unwrap().join().unwrap();
}

#[test]
fn the_clock_ends_a_run_too() {
    let millis = Arc::new(AtomicU64::new(0));
    let clock = millis.clone();
    let body = "fn targets(topic, publisher, interested, live) { let x = 0; while x < 200 { x += 1; } [2] }";
    let script = Script::with_clock(body, move || Moment::from_millis(clock.fetch_add(1, Relaxed))).unwrap();
    assert_eq!(ask(&script, "a", None), nodes(&[2]), "a few looks at the clock, a millisecond each");
    let clock = Arc::new(AtomicU64::new(0));
    let slow = move || Moment::from_millis(clock.fetch_add(40, Relaxed));
    assert_falls_back(&Script::with_clock(body, slow).unwrap());
}

/// Steps that are slow ones: the real clock ends them.
#[test]
fn slow_steps_are_ended_by_the_clock() {
    for body in [
        "let s = topic + topic; loop { s + \"\"; }",
        "let s = topic; loop { s.index_of(\"b\"); s.to_upper(); }",
        "let a = []; for i in 0..4096 { a.push(-i); } loop { let b = a; b.sort(); b.reverse(); b == a; }",
        "let a = []; for i in 0..64 { a.push(topic.sub_string(0, 1000)); } loop { a.contains(\"x\"); let b = a + []; }",
        "loop { topic.split(\"a\"); }",
        "let s = topic; loop { s.replace(\"a\", \"b\"); s.replace(\"b\", \"a\"); }",
    ] {
        let text = format!("fn targets(topic, publisher, interested, live) {{ {body} }}");
        let script = Script::new(&text).unwrap();
        let started = Instant::now();
        assert_eq!(ask(&script, &"a".repeat(60_000), None), Targets::All, "{body}");
        println!("{:?} {body}", started.elapsed());
        assert_eq!(script.figures().failed, 1, "{body}");
        assert!(started.elapsed() < Duration::from_secs(5), "{body}: {:?}", started.elapsed());
    }
}

#[test]
fn a_script_keeps_nothing_between_runs() {
    let text =
        "let seen = 1; fn targets(topic, publisher, interested, live) { if seen == 1 { [2] } else { [3] } }";
    let script = Script::with_clock(text, || Moment::ZERO).unwrap();
    assert_falls_back(&script);
}

#[test]
fn threads_share_a_script() {
    let script = Arc::new(script("if topic.len() % 2 == 0 { [2] } else { loop {} }"));
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let script = script.clone();
            std::thread::spawn(move || {
                for number in 0..50 {
                    let name = format!("{thread}/{}", "a".repeat(number));
                    let expected = if name.len() % 2 == 0 { nodes(&[2]) } else { Targets::All };
                    assert_eq!(ask(&*script, &name, None), expected);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let figures = script.figures();
    assert_eq!((figures.runs, figures.failed), (200, 100));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a text is made of, there is an answer that can be used, and no panic.
    #[test]
    fn any_text_ends_in_an_answer(
        parts in proptest::collection::vec(
            prop_oneof![
                Just("live"), Just("topic"), Just("["), Just("]"), Just("("), Just(")"), Just("{"), Just("}"), Just("|x|"),
                Just("+"), Just("."), Just("if "), Just("loop "), Just("let x ="), Just("x"), Just(";"), Just("fn "),
                Just("map"), Just("filter"), Just("2"), Just("\"a\""), Just("`${"), Just("return "), Just("#{"), Just(","),
                Just("switch "), Just("=>"), Just("throw "), Just("try "), Just("catch "), Just("&&"), Just("len"), Just(" "),
            ],
            0..40,
        ),
    ) {
        let text = format!("fn targets(topic, publisher, interested, live) {{ {} }}", parts.concat());
        if let Ok(script) = Script::with_clock(&text, || Moment::ZERO) {
            let nodes = ask(&script, "a/b", Some("c")).nodes(&VIEW);
            prop_assert!(nodes.iter().all(|node| LIVE.contains(node)));
        }
    }
}
