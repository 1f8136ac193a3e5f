//! `shouwang aid answer`: yes, perhaps or no to one line of a request – signed only after the person has seen what would
//! be left for us.

use std::fmt::Write as _;

use clap::Args;
use shouwang_proto::v1::{AnswerAidRequest, AnswerKind, FloorView, Offer, PreviewAnswerRequest, PreviewAnswerResponse};

use super::client::{Client, carry, failure};
use super::output::table;
use super::parse::{self, OfferOf, When};
use super::render::{Heads, heads};
use super::text::clean;
use super::words::{self, dash, id, resource};
use crate::exit::{Exit, Failure};
use crate::lang::Lang;

/// Arguments of `shouwang aid answer`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("kind").required(true).args(["accept", "provisional", "decline"]))]
pub struct AnswerArgs {
    /// The request, by id or working number 请求
    request: String,
    /// The line, from 1 行号
    #[arg(long)]
    line: u32,
    /// Yes: we give this much; binding 同意，数量
    #[arg(long, value_name = "QTY", value_parser = parse::quantity)]
    accept: Option<u64>,
    /// Perhaps: we could give this much, but 有条件，数量
    #[arg(long, value_name = "QTY", value_parser = parse::quantity, requires = "reason")]
    provisional: Option<u64>,
    /// No, and why; the reason is kept and counts as legitimate 不能提供，理由
    #[arg(long, value_name = "REASON")]
    decline: Option<String>,
    /// Why only perhaps 条件或理由
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
    /// Out of which lot, repeated; auto takes first what expires first; none stands on what is pledged already
    /// 由哪一批次提供，可重复；auto 先到期先出；不写则依现有承诺
    #[arg(long = "offer", value_name = "LOT=QTY|auto", value_parser = parse::offer, conflicts_with_all = ["provisional", "decline"])]
    offers: Vec<OfferOf>,
    /// Until when the offers stand [default: two days] 提供有效期至
    #[arg(long, value_name = "TIME", default_value = "+2d", value_parser = parse::when, hide_default_value = true)]
    until: When,
    /// What it will cost the requester, all in, in yuan 费用合计（元）
    #[arg(long, value_name = "YUAN", default_value = "0", value_parser = parse::yuan)]
    cost: i64,
    /// Expected arrival 预计到达
    #[arg(long, value_name = "TIME", value_parser = parse::when)]
    eta: Option<When>,
    /// The signing leader's reason for crossing the floor 突破保底的理由
    #[arg(long, value_name = "REASON", default_value = "", hide_default_value = true)]
    cross_floor: String,
    /// Sign without asking, for scripts 不再询问，直接签发
    #[arg(long)]
    yes: bool,
}

impl AnswerArgs {
    /// The kind, the quantity and the reason.
    fn said(&self) -> (AnswerKind, u64, String) {
        match (self.accept, self.provisional, &self.decline) {
            (Some(quantity), ..) => (AnswerKind::Accept, quantity, String::new()),
            (_, Some(quantity), _) => (AnswerKind::Provisional, quantity, self.reason.clone()),
            (.., reason) => (AnswerKind::Decline, 0, reason.clone().unwrap_or_default()),
        }
    }

    /// How much would leave LOCAL.
    fn out_of_local(&self) -> u64 {
        if self.offers.contains(&OfferOf::Auto) {
            return self.accept.unwrap_or_default();
        }
        let lots = self.offers.iter().map(|offer| if let OfferOf::Lot(_, quantity) = offer { *quantity } else { 0 });
        // Not an offer yet, but what it would take says whether it is wise.
        lots.fold(0, u64::saturating_add).max(self.provisional.unwrap_or_default())
    }
}

