//! The user's catalogue: which words mean which code, unit, package, kind of team, owner. A mapping found here is the
//! user's own, so using it is no guess; what is not found stays uncoded.

use std::collections::BTreeMap;
use std::path::Path;

use shouwang_domain::ids::MunicipalityCode;
use shouwang_domain::resource::{ItemCode, Resource, UnitKind};

use super::columns::{Columns, Field};
use super::figures::pack_rule;
use super::text::{fold, word};
use super::{DocumentError, Problem, Table};
use crate::lang::Bilingual;

/// An item as the catalogue has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogueItem {
    /// Its code.
    pub code: ItemCode,
    /// Its name.
    pub name: String,
    /// Its base unit.
    pub unit: String,
    /// Base units in each other unit (`箱` → 20; `件` → 1 for another word of the base unit).
    pub packs: BTreeMap<String, u64>,
}

/// A loaded catalogue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    items: BTreeMap<ItemCode, CatalogueItem>,
    item_words: BTreeMap<String, ItemCode>,
    kinds: BTreeMap<String, (Resource, String)>,
    owners: BTreeMap<String, MunicipalityCode>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum At {
    Kind,
    Code,
    Name,
    Unit,
    Aliases,
    Packs,
}

impl Field for At {
    const HEADERS: &'static [(Self, &'static [&'static str])] = &[
        (Self::Kind, &["kind", "种类"]),
        (Self::Code, &["code", "编码", "代号"]),
        (Self::Name, &["name", "名称"]),
        (Self::Unit, &["unit", "单位", "计量单位"]),
        (Self::Aliases, &["aliases", "别名"]),
        (Self::Packs, &["packs", "包装"]),
    ];
    const REQUIRED: &'static [Self] = &[Self::Kind, Self::Code, Self::Name];
    fn title(self) -> Bilingual {
        match self {
            Self::Kind => Bilingual::fixed("种类", "kind"),
            Self::Code => Bilingual::fixed("编码", "code"),
            Self::Name => Bilingual::fixed("名称", "name"),
            Self::Unit => Bilingual::fixed("单位", "unit"),
            Self::Aliases => Bilingual::fixed("别名", "aliases"),
            Self::Packs => Bilingual::fixed("包装", "packs"),
        }
    }
}

impl Catalogue {
    /// Reads a catalogue file with the columns kind (item, team, vehicle or owner), code, name, unit, aliases and packs;
    /// several aliases or packs are separated by `;`. Rows that start with `#` are comments.
    ///
    /// # Errors
    /// The file cannot be read, or a row is wrong: a catalogue that is half understood would code goods wrongly.
    pub fn read(path: &Path) -> Result<Self, DocumentError> {
        let table = Table::read(path, None)?;
        Self::from_table(&table)
    }

    /// Reads a catalogue from the rows of a table.
    ///
    /// # Errors
    /// As [`Catalogue::read`].
    pub fn from_table(table: &Table) -> Result<Self, DocumentError> {
        let columns = Columns::<At>::find(table).map_err(|problem| problem.at(&table.path))?;
        let mut catalogue = Self::default();
        for (number, cells) in table.rows.iter().skip(columns.header + 1) {
            let first = cells.iter().find(|cell| !cell.is_blank()).map(|cell| fold(&cell.shown()));
            if first.is_none_or(|first| first.starts_with('#')) {
                continue;
            }
            let text = |at| columns.text(at, cells);
            catalogue.add(&text).map_err(|why| Problem::Catalogue(*number, why).at(&table.path))?;
        }
        Ok(catalogue)
    }

    fn add(&mut self, text: &impl Fn(At) -> String) -> Result<(), Bilingual> {
        let (kind, code, name) = (word(&text(At::Kind)), text(At::Code), text(At::Name));
        let wrong = |e: shouwang_domain::ids::IdError| Bilingual::new(e.to_string(), e.to_string());
        if name.is_empty() {
            return Err(Bilingual::fixed("没有名称", "has no name"));
        }
        let aliases = text(At::Aliases);
        let words: Vec<String> =
            std::iter::once(name.as_str()).chain(aliases.split(';')).map(key).filter(|word| !word.is_empty()).collect();
        match kind.as_str() {
            "item" | "物资" => {
                let code: ItemCode = code.parse().map_err(wrong)?;
                let item = CatalogueItem { code, unit: word(&text(At::Unit)), packs: packs(&text(At::Packs))?, name };
                if item.unit.is_empty() {
                    return Err(Bilingual::fixed("物资没有计量单位", "the item has no unit"));
                }
                words.into_iter().try_for_each(|word| enter(&mut self.item_words, word, code))?;
                enter(&mut self.items, code, item)
            }
            "team" | "队伍" | "vehicle" | "车辆" => {
                let slug = UnitKind::new(&code).map_err(wrong)?;
                let team = matches!(kind.as_str(), "team" | "队伍");
                let resource = if team { Resource::Team(slug) } else { Resource::Vehicle(slug) };
                let spelled = [resource.to_string(), code];
                let mut words = words.into_iter().chain(spelled);
                words.try_for_each(|word| enter(&mut self.kinds, word, (resource.clone(), name.clone())))
            }
            "owner" | "权属" => {
                let code: MunicipalityCode = code.parse().map_err(wrong)?;
                words.into_iter().try_for_each(|word| enter(&mut self.owners, word, code))
            }
            other => Err(Bilingual::new(
                format!("种类“{other}”不是 item、team、vehicle 或 owner"),
                format!("kind \"{other}\" is none of item, team, vehicle and owner"),
            )),
        }
    }

