// A real OpenID Connect provider on this machine. Everybody may sign in with any password; what it says of them
// stands in the table.

import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';

import { Provider } from 'oidc-provider';

export const SECRET = 'a secret that both sides know';

const PEOPLE = {
    eve: { email: 'eve@elsewhere.test', email_verified: true, name: 'Eve', groups: ['operations'] },
    bob: { email: 'bob@example.test', email_verified: true, name: 'Bob', groups: [] },
    mallory: { email: 'bob@example.test', email_verified: false, name: 'Mallory', groups: ['board'] },
};

function key(type, options, algorithm) {
    const { privateKey } = generateKeyPairSync(type, options);
    return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg: algorithm };
}

// `callback` and `signedOut` are Picket's addresses. Resolves with the issuer, and with a function that ends it.
export async function start(port, callback, signedOut) {
    const server = createServer();
    await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
    const issuer = `http://127.0.0.1:${server.address().port}`;
    const client = (id, algorithm) => ({
        client_id: id,
        client_secret: SECRET,
        redirect_uris: [callback],
        post_logout_redirect_uris: [signedOut],
        id_token_signed_response_alg: algorithm,
    });
    const provider = new Provider(issuer, {
        clients: [client('rsa', 'RS256'), client('elliptic', 'ES256')],
        jwks: { keys: [key('rsa', { modulusLength: 2048 }, 'RS256'), key('ec', { namedCurve: 'P-256' }, 'ES256')] },
        cookies: { keys: [randomUUID()] },
        claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'groups'] },
        pkce: { required: () => true },
        findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: `${id}-1`, ...PEOPLE[id] }) }),
    });
    server.on('request', provider.callback());
    const stop = () => new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
    });
    return { issuer, stop };
}
