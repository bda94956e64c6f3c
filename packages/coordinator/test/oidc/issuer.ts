import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK, type JWTPayload } from 'jose';

/** An identity provider over real HTTP, such as GitHub Actions has one. */
export interface Issuer {
  url: string;
  /** How often its keys were asked for. */
  asked(): number;
  /** Answers something else than its keys from now on; null: its keys again. */
  answer(way: ((request: IncomingMessage, response: ServerResponse) => void) | null): void;
  /** A token of a job. `claims` goes over what a good one says. */
  token(claims?: JWTPayload, given?: { kid?: string; at?: number; alg?: 'RS256' | 'ES256' }): Promise<string>;
  /** A new key instead of the old one. */
  rotate(): Promise<void>;
  publicJwk(): JWK;
  close(): Promise<void>;
}

export const AUDIENCE = 'https://berth.example.com';

/** `now` in milliseconds. */
export async function startIssuer(clock: { now(): number }): Promise<Issuer> {
  interface Key {
    kid: string;
    alg: 'RS256' | 'ES256';
    privateKey: CryptoKey;
    jwk: JWK;
  }
  let made = 0;
  const make = async (alg: Key['alg']): Promise<Key> => {
    const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
    const kid = `key-${(made += 1)}`;
    return { kid, alg, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } };
  };
  let keys = [await make('RS256'), await make('ES256')];
  let asked = 0;
  let way: ((request: IncomingMessage, response: ServerResponse) => void) | null = null;
  const server = createServer((request, response) => {
    if (request.url === '/.well-known/openid-configuration') {
      response.end(JSON.stringify({ issuer: url, jwks_uri: `${url}/keys` }));
      return;
    }
    asked += 1;
    if (way !== null) way(request, response);
    else response.end(JSON.stringify({ keys: keys.map((key) => key.jwk) }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const url = `http://127.0.0.1:${address.port}`;
  const keyOf = (alg: Key['alg']): Key => {
    const key = keys.find((each) => each.alg === alg);
    if (key === undefined) throw new Error(`no key for ${alg}`);
    return key;
  };
  let tokens = 0;
  return {
    url,
    asked: () => asked,
    answer(given) {
      way = given;
    },
    async token(claims = {}, { kid, at = clock.now(), alg = 'RS256' } = {}) {
      const key = keyOf(alg);
      const seconds = Math.floor(at / 1000);
      return await new SignJWT({
        iss: url,
        aud: AUDIENCE,
        sub: 'repo:example/shop:ref:refs/heads/main',
        jti: `jti-${(tokens += 1)}`,
        iat: seconds,
        nbf: seconds,
        exp: seconds + 300,
        repository: 'example/shop',
        repository_id: '4711',
        ref: 'refs/heads/main',
        event_name: 'push',
        run_id: '123456',
        workflow_ref: 'example/shop/.github/workflows/deploy.yml@refs/heads/main',
        sha: 'a'.repeat(40),
        actor: 'octocat',
        ...claims,
      })
        .setProtectedHeader({ alg, kid: kid ?? key.kid, typ: 'JWT' })
        .sign(key.privateKey);
    },
    async rotate() {
      keys = [await make('RS256'), await make('ES256')];
    },
    publicJwk: () => keyOf('RS256').jwk,
    async close() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
