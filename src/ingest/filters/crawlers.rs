//! Web crawlers, by their user agents (facts/ingestion.md 8).

use std::sync::LazyLock;

use super::globs::Globs;
use super::subject::Subject;

const CRAWLERS: [&str; 21] = [
    "*Mediapartners-Google*",
    "*AdsBot-Google*",
    "*Googlebot*",
    "*FeedFetcher-Google*",
    "*BingBot*",
    "*BingPreview*",
    "*Baiduspider*",
    "*Slurp*",
    "*Sogou*",
    "*facebook*",
    "*ia_archiver*",
    "*bot{,s}{/, ,),;}*",
    "*spider{/, ,),;}*",
    "*Slack*",
    "*Calypso AppCrawler*",
    "*pingdom*",
    "*lyticsbot*",
    "*AWS Security Scanner*",
    "*HubSpot Crawler*",
    "*Bytespider*",
    "*Better Uptime*",
];

/// Slack's own clients, as opposed to what fetches pages for link previews.
const EXEMPT: [&str; 1] = ["*Slackbot 1.{0,1,2,3,4,5,6,7,8,9}*"];

pub(super) fn is_crawler(event: Subject<'_>) -> bool {
    static GLOBS: LazyLock<Globs> = LazyLock::new(|| Globs::compile(CRAWLERS));
    static EXEMPT_GLOBS: LazyLock<Globs> = LazyLock::new(|| Globs::compile(EXEMPT));
    event
        .user_agent()
        .is_some_and(|agent| GLOBS.matches(agent) && !EXEMPT_GLOBS.matches(agent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::json::{Map, Node};

    fn is_crawler(agent: &str) -> bool {
        let header = Node::List(vec![Node::text("User-Agent"), Node::text(agent)]);
        let mut request = Map::new();
        request.insert("headers", Node::List(vec![header]));
        let mut event = Map::new();
        event.insert("request", Node::Map(request));
        super::is_crawler(Subject::new(&event))
    }

    #[test]
    fn crawlers_are_known_by_their_user_agents() {
        for agent in [
            "Mediapartners-Google",
            "AdsBot-Google (+http://www.google.com/adsbot.html)",
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            "FeedFetcher-Google; (+http://www.google.com/feedfetcher.html)",
            "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
            "BingPreview/1.0b",
            "Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)",
            "Mozilla/5.0 (compatible; Yahoo! Slurp; http://help.yahoo.com/help/us/ysearch/slurp)",
            "Sogou web robot/4.0",
            "facebookexternalhit/1.1",
            "ia_archiver (+http://www.alexa.com/site/help/webmasters)",
            "some bots are here",
            "ABot/3",
            "(a bot)",
            "robots; x",
            "Spider/1",
            "a spider)",
            "Slack-ImgProxy 0.19 (+https://api.slack.com/robots)",
            "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
            "Calypso AppCrawler/1.0",
            "Pingdom.com_bot_version_1.4",
            "lyticsbot-external",
            "AWS Security Scanner",
            "HubSpot Crawler",
            "Mozilla/5.0 (compatible; Bytespider; spider-feedback@bytedance.com)",
            "Better Uptime Bot",
        ] {
            assert!(is_crawler(agent), "{agent}");
        }
    }

    #[test]
    fn people_and_slack_itself_are_none() {
        for agent in [
            "",
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            "Mozilla/5.0 (Linux; Android 10; CUBOT_P30) AppleWebKit/537.36",
            "robotics",
            "Slackbot 1.0 (+https://api.slack.com/robots)",
        ] {
            assert!(!is_crawler(agent), "{agent}");
        }
        assert!(!super::is_crawler(Subject::new(&Map::new())));
    }
}
