//! Who owes whom: by pair of members, and by member with columns that sum to zero (domain.md §6.10).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use shouwang_domain::ids::MunicipalityCode;
use shouwang_domain::region::lifecycle::ObligationState;
use shouwang_domain::region::state::{DebtKind, Obligation};

use super::ObligationRow;

/// The debts between members. Nothing is netted: an offset needs both sides, so each direction of a pair stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Debts {
    /// The resources that anybody ever owed in kind, by code.
    pub resources: Vec<ResourceColumn>,
    /// Every pair that ever had a debt, once, the lower code first; settled debts stay with nothing open. Goods of a
    /// member's own that another keeps make no pair.
    pub pairs: Vec<Pair>,
    /// What is open, by member: positive is owed to it, negative is owed by it.
    pub balances: Vec<Balance>,
    /// The sum over each column of the balances: zero.
    pub sums: Sums,
}

/// A column of the balances.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceColumn {
    /// Catalogue code, `team:kind` or `vehicle:kind`.
    pub resource: String,
    /// What the oldest debt calls it.
    pub name: String,
    /// Base unit.
    pub unit: String,
}

/// What two members owe each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// The member with the lower code.
    pub a: MunicipalityCode,
    /// The other.
    pub b: MunicipalityCode,
    /// What a owes b.
    pub a_owes: Owed,
    /// What b owes a.
    pub b_owes: Owed,
}

/// What one member owes another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owed {
    /// In kind, by resource.
    pub units: Vec<UnitsOwed>,
    /// Value of the units still open.
    pub open_value_fen: i128,
    /// Still to be paid in money.
    pub open_money_fen: i128,
}

/// Units of a resource that one member owes another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitsOwed {
    /// Catalogue code.
    pub resource: String,
    /// Owed in all, settled debts included.
    pub incurred: u128,
    /// Restocked and accepted by the owner.
    pub restocked: u128,
    /// Still to be restocked.
    pub open: u128,
}

/// What is open for one member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// The member.
    pub member: MunicipalityCode,
    /// Units in kind, one entry per resource column.
    pub units: Vec<UnitBalance>,
    /// Value of those units.
    pub value_fen: i128,
    /// Money.
    pub money_fen: i128,
}

/// One cell of the balances.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitBalance {
    /// Catalogue code.
    pub resource: String,
    /// Positive is owed to the member, negative is owed by it.
    pub balance: i128,
}

/// The sums over the columns, each zero.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// Units, one entry per resource column.
    pub units: Vec<UnitBalance>,
    /// Value of units.
    pub value_fen: i128,
    /// Money.
    pub money_fen: i128,
    /// The number the books are judged by: the absolute values of the above, added up.
    pub sum: i128,
}

/// What is still open of a debt.
pub(super) struct Open {
    /// Units in kind.
    pub units: u64,
    /// Their value, in fen.
    pub value: i128,
    /// To be paid in money, in fen.
    pub money: i128,
}

/// Goods are owed in kind unless they were recognised as owed in money; everything else is money.
pub(super) fn open(kind: DebtKind, debt: &Obligation) -> Open {
    let amount = i128::from(debt.amount_open().0);
    if debt.state == ObligationState::Settled {
        Open { units: 0, value: 0, money: 0 }
    } else if kind != DebtKind::Goods || debt.in_money {
        Open { units: 0, value: 0, money: amount }
    } else {
        Open { units: debt.qty_open().0, value: amount, money: 0 }
    }
}

#[derive(Default)]
struct Cell {
    incurred: u128,
    restocked: u128,
    open: u128,
}

#[derive(Default)]
struct Side {
    units: BTreeMap<String, Cell>,
    value: i128,
    money: i128,
}

impl Side {
    fn owed(self) -> Owed {
        let unit = |(resource, cell): (String, Cell)| UnitsOwed {
            resource,
            incurred: cell.incurred,
            restocked: cell.restocked,
            open: cell.open,
        };
        let units = self.units.into_iter().map(unit).collect();
        Owed { units, open_value_fen: self.value, open_money_fen: self.money }
    }
}

impl Debts {
    /// The debts of these obligations, with a balance for every member given and for everybody else who owes or is owed.
    ///
    /// # Panics
    /// When a column does not sum to zero.
    pub(super) fn of(rows: &[ObligationRow], members: impl Iterator<Item = MunicipalityCode>) -> Self {
        let mut columns: BTreeMap<&str, ResourceColumn> = BTreeMap::new();
        for row in rows.iter().filter(|row| row.is_goods()) {
            columns.entry(&row.resource).or_insert_with(|| ResourceColumn {
                resource: row.resource.clone(),
                name: row.name.clone(),
                unit: row.unit.clone(),
            });
        }
        let resources: Vec<ResourceColumn> = columns.into_values().collect();
        let balances = balances(rows, members, &resources);
        let sums = Sums::of(&balances, &resources);
        assert_eq!(sums.sum, 0, "the books between members must sum to zero");
        Self { pairs: pairs(rows), resources, balances, sums }
    }
}

