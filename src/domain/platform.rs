//! The platforms that a project can be of (facts/management-api.md 4.3).

/// Every id that Sentry's clients know, separated by white space.
const KNOWN: &str = "other android apple apple-ios apple-macos bun capacitor cordova dart deno dotnet \
    dotnet-aspnet dotnet-aspnetcore dotnet-awslambda dotnet-gcpfunctions dotnet-maui dotnet-uwp \
    dotnet-winforms dotnet-wpf dotnet-xamarin electron elixir flutter go go-echo go-fasthttp go-fiber go-gin \
    go-http go-iris go-martini go-negroni godot ionic java java-log4j2 java-logback java-spring \
    java-spring-boot javascript javascript-angular javascript-astro javascript-ember javascript-gatsby \
    javascript-nextjs javascript-nuxt javascript-react javascript-react-router javascript-remix \
    javascript-solid javascript-solidstart javascript-svelte javascript-sveltekit \
    javascript-tanstackstart-react javascript-vue kotlin minidump native native-qt nintendo-switch node \
    node-awslambda node-azurefunctions node-cloudflare-pages node-cloudflare-workers node-connect \
    node-express node-fastify node-gcpfunctions node-hapi node-hono node-koa node-nestjs php php-laravel \
    php-symfony playstation powershell python python-aiohttp python-asgi python-awslambda python-bottle \
    python-celery python-chalice python-django python-falcon python-fastapi python-flask \
    python-gcpfunctions python-litestar python-pylons python-pymongo python-pyramid python-quart python-rq \
    python-sanic python-serverless python-starlette python-tornado python-tryton python-wsgi react-native \
    ruby ruby-rack ruby-rails rust unity unreal xbox";

/// Whether a project may be given this platform: a known id, or blank for none.
pub(crate) fn is_allowed(text: &str) -> bool {
    text.is_empty() || KNOWN.split_ascii_whitespace().any(|known| known == text)
}

/// Whether it is a console's, which an organization must have switched on.
pub(crate) fn is_console(text: &str) -> bool {
    ["playstation", "xbox", "nintendo-switch"].contains(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_other_and_known_ids_are_allowed() {
        for good in ["", "other", "python-django", "xbox"] {
            assert!(is_allowed(good), "{good}");
        }
        for wrong in ["Python", "python ", "python python-django", "cobol"] {
            assert!(!is_allowed(wrong), "{wrong}");
        }
    }
}
