//! Names as people know them: stores by the name on the door, missions and requests by their working numbers.

use shouwang_domain::ids::MunicipalityCode;
use shouwang_proto::v1::aid_service_client::AidServiceClient;
use shouwang_proto::v1::mission_service_client::MissionServiceClient;
use shouwang_proto::v1::registry_service_client::RegistryServiceClient;
use shouwang_proto::v1::{
    GetMissionRequest, GetRequestRequest, ListRegistryMissionsRequest, ListRegistryMissionsResponse, ListStoresRequest,
    RegistryMission, Store,
};

use super::client::{Client, PAGE, failure};
use crate::exit::{Exit, Failure};

/// Whether the text is a name the node takes as it is: a UUID, with its collection or without.
pub fn is_name(text: &str) -> bool {
    uuid::Uuid::parse_str(text.rsplit('/').next().unwrap_or_default()).is_ok()
}

impl Client {
    /// The municipality this client speaks for.
    ///
    /// # Errors
    /// None in practice: certificates carry codes in the same range.
    pub fn municipality(&self) -> Result<MunicipalityCode, Failure> {
        municipality(&self.identity)
    }

    /// A client of the registry service.
    pub fn registry(&self) -> RegistryServiceClient<tonic::transport::Channel> {
        RegistryServiceClient::new(self.channel.clone())
    }

    /// All stores.
    ///
    /// # Errors
    /// As [`Client::done`].
    pub async fn stores(&self) -> Result<Vec<Store>, Failure> {
        let mut api = self.registry();
        let linearizable = self.linearizable;
        let answer = self.all(async |page_token| {
            api.list_stores(self.request(ListStoresRequest { page_size: PAGE, page_token, linearizable })).await
        });
        Ok(answer.await?.stores)
    }

    /// A store by its id or by the name on its door.
    ///
    /// # Errors
    /// No store of that name, or several.
    pub async fn store(&self, text: &str) -> Result<String, Failure> {
        if is_name(text) {
            return Ok(text.to_owned());
        }
        let stores = self.stores().await?;
        let mut found = stores.iter().filter(|store| store.title == text);
        match (found.next(), found.next()) {
            (Some(store), None) => Ok(store.name.clone()),
            (None, _) => Err(failure(
                Exit::NotFound,
                "STORE",
                format!("没有名为“{text}”的库；shouwang store list 列出全部"),
                format!("no store is called \"{text}\"; shouwang store list shows them all"),
            )),
            _ => Err(failure(
                Exit::Usage,
                "STORE",
                format!("有几个库都叫“{text}”；请用编号"),
                format!("several stores are called \"{text}\"; give the id"),
            )),
        }
    }

    /// The missions that the own registry takes part in; complete even when the line is cut.
    ///
    /// # Errors
    /// As [`Client::done`].
    pub async fn own_missions(&self) -> Result<ListRegistryMissionsResponse, Failure> {
        let mut api = self.registry();
        let query = ListRegistryMissionsRequest {
            page_size: PAGE,
            linearizable: self.linearizable,
            ..ListRegistryMissionsRequest::default()
        };
        self.all(async |page_token| {
            api.list_registry_missions(self.request(ListRegistryMissionsRequest { page_token, ..query.clone() })).await
        })
        .await
    }

    /// A mission of the own registry by its id or working number.
    ///
    /// # Errors
    /// The registry does not know it.
    pub async fn own_mission(&self, text: &str) -> Result<RegistryMission, Failure> {
        let id = super::words::id(text);
        let missions = self.own_missions().await?.missions;
        let found =
            missions.into_iter().find(|mission| super::words::id(&mission.name) == id || mission.number == text);
        found.ok_or_else(|| {
            failure(
                Exit::NotFound,
                "MISSION",
                format!("本台账不知道调派 {text}"),
                format!("this registry knows of no mission {text}"),
            )
        })
    }

    /// The name of a mission given by its id or working number: what the own registry knows first, for it needs no line.
    ///
    /// # Errors
    /// Neither record knows the number.
    pub async fn mission(&self, text: &str) -> Result<String, Failure> {
        if is_name(text) {
            return Ok(text.to_owned());
        }
        if let Ok(mission) = self.own_mission(text).await {
            return Ok(mission.name);
        }
        let mut api = MissionServiceClient::new(self.channel.clone());
        let (region, name) = (self.region.clone(), text.to_owned());
        let query = GetMissionRequest { region, name, linearizable: self.linearizable };
        let answer = self.done(api.get_mission(self.request(query)).await)?;
        Ok(answer.mission.unwrap_or_default().name)
    }

    /// The name of a request given by its id or working number.
    ///
    /// # Errors
    /// The region does not know the number.
    pub async fn aid_request(&self, text: &str) -> Result<String, Failure> {
        if is_name(text) {
            return Ok(text.to_owned());
        }
        let mut api = AidServiceClient::new(self.channel.clone());
        let (region, name) = (self.region.clone(), text.to_owned());
        let query = GetRequestRequest { region, name, linearizable: self.linearizable };
        let answer = self.done(api.get_request(self.request(query)).await)?;
        Ok(answer.aid_request.unwrap_or_default().name)
    }

    /// Asks the person at the terminal to go on; `yes` answers for a script.
    ///
    /// # Errors
    /// The answer was no, or there is no terminal to ask at.
    pub fn confirm(&self, yes: bool, zh: &str, en: &str) -> Result<(), Failure> {
        use std::io::IsTerminal as _;
        if yes {
            return Ok(());
        }
        if !std::io::stdin().is_terminal() {
            return Err(failure(
                Exit::Usage,
                "CONFIRM",
                "没有终端可供确认；脚本请加 --yes",
                "there is no terminal to confirm at; scripts say --yes",
            ));
        }
        eprint!("{} [y/N] ", self.lang.pick(zh, en));
        let mut answer = String::new();
        let read = std::io::stdin().read_line(&mut answer);
        match (read, answer.trim().to_lowercase().as_str()) {
            (Ok(_), "y" | "yes" | "是") => Ok(()),
            _ => Err(failure(
                Exit::Failure,
                "NOT_CONFIRMED",
                "未确认，什么也没有发送",
                "not confirmed; nothing was sent",
            )),
        }
    }
}

/// The municipality an identity speaks for, as the records write it.
///
/// # Errors
/// None in practice: certificates carry codes in the same range.
pub fn municipality(identity: &crate::auth::Identity) -> Result<MunicipalityCode, Failure> {
    MunicipalityCode::new(identity.municipality().code())
        .map_err(|error| failure(Exit::BadInput, "MUNICIPALITY", &error, &error))
}
