//! How the command line explains itself: help in both languages with examples, and in Chinese what was wrong with a
//! command line.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory as _, FromArgMatches as _};

use super::Cli;
use crate::exit::Exit;
use crate::lang::Lang;

const TEMPLATE: &str = "{before-help}{about-with-newline}\nUsage 用法: {usage}\n\n{all-args}{after-help}";

/// Typical command lines, shown with the help of their commands; ID stands for an id. Each is tested to parse.
const EXAMPLES: &str = "\
shouwang charter draft draft.toml --out charter.json
shouwang stock import 台账.xlsx --catalogue 目录.csv --dry-run
shouwang stock import 台账.xlsx --catalogue 目录.csv
shouwang stock add 气密型化学防护服 --resource 2990101 --qty 60 --unit 套 --store 危化库
shouwang team import 队伍.csv --catalogue 目录.csv
shouwang floor set 2990101 --none 10 --orange 40 --red 60
shouwang floor show 2990101
shouwang warning set red
shouwang warning set none
shouwang publish set 2990101 --as banded
shouwang pledge make --lot ID --qty 50 --until +30d
shouwang aid request --line 2990101=60:气密型化学防护服 --line team:hazmat=2 \\
    --subject 乌达工业园氯气泄漏 --place 乌达区工业园东门 --needed-by +4h
shouwang aid answer 乌-需-2026-0001 --line 1 --accept 50 --offer auto --eta +3h
shouwang aid answer 乌-需-2026-0001 --line 1 --decline 本市红色预警，防护服低于保底
shouwang aid hold 乌-需-2026-0001 --line 1 --pledge ID --qty 30
shouwang aid order ID
shouwang aid order ID --spoken
shouwang mission list
shouwang mission list --own
shouwang mission dispatch 乌-调-2026-0001 --qty 30 --seal 封-0012 --at 01:20
shouwang mission receive 乌-调-2026-0001 --store 危化库 --good 29 --damaged 1
shouwang mission use 乌-调-2026-0001 --consumed 41 --damaged 3
shouwang mission send-back 乌-调-2026-0001 --total 16
shouwang mission relay 乌-调-2026-0001 --code 12345678 --qty 30
shouwang obligation claim ID --evidence 交接单-0012
shouwang discrepancy accept ID/return_damaged
shouwang restock receive ID --qty 22 --store 危化库 --expires 2036-01-01
shouwang restock verify ID --accepted 22
shouwang outcome ID
shouwang watch
shouwang watch --from 1 --once -o json
shouwang situation --watch
shouwang situation -o json
shouwang report region
shouwang report region --at 120 -o json
shouwang ledger verify --charter charter.json
shouwang ledger history 乌-调-2026-0001
shouwang ledger history published/150300/2990101
shouwang ledger history lots/ID --registry
shouwang region status
shouwang region admit member.toml
";

/// The examples of one command, each with its further lines.
fn examples(path: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for line in EXAMPLES.lines() {
        match all.last_mut().filter(|_| line.starts_with(' ')) {
            Some(last) => *last = format!("{last}\n{line}"),
            None => all.push(line.to_owned()),
        }
    }
    let start = format!("shouwang {path} ");
    all.retain(|line| format!("{line} ").starts_with(&start) && !path.is_empty());
    all
}

/// Reads the command line of this process.
///
/// # Errors
/// Help or the version was asked for, or the command line is wrong; it has been told, and this is the exit code.
pub fn parse() -> Result<Cli, ExitCode> {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let read = command().try_get_matches_from(&arguments).and_then(|matches| Cli::from_arg_matches(&matches));
    read.map_err(|error| {
        if error.use_stderr() && language(&arguments) == Lang::Zh {
            let told = in_chinese(&error);
            if !told.is_empty() {
                eprintln!("shouwang: {told}\n");
            }
        }
        // A reader that has gone is none to tell.
        let _ = error.print();
        if error.use_stderr() { Exit::Usage.into() } else { Exit::Ok.into() }
    })
}

