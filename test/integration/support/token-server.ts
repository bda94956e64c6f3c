import { execFile } from 'node:child_process';
import { createHash, createPublicKey, sign } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface Certificate {
  certificate: string;
  key: string;
  remove(): void;
}

/** A certificate for localhost that signs itself, made by openssl. */
export async function makeCertificate(): Promise<Certificate> {
  const dir = mkdtempSync(join(tmpdir(), 'berth-cert-'));
  const [key, certificate] = [join(dir, 'key.pem'), join(dir, 'cert.pem')];
  const kind = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  const files = ['-keyout', key, '-out', certificate, '-days', '2'];
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
  await run('openssl', [...kind, ...files, ...names]);
  return { key, certificate, remove: () => rmSync(dir, { recursive: true, force: true }) };
}

export interface TokenServer {
  url: string;
  issued: { account: string | null; scope: string | null }[];
  /** Milliseconds that a token is good for in the eyes of the registry, and what its answer says of it. */
  life: { real: number; told: number };
  close(): Promise<void>;
}

/** The registry forgives a clock that is a minute late, so a token's end lies that much earlier. */
const LEEWAY_MS = 60_000;

/** The token server of a registry with `issuer` and `service` "test": signs tokens that end, for who knows the password. */
export async function startTokenServer(
  { key }: Certificate,
  allowed: { username: string; password: string } | null,
): Promise<TokenServer> {
  const pem = readFileSync(key, 'utf8');
  const kid = keyId(pem);
  const server: TokenServer = {
    url: '',
    issued: [],
    life: { real: 300_000, told: 300_000 },
    close: () => Promise.resolve(),
  };
  const wanted =
    allowed === null
      ? null
      : `Basic ${Buffer.from(`${allowed.username}:${allowed.password}`).toString('base64')}`;
  const http = createServer((request, response) => {
    const query = new URL(request.url ?? '/', 'http://x').searchParams;
    if ((request.headers.authorization ?? null) !== wanted || query.get('service') !== 'test') {
      response.writeHead(401).end('{}');
      return;
    }
    const scope = query.get('scope');
    server.issued.push({ account: query.get('account'), scope });
    const [type = '', name = '', actions = ''] = scope?.split(':') ?? [];
    const now = Date.now();
    const token = jwt(pem, kid, {
      iss: 'test',
      aud: 'test',
      sub: allowed?.username ?? '',
      iat: Math.floor(now / 1000) - 3600,
      nbf: Math.floor(now / 1000) - 3600,
      exp: Math.ceil((now + server.life.real - LEEWAY_MS) / 1000),
      jti: String(server.issued.length),
      access: [{ type, name, actions: actions.split(',') }],
    });
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ token, expires_in: server.life.told / 1000 }));
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const address = http.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  server.url = `http://127.0.0.1:${address.port}/token`;
  server.close = async () => {
    http.closeAllConnections();
    await new Promise<void>((resolve) => http.close(() => resolve()));
  };
  return server;
}

function jwt(pem: string, kid: string, claims: object): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const text = `${part({ typ: 'JWT', alg: 'ES256', kid })}.${part(claims)}`;
  const signature = sign('sha256', Buffer.from(text), { key: pem, dsaEncoding: 'ieee-p1363' });
  return `${text}.${signature.toString('base64url')}`;
}

/** As the registry names a key: 30 bytes of the SHA-256 of its public half, in base32, by fours. */
function keyId(pem: string): string {
  const der = createPublicKey(pem).export({ type: 'spki', format: 'der' });
  const bytes = createHash('sha256').update(der).digest().subarray(0, 30);
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  const letters = (bits.match(/.{5}/g) ?? []).map(
    (five) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'[parseInt(five, 2)],
  );
  return (letters.join('').match(/.{4}/g) ?? []).join(':');
}