/// Runs `shouwang aid answer`.
///
/// # Errors
/// As [`Client::change`]; not confirmed; `--offer auto` beside lots, or more than the suggested lots hold.
pub async fn run(client: &Client, args: AnswerArgs) -> Result<(), Failure> {
    let mut api = super::aid::api(client);
    let aid_request = client.aid_request(&args.request).await?;
    let query = PreviewAnswerRequest {
        region: client.region.clone(),
        aid_request: aid_request.clone(),
        line: args.line,
        quantity: args.out_of_local(),
        linearizable: client.linearizable,
    };
    let preview = client.done(api.preview_answer(client.request(query)).await)?;
    eprint!("{}", shown(&preview, client.lang));
    client.age(preview.region_as_of.as_ref());
    let offers = offers(&args, &preview)?;
    let (kind, quantity, reason) = args.said();
    let word = words::ANSWER_KIND.get(kind.into(), client.lang);
    client.confirm(
        args.yes,
        &format!("签发答复：{word} {quantity}？"),
        &format!("Sign the answer: {word} {quantity}?"),
    )?;
    let expires_at = if offers.is_empty() { None } else { Some(client.moment(args.until)) };
    carry!(
        client,
        api,
        "aid answer",
        answer_aid,
        AnswerAidRequest {
            region: client.region.clone(),
            aid_request,
            line: args.line,
            kind: kind.into(),
            quantity,
            reason,
            cost_fen: args.cost,
            eta: args.eta.map(|eta| client.moment(eta)),
            offers,
            expires_at,
            cross_floor: args.cross_floor,
        }
    )
}

fn offers(args: &AnswerArgs, preview: &PreviewAnswerResponse) -> Result<Vec<Offer>, Failure> {
    if !args.offers.contains(&OfferOf::Auto) {
        let lots = args.offers.iter().filter_map(|offer| match offer {
            OfferOf::Lot(lot, quantity) => Some(Offer { lot: lot.clone(), quantity: *quantity, pledge: String::new() }),
            OfferOf::Auto => None,
        });
        return Ok(lots.collect());
    }
    let taken = preview.choices.iter().filter(|choice| choice.suggested > 0);
    let offers: Vec<Offer> = taken
        .map(|choice| Offer { lot: choice.lot.clone(), quantity: choice.suggested, pledge: String::new() })
        .collect();
    let sum = offers.iter().map(|offer| offer.quantity).fold(0, u64::saturating_add);
    let wanted = args.accept.unwrap_or_default();
    if args.offers.len() > 1 || sum != wanted {
        return Err(failure(
            Exit::Usage,
            "OFFER",
            format!("--offer auto 须单独使用，且库存须够：应提供 {wanted}，可提供 {sum}"),
            format!("--offer auto stands alone and needs enough stock: wanted {wanted}, there is {sum}"),
        ));
    }
    Ok(offers)
}

