//! The types of the one table of rights: which role may call which method, where, and to what effect.
//!
//! The table itself stands beside the services it guards; it is also the documentation, and [`RightsTable::faults`] is
//! the test it must pass. A method without a row is refused.

use crate::auth::identity::{Identity, Municipality, Role};
use crate::lang::Bilingual;

/// A set of roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles(u8);

impl Roles {
    /// Every role there is.
    pub const ALL: Self = Self::of(&Role::ALL);

    /// The set of these roles.
    pub const fn of(roles: &[Role]) -> Self {
        let mut bits = 0;
        let mut index = 0;
        while index < roles.len() {
            bits |= 1 << (roles[index] as u8);
            index += 1;
        }
        Self(bits)
    }

    /// Whether `role` is in the set.
    pub const fn contains(self, role: Role) -> bool {
        self.0 & (1 << (role as u8)) != 0
    }

    /// The roles of the set, in their order.
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(move |role| self.contains(*role))
    }
}

/// Whether a method only looks, or changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It changes nothing.
    Read,
    /// It proposes a command, or changes the node.
    Change,
}

/// Whose operators may call a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those of the node's own municipality.
    Own,
    /// Those of any member of the federation.
    Federation,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Right {
    /// The full name of the method, `/package.Service/Method`.
    pub method: &'static str,
    /// What the method does.
    pub effect: Effect,
    /// Who may call it.
    pub roles: Roles,
    /// Whose operators.
    pub scope: Scope,
}

/// Why a call was denied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The method has no row.
    #[error("the method {method} is not in the table of rights")]
    NoSuchMethod {
        /// The method called.
        method: String,
    },
    /// A node called a method for operators.
    #[error("{method} is for operators; this certificate is a node's")]
    NotAnOperator {
        /// The method called.
        method: &'static str,
    },
    /// The operator belongs to another municipality.
    #[error("{method} is for operators of {own}; this certificate is of {found}")]
    OtherMunicipality {
        /// The method called.
        method: &'static str,
        /// The node's municipality.
        own: Municipality,
        /// The operator's municipality.
        found: Municipality,
    },
    /// The role is not in the row.
    #[error("the role {role} may not call {method}; {} may", allowed.iter().map(Role::slug).collect::<Vec<_>>().join(", "))]
    Role {
        /// The method called.
        method: &'static str,
        /// The caller's role.
        role: Role,
        /// The roles that may.
        allowed: Roles,
    },
}

impl Denied {
    /// A stable reason code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoSuchMethod { .. } => "DENIED_NO_SUCH_METHOD",
            Self::NotAnOperator { .. } => "DENIED_NOT_AN_OPERATOR",
            Self::OtherMunicipality { .. } => "DENIED_OTHER_MUNICIPALITY",
            Self::Role { .. } => "DENIED_ROLE",
        }
    }

    /// The sentence in both languages.
    pub fn text(&self) -> Bilingual {
        let zh = match self {
            Self::NoSuchMethod { method } => format!("权限表中没有方法 {method}"),
            Self::NotAnOperator { method } => format!("{method} 仅供操作人员调用，而该证书属于节点"),
            Self::OtherMunicipality { method, own, found } => {
                format!("{method} 仅供 {own} 的操作人员调用，而该证书属于 {found}")
            }
            Self::Role { method, role, allowed } => {
                let allowed: Vec<_> = allowed.iter().map(|role| role.name().zh).collect();
                format!("角色“{}”无权调用 {method}；有权的角色：{}", role.name().zh, allowed.join("、"))
            }
        };
        Bilingual::new(zh, self.to_string())
    }
}

