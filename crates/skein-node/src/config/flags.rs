//! Picks the flags that set keys out of the arguments of the program.

use super::{
    Config,
    fault::{Fault, Faults, Origin},
};

/// Flags that set keys, and the arguments that are left for the program, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SplitArguments {
    /// Names without dashes, and their values.
    pub flags: Vec<(String, String)>,
    /// Everything else.
    pub rest: Vec<String>,
}

/// Takes `--section.key value` and `--section.key=value` out of `arguments`; a key that is true or false may stand alone
/// and then means true. What comes after `--` is left alone.
///
/// # Errors
/// A flag without its value.
pub fn split_arguments(arguments: impl IntoIterator<Item = String>) -> Result<SplitArguments, Faults> {
    let keys = Config::keys();
    let mut split = SplitArguments::default();
    let mut faults = Vec::new();
    let mut arguments = arguments.into_iter().peekable();
    while let Some(argument) = arguments.next() {
        if argument == "--" {
            split.rest.push(argument);
            split.rest.extend(arguments.by_ref());
            break;
        }
        let flag = argument
            .strip_prefix("--")
            .filter(|flag| flag.split('=').next().is_some_and(|name| name.contains('.')));
        let Some(flag) = flag else {
            split.rest.push(argument);
            continue;
        };
        if let Some((name, value)) = flag.split_once('=') {
            split.flags.push((name.to_owned(), value.to_owned()));
            continue;
        }
        let is_switch = keys.iter().any(|key| key.name == flag && key.kind == "true or false");
        let next = arguments
            .next_if(|next| !next.starts_with("--") && (!is_switch || next == "true" || next == "false"));
        match next {
            Some(value) => split.flags.push((flag.to_owned(), value)),
            None if is_switch => split.flags.push((flag.to_owned(), "true".to_owned())),
            None => {
                let text = format!("has no value; write --{flag} VALUE or --{flag}=VALUE");
                faults.push(Fault { origin: Origin::Flag(flag.to_owned()), text });
            }
        }
    }
    Faults::from_found(faults)?;
    Ok(split)
}
