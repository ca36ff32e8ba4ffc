//! Runs the text of a script where it can do no harm: no files, no modules, no `eval`, bounded work, depth and memory.
//!
//! Whatever is in the text, a run ends soon with nodes or an error. Only [`super::Script`] calls it.

use std::{cell::Cell, sync::Arc, time::Duration};

use rhai::{
    AST, Array, CallFnOptions, Dynamic, Engine, EvalAltResult, INT, Scope,
    packages::{
        ArithmeticPackage, BasicArrayPackage, BasicBlobPackage, BasicFnPackage, BasicIteratorPackage,
        BasicMapPackage, BasicMathPackage, LanguageCorePackage, LogicPackage, MoreStringPackage, Package,
    },
};
use skein_cluster::strategy::{Outgoing, Targets, View};
use skein_types::{Moment, NodeId};

/// A larger script is refused.
pub const SCRIPT_BYTES_MAX: u64 = 256 * 1024;
/// Steps a run may take: about a hundred thousand bytes of plain work, far below a millisecond for sensible scripts.
const OPERATIONS_MAX: u64 = 50_000;
/// What a run may take by the clock, should its steps be slow ones; a route that is made waits for it.
const RUN_TIME_MAX: Duration = Duration::from_millis(50);
/// The clock is looked at once in so many steps.
const CLOCK_OPERATIONS: u64 = 64;
/// Calls within calls: each costs some kilobytes of the caller's stack.
const CALL_LEVELS_MAX: usize = 12;
/// Nesting of expressions, outside and inside of functions.
const EXPRESSION_DEPTH_MAX: (usize, usize) = (48, 32);
/// The longest text, which a topic has to fit into.
const STRING_BYTES_MAX: usize = 128 * 1024;
/// The longest list: more than nodes of any cluster that a full mesh of links can be.
const ARRAY_SIZE_MAX: usize = 4_096;
const MAP_SIZE_MAX: usize = 4_096;
const VARIABLES_MAX: usize = 256;
const FUNCTIONS_MAX: usize = 256;

/// What the script has to define.
const FUNCTION: &str = "targets";
const PARAMETERS: usize = 4;

/// Why a script is refused, or a run of it gives no nodes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// It is larger than any should be.
    #[error("the script has more than {SCRIPT_BYTES_MAX} bytes")]
    TooLong,
    /// It is no script.
    #[error("the script cannot be compiled: {0}")]
    Compile(String),
    /// The function is missing.
    #[error(
        "the script has no function targets(topic, publisher, interested, live) with these four parameters"
    )]
    NoFunction,
    /// It went wrong.
    #[error("the script failed: {0}")]
    Run(String),
    /// It ran for too long.
    #[error("the script ran longer than {} ms", RUN_TIME_MAX.as_millis())]
    OutOfTime,
    /// It returned something else.
    #[error(
        "the script returned {0}; it has to return an array of numbers of nodes, \"interested\" or \"all\""
    )]
    WrongType(String),
    /// It named a node that is not up.
    #[error("the script named node {0}, which is not among those that are up")]
    UnknownNode(INT),
}

/// The time, for the bound of a run.
pub(super) type Clock = Arc<dyn Fn() -> Moment + Send + Sync>;

thread_local! {
    /// When the run on this thread has to end. The interpreter asks in the course of a run and does not say of which.
    static RUN_ENDS: Cell<Moment> = const { Cell::new(Moment::NEVER) };
}

/// The interpreter; it is the same for all scripts.
pub(super) struct Sandbox {
    engine: Engine,
    clock: Clock,
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sandbox")
    }
}

