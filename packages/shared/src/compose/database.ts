import { DATABASE_VARIABLE, DatabaseServerName, type DatabaseWish } from '../domain/database.ts';
import type { SecretRef } from '../domain/secret.ts';
import type { ServiceSpec } from '../domain/spec.ts';
import { fields } from './fields.ts';
import type { Findings, Spot } from './findings.ts';
import { parseInterpolation, type Part } from './interpolate.ts';
import type { Entry, Tree } from './positions.ts';
import { choice, integer, isDeferred, quote, text } from './values.ts';

const ENGINES = ['postgres'] as const;
const OWN = ['database', 'schema'] as const;
/** Enough for a web service with a pool and a worker; a server has a few hundred for all its tenants. */
const CONNECTIONS = 20;

/** What the template says of the tenant's database, and where. */
export interface DatabaseRead {
  wish: DatabaseWish;
  at: Spot;
  /** Where the service is named that it runs as. */
  serviceAt: Tree | undefined;
}

/** `x-berth.database`; undefined when it cannot be told what is meant, which the findings say. */
export function readDatabase(f: Findings, node: Tree): DatabaseRead | undefined {
  const given = fields(f, node, {
    what: 'database',
    known: ['engine', 'server', 'own', 'connections', 'service', 'user', 'database'],
  });
  if (node.kind !== 'map') return undefined;
  const engineNode = given.get('engine');
  if (engineNode === undefined) f.error(node, 'has no engine; write `engine: postgres`');
  else choice(f, engineNode, ENGINES);
  const engine = 'postgres';
  const serviceNode = given.get('service');
  if (serviceNode === undefined) {
    for (const key of ['user', 'database']) {
      const extra = given.get(key);
      if (extra !== undefined)
        f.error(extra, 'is for a database that runs as a service of this file; name it with service');
    }
    const serverNode = given.get('server');
    const ownNode = given.get('own');
    const connectionsNode = given.get('connections');
    return {
      wish: {
        kind: 'managed',
        engine,
        server: serverNode === undefined ? null : (readServer(f, serverNode) ?? null),
        own: ownNode === undefined ? 'database' : (choice(f, ownNode, OWN) ?? 'database'),
        connections:
          connectionsNode === undefined
            ? CONNECTIONS
            : (integer(f, connectionsNode, 1, 10_000) ?? CONNECTIONS),
      },
      at: node,
      serviceAt: undefined,
    };
  }
  for (const key of ['server', 'own', 'connections']) {
    const extra = given.get(key);
    if (extra !== undefined)
      f.error(extra, 'is for a database that Berth makes on a server; remove it, or remove service');
  }
  const userNode = given.get('user');
  const databaseNode = given.get('database');
  const service = text(f, serviceNode, 'the name of a service');
  const wish: DatabaseWish = {
    kind: 'service',
    engine,
    service: service ?? '',
    user: userNode === undefined ? null : (readName(f, userNode, 'a user') ?? null),
    database: databaseNode === undefined ? null : (readName(f, databaseNode, 'a database') ?? null),
  };
  return { wish, at: node, serviceAt: serviceNode };
}

/** Errors when the service that the database runs as is none of the tenant's. */
export function checkDatabase(
  f: Findings,
  read: DatabaseRead | undefined,
  services: readonly { name: string; volumes: readonly unknown[] }[],
): void {
  if (read?.wish.kind !== 'service' || read.serviceAt === undefined || isDeferred(read.serviceAt)) return;
  const { wish, serviceAt } = read;
  const service = services.find((each) => each.name === wish.service);
  if (service === undefined) {
    if (wish.service !== '') f.error(serviceAt, `${quote(wish.service)} is not a service of this file`);
  } else if (service.volumes.length === 0) {
    f.warn(serviceAt, 'this service has no volume, so its data are gone with each new container');
  }
}

/** A service with the variables taken out that are to hold the address of the tenant's database. */
export interface Taken {
  value: Tree;
  names: string[];
}

/**
 * Takes the variables out of a service's environment whose whole value is `${DATABASE_URL}`. It must be done before
 * anything is filled in, since it is a secret and no variable. Anywhere else it is an error.
 */