fn pairs(rows: &[ObligationRow]) -> Vec<Pair> {
    let mut sides: BTreeMap<(MunicipalityCode, MunicipalityCode), [Side; 2]> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.debtor != row.creditor) {
        let pair = (row.debtor.min(row.creditor), row.debtor.max(row.creditor));
        let side = &mut sides.entry(pair).or_default()[usize::from(row.debtor != pair.0)];
        if row.is_goods() {
            let cell = side.units.entry(row.resource.clone()).or_default();
            cell.incurred += u128::from(row.qty);
            cell.restocked += u128::from(row.accepted.min(row.qty));
            cell.open += u128::from(row.open_units);
        }
        side.value += row.open_value_fen;
        side.money += row.open_money_fen;
    }
    let pair = |((a, b), [a_owes, b_owes]): (_, [Side; 2])| Pair { a, b, a_owes: a_owes.owed(), b_owes: b_owes.owed() };
    sides.into_iter().map(pair).collect()
}

/// Every debt stands twice: for the creditor and, with the other sign, for the debtor.
fn balances(
    rows: &[ObligationRow],
    members: impl Iterator<Item = MunicipalityCode>,
    resources: &[ResourceColumn],
) -> Vec<Balance> {
    let known: BTreeSet<MunicipalityCode> =
        members.chain(rows.iter().flat_map(|row| [row.debtor, row.creditor])).collect();
    let empty = |member| {
        let zero = |column: &ResourceColumn| UnitBalance { resource: column.resource.clone(), balance: 0 };
        (member, Balance { member, units: resources.iter().map(zero).collect(), value_fen: 0, money_fen: 0 })
    };
    let mut balances: BTreeMap<MunicipalityCode, Balance> = known.into_iter().map(empty).collect();
    for row in rows {
        for (member, sign) in [(row.creditor, 1), (row.debtor, -1)] {
            let Some(balance) = balances.get_mut(&member) else { continue };
            balance.value_fen += sign * row.open_value_fen;
            balance.money_fen += sign * row.open_money_fen;
            if let Some(cell) = balance.units.iter_mut().find(|cell| cell.resource == row.resource) {
                cell.balance += sign * i128::from(row.open_units);
            }
        }
    }
    balances.into_values().collect()
}

impl Sums {
    fn of(balances: &[Balance], resources: &[ResourceColumn]) -> Self {
        let units: Vec<UnitBalance> = resources
            .iter()
            .enumerate()
            .map(|(at, column)| UnitBalance {
                resource: column.resource.clone(),
                balance: balances.iter().filter_map(|row| row.units.get(at)).map(|cell| cell.balance).sum(),
            })
            .collect();
        let value_fen: i128 = balances.iter().map(|row| row.value_fen).sum();
        let money_fen: i128 = balances.iter().map(|row| row.money_fen).sum();
        let off = units.iter().map(|cell| cell.balance.abs()).sum::<i128>();
        Self { units, value_fen, money_fen, sum: off + value_fen.abs() + money_fen.abs() }
    }
}

impl ObligationRow {
    /// Whether it began as goods, which have units; everything else is only money.
    fn is_goods(&self) -> bool {
        self.kind.code == "goods"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shouwang_domain::charter::Basis;
    use shouwang_domain::quantity::{Fen, Qty};

    #[test]
    fn what_is_open_of_a_debt() {
        let code = MunicipalityCode::new(150_300).unwrap();
        let debt = |state, accepted, in_money| Obligation {
            state,
            debtor: code,
            creditor: code,
            holder: code,
            basis: Basis::Restock,
            qty: Qty(44),
            amount: Fen(44 * 380_000),
            received: Qty(accepted),
            accepted: Qty(accepted),
            rejected: Qty::ZERO,
            cleared: Qty::ZERO,
            in_money,
            claimed_by: None,
            evidence: String::new(),
            recognised_by: None,
            paid_by: None,
            dispute: None,
            opened_at: shouwang_domain::time::Timestamp::ZERO,
            settled_at: None,
        };
        let whole = 44 * 380_000;
        for (kind, state, accepted, in_money, expected) in [
            (DebtKind::Goods, ObligationState::Open, 0, false, (44, whole, 0)),
            (DebtKind::Goods, ObligationState::Recognised, 40, false, (4, 4 * 380_000, 0)),
            (DebtKind::Goods, ObligationState::Recognised, 50, false, (0, 0, 0)),
            (DebtKind::Goods, ObligationState::Paid, 0, true, (0, 0, whole)),
            (DebtKind::Service, ObligationState::Claimed, 0, false, (0, 0, whole)),
            (DebtKind::Goods, ObligationState::Settled, 0, true, (0, 0, 0)),
        ] {
            let open = open(kind, &debt(state, accepted, in_money));
            assert_eq!((open.units, open.value, open.money), expected, "{kind:?} {state:?}");
        }
    }
}