/// The whole command line, with help in both languages.
pub fn command() -> Command {
    let mut command = Cli::command();
    command.build();
    dress(command, "")
}

fn dress(command: Command, path: &str) -> Command {
    // A noun shows its verbs; the verbs show how they are used.
    let verbs = command.get_subcommands().next().is_some();
    let examples = if verbs { Vec::new() } else { examples(path) };
    let command = if examples.is_empty() {
        command
    } else {
        command.after_help(format!("Examples 示例:\n  {}", examples.join("\n").replace('\n', "\n  ")))
    };
    let command = command.help_template(TEMPLATE).subcommand_help_heading("Commands 命令").mut_args(|argument| {
        let argument = match argument.get_id().as_str() {
            "help" => argument
                .help("Print help; -h is shorter 显示帮助，-h 为简要")
                .long_help(None::<&str>)
                .help_heading("General 通用"),
            "version" => argument.help("Print the version 显示版本").help_heading("General 通用"),
            _ => argument,
        };
        if argument.get_help_heading().is_some() {
            return argument;
        }
        let heading = if argument.is_positional() { "Arguments 参数" } else { "Options 选项" };
        argument.help_heading(heading)
    });
    command.mut_subcommands(|verb| {
        let name = verb.get_name().to_owned();
        let verb = if name == "help" { verb.about("Print the help of a command 显示命令的帮助") } else { verb };
        dress(verb, format!("{path} {name}").trim())
    })
}

/// The reader's language, of a command line that may be wrong.
fn language(arguments: &[OsString]) -> Lang {
    let texts: Vec<_> = arguments.iter().map(|argument| argument.to_string_lossy()).collect();
    let after = texts.iter().position(|text| text == "--lang").and_then(|at| texts.get(at + 1));
    let flag = texts.iter().find_map(|text| text.strip_prefix("--lang=")).or(after.map(AsRef::as_ref));
    let variable = |name: &str| std::env::var(name).ok();
    let chosen = flag.map(str::to_owned).or_else(|| variable("SHOUWANG_LANG"));
    Lang::choose(chosen.as_deref().and_then(Lang::of_locale), variable)
}