export function takeDatabaseVariables(f: Findings, value: Tree): Taken {
  const names: string[] = [];
  if (value.kind !== 'map') return { value, names };
  const entries = value.entries.map((entry): Entry => {
    if (entry.key !== 'environment') return entry;
    const { value: environment } = entry;
    if (environment.kind === 'map')
      return {
        ...entry,
        value: {
          ...environment,
          entries: environment.entries.filter(({ key, value: of }) => {
            if (of.kind !== 'scalar') return true;
            const taken = of.value === null ? key === DATABASE_VARIABLE : isAddress(of.value);
            if (taken) names.push(key);
            return !taken;
          }),
        },
      };
    if (environment.kind !== 'list') return entry;
    const items = environment.items.filter((item) => {
      if (item.kind !== 'scalar') return true;
      const sign = item.text.indexOf('=');
      const name = sign > 0 ? item.text.slice(0, sign) : item.text;
      const taken = sign > 0 ? isAddress(item.text.slice(sign + 1)) : name === DATABASE_VARIABLE;
      if (taken) names.push(name);
      return !taken;
    });
    return { ...entry, value: { ...environment, items } };
  });
  const rest: Tree = { ...value, entries };
  refuseElsewhere(f, rest);
  return { value: rest, names };
}

/** The service with the address in these variables, and in `DATABASE_URL`, whatever the file has there for development. */
export function withDatabase(
  f: Findings,
  at: Spot,
  service: ServiceSpec,
  names: readonly string[],
  ref: SecretRef,
): ServiceSpec {
  const environment = { ...service.environment };
  const secretEnv = { ...service.secretEnv };
  for (const name of new Set([DATABASE_VARIABLE, ...names])) {
    if (Object.hasOwn(environment, name) && name === DATABASE_VARIABLE)
      f.warn(
        at,
        `the ${DATABASE_VARIABLE} that this service sets gives way to the address of the tenant's own database`,
      );
    delete environment[name];
    secretEnv[name] ??= ref;
  }
  return { ...service, environment, secretEnv };
}

/** Whether a file that was not read yet asks for a database that Berth makes. */
export function asksForManaged(tree: Tree): boolean {
  const wish = child(child(tree, 'x-berth'), 'database');
  return wish?.kind === 'map' && child(wish, 'service') === undefined;
}

function readServer(f: Findings, node: Tree): string | undefined {
  const found = text(f, node, 'the name of a database server, as `berth database list` shows it');
  if (found === undefined || DatabaseServerName.safeParse(found).success) return found;
  f.error(node, 'must be the name of a database server, as `berth database list` shows it');
  return undefined;
}

function readName(f: Findings, node: Tree, what: string): string | undefined {
  return text(f, node, `${what} of 1 to 63 characters`, /^[^\p{Cc}]{1,63}$/u);
}

/** `$DATABASE_URL`, or `${DATABASE_URL}` with or without what holds when there is none: there always is one. */
function isAddress(value: unknown): boolean {
  if (typeof value !== 'string' || !value.includes(DATABASE_VARIABLE)) return false;
  const parsed = parseInterpolation(value);
  const [only, ...more] = parsed.ok ? parsed.parts : [];
  return (
    only?.kind === 'variable' &&
    more.length === 0 &&
    only.name === DATABASE_VARIABLE &&
    only.operator !== 'replace'
  );
}

function refuseElsewhere(f: Findings, tree: Tree): void {
  switch (tree.kind) {
    case 'map':
      for (const { value } of tree.entries) refuseElsewhere(f, value);
      return;
    case 'list':
      for (const item of tree.items) refuseElsewhere(f, item);
      return;
    case 'scalar': {
      if (typeof tree.value !== 'string' || !tree.value.includes(DATABASE_VARIABLE)) return;
      const parsed = parseInterpolation(tree.value);
      if (parsed.ok && speaksOf(parsed.parts))
        f.error(
          tree,
          `${DATABASE_VARIABLE} is a secret, so it can only be the whole value of a variable under environment, such as \`DB: $\{${DATABASE_VARIABLE}}\``,
        );
    }
  }
}

function speaksOf(parts: readonly Part[]): boolean {
  return parts.some(
    (part) => part.kind === 'variable' && (part.name === DATABASE_VARIABLE || speaksOf(part.rest)),
  );
}

function child(tree: Tree | undefined, key: string): Tree | undefined {
  if (tree?.kind !== 'map') return undefined;
  return tree.entries.find((entry) => entry.key === key)?.value;
}