impl Sandbox {
    pub(super) fn new(clock: Clock) -> Self {
        let mut engine = Engine::new_raw();
        LanguageCorePackage::new().register_into_engine(&mut engine);
        ArithmeticPackage::new().register_into_engine(&mut engine);
        LogicPackage::new().register_into_engine(&mut engine);
        BasicMathPackage::new().register_into_engine(&mut engine);
        BasicFnPackage::new().register_into_engine(&mut engine);
        BasicIteratorPackage::new().register_into_engine(&mut engine);
        BasicArrayPackage::new().register_into_engine(&mut engine);
        BasicBlobPackage::new().register_into_engine(&mut engine);
        BasicMapPackage::new().register_into_engine(&mut engine);
        MoreStringPackage::new().register_into_engine(&mut engine);
        engine
            .disable_symbol("eval")
            .set_max_operations(OPERATIONS_MAX)
            .set_max_call_levels(CALL_LEVELS_MAX)
            .set_max_expr_depths(EXPRESSION_DEPTH_MAX.0, EXPRESSION_DEPTH_MAX.1)
            .set_max_string_size(STRING_BYTES_MAX)
            .set_max_array_size(ARRAY_SIZE_MAX)
            .set_max_map_size(MAP_SIZE_MAX)
            .set_max_variables(VARIABLES_MAX)
            .set_max_functions(FUNCTIONS_MAX)
            .set_allow_shadowing(true);
        let now = clock.clone();
        engine.on_progress(move |operations| {
            let look = operations % CLOCK_OPERATIONS == 0;
            (look && now() > RUN_ENDS.get()).then_some(Dynamic::UNIT)
        });
        Self { engine, clock }
    }

    /// Makes a text ready to be run.
    pub(super) fn compile(&self, text: &str) -> Result<AST, ScriptError> {
        if text.len() as u64 > SCRIPT_BYTES_MAX {
            return Err(ScriptError::TooLong);
        }
        let compiled = self.engine.compile(text).map_err(|error| ScriptError::Compile(error.to_string()))?;
        let mut functions = compiled.iter_functions();
        if !functions.any(|function| function.name == FUNCTION && function.params.len() == PARAMETERS) {
            return Err(ScriptError::NoFunction);
        }
        // Statements outside of functions would be run for each question; nothing they do can be seen in the function.
        Ok(compiled.clone_functions_only())
    }

    /// Asks a script.
    pub(super) fn run(
        &self,
        script: &AST,
        message: &Outgoing<'_>,
        view: &View<'_>,
    ) -> Result<Targets, ScriptError> {
        let publisher =
            message.publisher.map_or(Dynamic::UNIT, |publisher| Dynamic::from(publisher.as_str().to_owned()));
        let arguments =
            (message.topic.as_str().to_owned(), publisher, numbers(view.interested), numbers(view.live));
        RUN_ENDS.set((self.clock)().after(RUN_TIME_MAX));
        let options = CallFnOptions::new().eval_ast(false);
        let result = self.engine.call_fn_with_options::<Dynamic>(
            options,
            &mut Scope::new(),
            script,
            FUNCTION,
            arguments,
        );
        RUN_ENDS.set(Moment::NEVER);
        match result {
            Ok(value) => targets(value, view),
            Err(error) => Err(match *error {
                EvalAltResult::ErrorTerminated(..) => ScriptError::OutOfTime,
                other => ScriptError::Run(short(&other.to_string())),
            }),
        }
    }
}

fn numbers(nodes: &[NodeId]) -> Array {
    nodes.iter().map(|node| Dynamic::from(INT::from(node.0))).collect()
}

fn targets(value: Dynamic, view: &View<'_>) -> Result<Targets, ScriptError> {
    let name = value.type_name();
    if let Ok(text) = value.as_immutable_string_ref() {
        return match text.as_str() {
            "interested" => Ok(Targets::Interested),
            "all" => Ok(Targets::All),
            other => Err(ScriptError::WrongType(format!("{:?}", short(other)))),
        };
    }
    let Ok(array) = value.into_array() else {
        return Err(ScriptError::WrongType(format!("a value of type {name}")));
    };
    let mut nodes = Vec::with_capacity(array.len().min(view.live.len()));
    for value in array {
        let name = value.type_name();
        let number = value
            .as_int()
            .map_err(|_other| ScriptError::WrongType(format!("an array that holds a {name}")))?;
        let node =
            u16::try_from(number).ok().map(NodeId).filter(|node| view.live.binary_search(node).is_ok());
        nodes.push(node.ok_or(ScriptError::UnknownNode(number))?);
    }
    nodes.sort_unstable();
    nodes.dedup();
    Ok(Targets::Only(nodes))
}

/// A script can throw a text of any length; the log gets its beginning.
fn short(text: &str) -> String {
    text.chars().take(200).collect()
}