    /// The item of a code.
    pub fn item(&self, code: ItemCode) -> Option<&CatalogueItem> {
        self.items.get(&code)
    }

    /// The item with exactly this name, alias or local code (full-width forms and case aside).
    pub fn item_named(&self, name: &str) -> Option<&CatalogueItem> {
        self.item_words.get(&key(name)).and_then(|code| self.items.get(code))
    }

    /// The kind of team or vehicle with exactly this name, alias or slug.
    pub fn kind_named(&self, name: &str) -> Option<&Resource> {
        self.kinds.get(&key(name)).map(|(resource, _)| resource)
    }

    /// The word for a kind of team or vehicle.
    pub fn kind_name(&self, resource: &Resource) -> Option<&str> {
        self.kinds.get(&resource.to_string()).map(|(_, name)| name.as_str())
    }

    /// The owner with exactly this name or alias.
    pub fn owner_named(&self, name: &str) -> Option<MunicipalityCode> {
        self.owners.get(&key(name)).copied()
    }

    /// All items, by code.
    pub fn items(&self) -> impl Iterator<Item = &CatalogueItem> {
        self.items.values()
    }
}

/// How names are compared: folded, in lower case.
fn key(name: &str) -> String {
    fold(name).to_lowercase()
}

fn enter<K: Ord + ToString, V: PartialEq>(map: &mut BTreeMap<K, V>, key: K, value: V) -> Result<(), Bilingual> {
    if map.get(&key).is_some_and(|before| *before != value) {
        let key = key.to_string();
        return Err(Bilingual::new(
            format!("“{key}”在目录中已另有所指；请删去一处"),
            format!("\"{key}\" already stands for something else in this catalogue; remove one"),
        ));
    }
    map.insert(key, value);
    Ok(())
}

fn packs(text: &str) -> Result<BTreeMap<String, u64>, Bilingual> {
    let mut packs = BTreeMap::new();
    for part in text.split(';').filter(|part| !part.trim().is_empty()) {
        let rule = pack_rule(part, false).and_then(|rule| rule.pack.map(|pack| (pack, rule.factor)));
        let Some((pack, factor)) = rule else {
            return Err(Bilingual::new(
                format!("包装“{part}”读不出；请写成 箱=20"),
                format!("pack \"{part}\" cannot be read; write it as 箱=20"),
            ));
        };
        enter(&mut packs, pack, factor)?;
    }
    Ok(packs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Catalogue, String> {
        let table = Table::from_bytes("c.csv", text.as_bytes(), None).map_err(|e| e.to_string())?;
        Catalogue::from_table(&table).map_err(|e| e.to_string())
    }

    const HEAD: &str = "kind,code,name,unit,aliases,packs\n";

    #[test]
    fn words_are_found_exactly_and_nothing_else() {
        let catalogue = read(&format!(
            "{HEAD}# comment\nitem,2990101,气密型化学防护服,套,重型防化服;WH-001,箱=4;件=1\n\
             team,hazmat,危化救援队,,化工救援队,\nvehicle,air-refill,充气车,,,\nowner,150000,内蒙古自治区,,自治区,\n"
        ))
        .unwrap();
        let suit = catalogue.item_named("重型防化服").unwrap();
        assert_eq!((suit.unit.as_str(), suit.packs["箱"]), ("套", 4));
        assert_eq!(catalogue.item_named("ｗｈ－００１"), Some(suit));
        assert_eq!(catalogue.item_named("防化服"), None);
        for name in ["危化救援队", "化工救援队", "hazmat", "team:hazmat"] {
            assert_eq!(catalogue.kind_named(name).unwrap().to_string(), "team:hazmat");
        }
        assert_eq!(catalogue.owner_named("自治区"), MunicipalityCode::new(150_000).ok());
    }

    #[test]
    fn a_catalogue_that_is_half_understood_is_refused() {
        for (row, words) in [
            ("item,2990101,帐篷,顶,,\nitem,2990102,棉被,床,帐篷,\n", "row 3"),
            ("item,2990101,帐篷,,,\n", "no unit"),
            ("item,299010,帐篷,顶,,\n", "299010"),
            ("item,2990101,帐篷,顶,,箱\n", "箱=20"),
            ("boat,x,艇,,,\n", "boat"),
            ("team,危化,危化队,,,\n", "危化"),
            ("item,2990101,,顶,,\n", "no name"),
        ] {
            let message = read(&format!("{HEAD}{row}")).unwrap_err();
            assert!(message.contains(words) && message.contains("CATALOGUE_ROW_WRONG"), "{message}");
        }
    }
}