/// What is wrong with a command line; the details follow as the parser tells them.
fn in_chinese(error: &clap::Error) -> String {
    let of = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join("、"),
        _ => String::new(),
    };
    let argument = of(ContextKind::InvalidArg);
    let hint = |kind| {
        Some(of(kind)).filter(|text| !text.is_empty()).map_or_else(String::new, |text| format!("；是否指 {text}？"))
    };
    match error.kind() {
        ErrorKind::InvalidValue | ErrorKind::ValueValidation if of(ContextKind::InvalidValue).is_empty() => {
            format!("{argument} 缺少取值")
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let (value, hint) = (of(ContextKind::InvalidValue), hint(ContextKind::SuggestedValue));
            format!("{argument} 的取值“{value}”不合要求{hint}")
        }
        ErrorKind::UnknownArgument => format!("没有参数 {argument}{}", hint(ContextKind::SuggestedArg)),
        ErrorKind::InvalidSubcommand => {
            let (name, hint) = (of(ContextKind::InvalidSubcommand), hint(ContextKind::SuggestedSubcommand));
            format!("没有命令 {name}{hint}")
        }
        ErrorKind::MissingRequiredArgument => format!("缺少必需的参数：{argument}"),
        ErrorKind::ArgumentConflict => {
            let other = of(ContextKind::PriorArg);
            if other.is_empty() || other == argument {
                format!("{argument} 不能重复")
            } else {
                format!("{argument} 不能与 {other} 同时使用")
            }
        }
        ErrorKind::TooFewValues | ErrorKind::TooManyValues | ErrorKind::WrongNumberOfValues => {
            format!("{argument} 的取值个数不对")
        }
        ErrorKind::InvalidUtf8 => "命令行中有非 UTF-8 字符".to_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(line: &str) -> clap::Error {
        command().try_get_matches_from(line.split_whitespace()).unwrap_err()
    }

    #[test]
    fn every_line_of_help_stands_in_both_languages() {
        fn chinese(command: &Command) {
            let han = |text: &str| text.chars().any(|letter| ('\u{4e00}'..='\u{9fff}').contains(&letter));
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            assert!(han(&about), "{}: {about}", command.get_name());
            // Of the help of help nobody needs help.
            if command.get_name() == "help" {
                return;
            }
            for argument in command.get_arguments() {
                let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(han(&help), "{} {}: {help}", command.get_name(), argument.get_id());
                assert!(argument.get_help_heading().is_some_and(han), "{} {}", command.get_name(), argument.get_id());
                for value in argument.get_possible_values() {
                    let help = value.get_help().map(ToString::to_string).unwrap_or_default();
                    let named = ["json", "yaml", "true", "false"].contains(&value.get_name());
                    assert!(named || han(&help), "{} {}: {help}", argument.get_id(), value.get_name());
                }
            }
            command.get_subcommands().for_each(chinese);
        }
        chinese(&command());
    }

    #[test]
    fn examples_work() {
        let id = "01890a5d-0000-7000-8000-000000000001";
        let whole = EXAMPLES.replace("\\\n", " ").replace(" ID", &format!(" {id}")).replace("/ID", &format!("/{id}"));
        for line in whole.lines() {
            // What the command line takes as any text, the node must know as a name.
            if let Some(object) = line.strip_prefix("shouwang ledger history ") {
                let object = object.split(' ').next().unwrap_or_default();
                assert!(crate::api::object::read(object, |_| Vec::new()).is_ok(), "{line}");
            }
            if let Err(error) = command().try_get_matches_from(line.split_whitespace()) {
                panic!("{line}\n{error}");
            }
        }
        let help = failed("shouwang aid request --help").to_string();
        let end = "Examples 示例:\n  shouwang aid request --line 2990101=60:气密型化学防护服 --line team:hazmat=2 \\\n      \
                   --subject 乌达工业园氯气泄漏 --place 乌达区工业园东门 --needed-by +4h\n";
        assert!(help.ends_with(end), "{help}");
        assert_eq!(examples("aid order").len(), 2);
        assert!(!failed("shouwang aid --help").to_string().contains("Examples"));
    }

    #[test]
    fn help_shows_what_is_the_commands_own_first() {
        let help = failed("shouwang aid order --help").to_string();
        let places =
            ["Usage 用法:", "Arguments 参数:", "Options 选项:", "Connection 连接:", "General 通用:", "Examples 示例:"]
                .map(|heading| help.find(heading).unwrap_or_else(|| panic!("{heading}: {help}")));
        assert!(places.is_sorted(), "{places:?}: {help}");
        assert!(failed("shouwang help aid order").to_string().contains("Usage 用法:"));
    }

    #[test]
    fn what_is_wrong_is_told_in_chinese() {
        for (line, told) in [
            ("shouwang situationn", "没有命令 situationn；是否指 situation？"),
            ("shouwang situation --wach", "没有参数 --wach；是否指 --watch？"),
            ("shouwang situation --every soon", "--every <SECONDS> 的取值“soon”不合要求"),
            ("shouwang situation --lang fr", "--lang <LANG> 的取值“fr”不合要求"),
            ("shouwang situation --rows", "--rows <N> 缺少取值"),
            ("shouwang aid close", "缺少必需的参数：<REQUEST>"),
            ("shouwang situation --watch --watch", "--watch 不能重复"),
            (
                "shouwang aid answer x --line 1 --accept 1 --decline y",
                "--accept <QTY> 不能与 --decline <REASON> 同时使用",
            ),
        ] {
            assert_eq!(in_chinese(&failed(line)), told, "{line}");
        }
        assert_eq!(in_chinese(&failed("shouwang --help")), "");
    }

    #[test]
    fn the_language_is_found_in_a_line_that_does_not_parse() {
        let of = |line: &str| language(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert_eq!((of("shouwang --lang zh x"), of("shouwang x --lang=zh")), (Lang::Zh, Lang::Zh));
        assert_eq!(of("shouwang --lang en --lang"), Lang::En);
    }
}
