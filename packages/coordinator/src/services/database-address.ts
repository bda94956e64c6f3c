import { BerthError } from '@berth/shared/domain/errors';

/** How a connection is protected, in libpq's words. */
export const SSL_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;
export type SslMode = (typeof SSL_MODES)[number];

/** What a server's address says, with nothing encoded any more. */
export interface ServerAddress {
  host: string;
  port: number;
  user: string;
  password: string;
  /** The one to connect to for making others. */
  database: string;
  sslmode: SslMode;
  /** A file of the coordinator's with the certificates to trust, or `system`. */
  sslrootcert: string | null;
}

/** Asked for by what providers hand out, and of no meaning here. */
const PASSED_OVER = new Set([
  'application_name',
  'channel_binding',
  'connect_timeout',
  'target_session_attrs',
  'gssencmode',
]);

/**
 * Reads `postgres://user:password@host:5432/postgres?sslmode=verify-full`. Errors: `invalid_request` with what is wrong;
 * the address itself is never quoted, for it holds a password.
 */
export function parseServerAddress(text: string): ServerAddress {
  const trimmed = text.trim();
  if (!/^postgres(ql)?:\/\//.test(trimmed))
    throw wrong(
      'must begin with postgres:// or postgresql://, as in postgres://admin:password@host:5432/postgres',
    );
  let url: URL;
  try {
    url = new URL(trimmed);
  } catch {
    throw wrong(
      'cannot be read. In the user and the password write %40 for @, %2F for /, %3A for :, %23 for #, %3F for ? and %25 for %',
    );
  }
  if (url.hash !== '') throw wrong('has a # in it; in a password write %23 instead');
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  if (host === '' || url.searchParams.has('host'))
    throw wrong('has no host: tenants connect to it over the network, so a socket does not do');
  const user = decoded(url.username, 'user');
  const password = decoded(url.password, 'password');
  if (user === '') throw wrong('has no user, as in postgres://admin:password@host:5432/postgres');
  if (password === '') throw wrong('has no password, as in postgres://admin:password@host:5432/postgres');
  const path = decoded(url.pathname.replace(/^\//, ''), 'database');
  let sslmode: SslMode = 'prefer';
  let sslrootcert: string | null = null;
  for (const [name, value] of url.searchParams) {
    if (name === 'sslmode') {
      const mode = SSL_MODES.find((each) => each === value);
      if (mode === undefined)
        throw wrong(`has an sslmode that there is not; it is one of ${SSL_MODES.join(', ')}`);
      sslmode = mode;
    } else if (name === 'sslrootcert') {
      if (value !== 'system' && !value.startsWith('/'))
        throw wrong('has an sslrootcert that is neither "system" nor an absolute path on the coordinator');
      sslrootcert = value;
    } else if (!PASSED_OVER.has(name)) {
      throw wrong(
        `asks for ${/^[a-z_]{1,40}$/.test(name) ? name : 'something'}, which Berth does not know; only sslmode and sslrootcert count`,
      );
    }
  }
  return {
    host,
    port: url.port === '' ? 5432 : Number(url.port),
    user,
    password,
    database: path === '' ? 'postgres' : path,
    sslmode,
    sslrootcert,
  };
}

/** What a tenant is given. Its role and password may hold any character. */
export function tenantAddress(
  server: Pick<ServerAddress, 'host' | 'port' | 'sslmode' | 'sslrootcert'>,
  role: string,
  password: string,
  database: string,
): string {
  const { host, port, sslmode, sslrootcert } = server;
  const shown = host.includes(':') ? `[${host}]` : host;
  // A file of the coordinator's is not in a tenant's container; what an image has of its own holds there.
  const root = sslrootcert === 'system' ? '&sslrootcert=system' : '';
  return `postgres://${encoded(role)}:${encoded(password)}@${shown}:${port}/${encoded(database)}?sslmode=${sslmode}${root}`;
}

/** The password of an address that `tenantAddress` made. */
export function passwordOf(address: string): string {
  return parseServerAddress(address).password;
}

/** `encodeURIComponent` leaves five characters as they are that some clients read otherwise. */
function encoded(text: string): string {
  return encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function decoded(text: string, what: string): string {
  let plain: string;
  try {
    plain = decodeURIComponent(text);
  } catch {
    throw wrong(`has a ${what} with a % that stands for nothing; write %25 for %`);
  }
  if (plain.includes('\0')) throw wrong(`has a ${what} with a NUL character`);
  return plain;
}

function wrong(what: string): BerthError {
  return new BerthError('invalid_request', `The server's address ${what}.`, { details: { field: 'url' } });
}
