import { BerthError } from '@berth/shared/domain/errors';

/** What `sslmode` may say, as libpq knows it. */
const SSL_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;
export type SslMode = (typeof SSL_MODES)[number];

/** The address of a database, taken apart. The password is never part of an argument or a sentence. */
export interface Connection {
  /** A name, an address, or the directory of a unix socket. */
  host: string;
  port: number;
  user: string;
  password: string | null;
  database: string;
  sslMode: SslMode;
  /** A file of certificates that the server's must lead to. */
  sslRootCert: string | null;
}

/** Takes a `postgres://` address apart. Errors: `invalid_request`, which never repeats the address. */
export function connectionOf(address: string): Connection {
  const no = (why: string, cause?: unknown): BerthError =>
    new BerthError('invalid_request', `The database's address is not right: ${why}.`, { cause });
  let url: URL;
  try {
    url = new URL(address);
  } catch (cause) {
    // Not the cause's own message: it quotes what it could not read.
    throw no('it is no URL; write it like postgres://user:password@host:5432/database', nameOf(cause));
  }
  if (url.protocol !== 'postgres:' && url.protocol !== 'postgresql:') throw no('it begins with postgres://');
  const read = (text: string, what: string): string => {
    try {
      return decodeURIComponent(text);
    } catch (cause) {
      throw no(`its ${what} has a "%" that begins no escape; write it as %25`, nameOf(cause));
    }
  };
  const known = new Set(['host', 'port', 'sslmode', 'sslrootcert', 'application_name', 'connect_timeout']);
  for (const name of url.searchParams.keys())
    if (!known.has(name)) throw no(`its parameter ${JSON.stringify(name)} is not supported`);
  const user = read(url.username, 'user');
  if (user === '') throw no('it names no user');
  const password = read(url.password, 'password');
  // Not the URL's own path: it takes a database called "." for a step in a directory.
  const database = read(/^[a-z]+:\/\/[^/?#]*\/([^?#]*)/i.exec(address)?.[1] ?? '', 'database');
  const sslMode = url.searchParams.get('sslmode') ?? 'prefer';
  const mode = SSL_MODES.find((each) => each === sslMode);
  if (mode === undefined) throw no(`sslmode is one of ${SSL_MODES.join(', ')}`);
  for (const text of [user, password, database])
    if (text.includes('\0')) throw no('it has a zero byte, which PostgreSQL does not take');
  return {
    host:
      url.searchParams.get('host') ?? (read(url.hostname, 'host').replace(/^\[(.*)\]$/, '$1') || 'localhost'),
    port: Number(url.searchParams.get('port') ?? (url.port || 5432)),
    user,
    password: password === '' ? null : password,
    database: database === '' ? user : database,
    sslMode: mode,
    sslRootCert: url.searchParams.get('sslrootcert'),
  };
}

/** How a sentence names it: the database and where it is. */
export function placeOf(of: Connection): string {
  const at = of.host.startsWith('/') ? of.host : `${of.host}:${of.port}`;
  return `database ${JSON.stringify(of.database)} at ${at}`;
}

/**
 * The environment of PostgreSQL's client programs: the whole address without the name of the database. Nothing of the
 * agent's own environment, no file of a user's home.
 */
export function clientEnvironment(of: Connection): Record<string, string> {
  return {
    PATH: '/usr/bin:/bin',
    LC_ALL: 'C.UTF-8',
    PGHOST: of.host,
    PGPORT: String(of.port),
    PGUSER: of.user,
    ...(of.password === null ? {} : { PGPASSWORD: of.password }),
    PGPASSFILE: '/dev/null',
    PGSSLMODE: of.sslMode,
    ...(of.sslRootCert === null ? {} : { PGSSLROOTCERT: of.sslRootCert }),
    PGCONNECT_TIMEOUT: '15',
    PGAPPNAME: 'berth backup',
  };
}

/** `--dbname` takes a connection string: a bare name with a "=" in it would be read as one. */
export function databaseArgument(database: string): string {
  return `--dbname=dbname='${database.replace(/[\\']/g, (each) => `\\${each}`)}'`;
}

function nameOf(cause: unknown): string {
  return cause instanceof Error ? cause.name : 'Error';
}