/// The table of rights.
#[derive(Clone, Copy, Debug)]
pub struct RightsTable(&'static [Right]);

impl RightsTable {
    /// A table of these rows.
    pub const fn new(rows: &'static [Right]) -> Self {
        Self(rows)
    }

    /// The rows.
    pub const fn rows(&self) -> &'static [Right] {
        self.0
    }

    /// The row of a method.
    pub fn row(&self, method: &str) -> Option<&'static Right> {
        self.0.iter().find(|row| row.method == method)
    }

    /// Whether `caller` may call `method` on a node of `own`; gives the row.
    ///
    /// # Errors
    /// [`Denied`], with the reason.
    pub fn check(&self, method: &str, caller: &Identity, own: Municipality) -> Result<&'static Right, Denied> {
        let row =
            self.row(method).ok_or_else(|| Denied::NoSuchMethod { method: method.chars().take(200).collect() })?;
        let method = row.method;
        let Identity::Operator { municipality, role, .. } = caller else {
            return Err(Denied::NotAnOperator { method });
        };
        if !row.roles.contains(*role) {
            return Err(Denied::Role { method, role: *role, allowed: row.roles });
        }
        if row.scope == Scope::Own && *municipality != own {
            return Err(Denied::OtherMunicipality { method, own, found: *municipality });
        }
        Ok(row)
    }

    /// What is wrong with the table itself: a method twice or misnamed, a row nobody may use, a change the superior
    /// may make, a change another municipality's operators may make. Empty when all is well.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (index, row) in self.0.iter().enumerate() {
            let method = row.method;
            let mut fault = |what: &str| faults.push(format!("{method}: {what}"));
            if !method.starts_with('/')
                || method.split('/').count() != 3
                || method.split('/').skip(1).any(str::is_empty)
            {
                fault("is not /package.Service/Method");
            }
            if self.0[..index].iter().any(|earlier| earlier.method == method) {
                fault("has two rows");
            }
            if row.roles == Roles::of(&[]) {
                fault("nobody may call it");
            }
            if row.effect == Effect::Change && row.roles.contains(Role::Superior) {
                fault("the superior only reads");
            }
            if row.effect == Effect::Change && row.scope == Scope::Federation {
                fault("only a node's own municipality changes through it");
            }
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "/shouwang.v1.Stock/List";
    const IMPORT: &str = "/shouwang.v1.Stock/Import";
    const TABLE: RightsTable = RightsTable::new(&[
        Right { method: LIST, effect: Effect::Read, roles: Roles::ALL, scope: Scope::Federation },
        Right {
            method: IMPORT,
            effect: Effect::Change,
            roles: Roles::of(&[Role::StoreKeeper, Role::Admin]),
            scope: Scope::Own,
        },
    ]);

    #[test]
    fn the_table_decides_by_method_role_and_municipality() {
        let own = Municipality::new(150_300).unwrap();
        for role in Role::ALL {
            for code in [150_300, 640_200] {
                let caller = Identity::operator("f", Municipality::new(code).unwrap(), "x", role).unwrap();
                assert!(TABLE.check(LIST, &caller, own).is_ok());
                let may = matches!(role, Role::StoreKeeper | Role::Admin) && code == 150_300;
                assert_eq!(TABLE.check(IMPORT, &caller, own).is_ok(), may, "{role} {code}");
                assert_eq!(TABLE.check("/a.B/C", &caller, own).unwrap_err().code(), "DENIED_NO_SUCH_METHOD");
            }
        }
        let node = Identity::node("f", own, 1).unwrap();
        assert_eq!(TABLE.check(LIST, &node, own).unwrap_err().code(), "DENIED_NOT_AN_OPERATOR");
        let duty = Identity::operator("f", own, "x", Role::Duty).unwrap();
        let denied = TABLE.check(IMPORT, &duty, own).unwrap_err();
        assert_eq!(denied.to_string(), format!("the role duty may not call {IMPORT}; keeper, admin may"));
        assert!(denied.text().zh.contains("库管、管理员"));
    }

    #[test]
    fn faults_of_a_table_are_named() {
        assert!(TABLE.faults().is_empty());
        let row = Right { method: "/a.B/C", effect: Effect::Change, roles: Roles::ALL, scope: Scope::Federation };
        let rows = vec![row, row, Right { method: "x", roles: Roles::of(&[]), ..row }];
        let faults = RightsTable::new(rows.leak()).faults();
        for expected in ["has two rows", "nobody", "the superior only reads", "only a node's own", "is not /package"] {
            assert!(faults.iter().any(|fault| fault.contains(expected)), "{expected}: {faults:?}");
        }
    }
}