/// "What is left for us", as lines for the terminal.
fn shown(preview: &PreviewAnswerResponse, lang: Lang) -> String {
    const LEFT: &Heads =
        &[("还剩多少", "LEFT FOR US"), ("可用", "USABLE"), ("保底", "FLOOR"), ("可承诺", "PLEDGEABLE")];
    const CHOICES: &Heads = &[
        ("批次", "LOT"),
        ("名称", "NAME"),
        ("可用", "AVAILABLE"),
        ("单位", "UNIT"),
        ("有效期至", "EXPIRES"),
        ("建议", "SUGGESTED"),
    ];
    let mut text = String::new();
    let (asked, open, free) = (preview.asked, preview.open, preview.pledged_free);
    let (what, colour) = (resource(preview.resource.as_ref()), words::WARNING.get(preview.warning, lang));
    // Writing to a String cannot fail, here and below.
    let _ = if lang == Lang::Zh {
        writeln!(text, "{what}：需求 {asked}，尚缺 {open}；我方已承诺未占用 {free}；当前预警 {colour}")
    } else {
        writeln!(text, "{what}: asked {asked}, still open {open}; pledged by us and free {free}; warning {colour}")
    };
    let row = |name: &str, left: Option<FloorView>| {
        let left = left.unwrap_or_default();
        vec![name.to_owned(), left.usable.to_string(), left.floor.to_string(), left.pledgeable.to_string()]
    };
    let left = [row(lang.pick("现在", "now"), preview.now), row(lang.pick("提供之后", "after"), preview.after)];
    text += &table(&heads(LEFT, lang), &left);
    let choices: Vec<Vec<String>> = preview
        .choices
        .iter()
        .map(|choice| {
            let quantities = (choice.available.to_string(), choice.suggested.to_string());
            let (title, unit) = (clean(&choice.title), clean(&choice.unit));
            vec![id(&choice.lot), title, quantities.0, unit, dash(&choice.expires), quantities.1]
        })
        .collect();
    if !choices.is_empty() {
        text += &table(&heads(CHOICES, lang), &choices);
    }
    if preview.more_than_there_is {
        let _ = writeln!(text, "{}", lang.pick("超过现有数量", "this is more than there is"));
    } else if preview.crosses_floor {
        let told = lang.pick(
            "将突破保底：须由签发人以 --cross-floor 写明理由",
            "this crosses the floor: the signing leader must give a reason with --cross-floor",
        );
        let _ = writeln!(text, "{told}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use shouwang_proto::v1::OfferChoice;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: AnswerArgs,
    }

    fn args(words: &str) -> Result<AnswerArgs, String> {
        let words = std::iter::once("answer").chain(words.split(' '));
        Line::try_parse_from(words).map(|line| line.args).map_err(|error| error.to_string())
    }

    fn preview() -> PreviewAnswerResponse {
        let choice = |lot: &str, suggested| OfferChoice {
            lot: lot.to_owned(),
            title: "气密型化学防护服".to_owned(),
            unit: "套".to_owned(),
            available: 30,
            suggested,
            ..OfferChoice::default()
        };
        PreviewAnswerResponse {
            resource: parse::resource("2990101").ok(),
            asked: 60,
            open: 60,
            now: Some(FloorView { usable: 60, floor: 20, pledgeable: 40 }),
            after: Some(FloorView { usable: 10, floor: 20, pledgeable: 0 }),
            crosses_floor: true,
            warning: 5,
            choices: vec![choice("lots/a", 30), choice("lots/b", 20), choice("lots/c", 0)],
            ..PreviewAnswerResponse::default()
        }
    }

    #[test]
    fn an_answer_is_one_of_three() {
        assert_eq!(args("R --line 1 --accept 50").unwrap().said(), (AnswerKind::Accept, 50, String::new()));
        let perhaps = args("R --line 1 --provisional 5 --reason later").unwrap();
        assert_eq!(perhaps.said(), (AnswerKind::Provisional, 5, "later".to_owned()));
        assert_eq!(perhaps.out_of_local(), 5);
        assert_eq!(args("R --line 1 --decline own-warning").unwrap().said().0, AnswerKind::Decline);
        for wrong in ["R --line 1", "R --accept 5", "R --line 1 --accept 5 --decline no", "R --line 1 --provisional 5"]
        {
            assert!(args(wrong).is_err(), "{wrong}");
        }
        assert!(args("R --line 1 --decline no --offer auto").is_err(), "nothing is offered with a no");
    }

    #[test]
    fn offers_come_from_the_lots_named_or_suggested() {
        let named = args("R --line 1 --accept 5 --offer lots/a=3 --offer lots/b=2").unwrap();
        assert_eq!(named.out_of_local(), 5);
        let told = offers(&named, &preview()).unwrap();
        assert_eq!((told.len(), told[1].lot.as_str(), told[1].quantity), (2, "lots/b", 2));
        let auto = args("R --line 1 --accept 50 --offer auto").unwrap();
        let told: Vec<u64> = offers(&auto, &preview()).unwrap().iter().map(|offer| offer.quantity).collect();
        assert_eq!((auto.out_of_local(), told), (50, vec![30, 20]));
        let short = args("R --line 1 --accept 60 --offer auto").unwrap();
        assert_eq!(offers(&short, &preview()).unwrap_err().exit, Exit::Usage);
        let standing = args("R --line 1 --accept 60").unwrap();
        assert!(offers(&standing, &preview()).unwrap().is_empty());
    }

    #[test]
    fn what_is_left_is_told_in_words_before_signing() {
        let zh = shown(&preview(), Lang::Zh);
        for told in ["尚缺 60", "还剩多少", "提供之后", "突破保底", "红", "建议"] {
            assert!(zh.contains(told), "{told}: {zh}");
        }
        let en = shown(&preview(), Lang::En);
        assert!(en.contains("crosses the floor") && en.contains("LEFT FOR US"), "{en}");
    }
}
