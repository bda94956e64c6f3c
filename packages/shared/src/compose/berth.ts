import type { Egress } from '../domain/egress.ts';
import type { Profile, Route, Strategy, TenantSpec } from '../domain/spec.ts';
import { readCommand } from './container.ts';
import { readDatabase, type DatabaseRead } from './database.ts';
import { readEgress } from './egress.ts';
import type { Fields, Row } from './fields.ts';
import { fields } from './fields.ts';
import type { Findings, Spot } from './findings.ts';
import type { Tree } from './positions.ts';
import { boolean, choice, duration, integer, isDeferred, text } from './values.ts';

export const PROFILES = ['restricted', 'writable', 'compatible'] as const satisfies readonly Profile[];
const STRATEGIES = ['blue-green', 'recreate', 'in-place'] as const satisfies readonly Strategy[];

/** What a service says under `x-berth`. */
export interface ServiceBerth {
  route: Route | undefined;
  routeAt: Spot | undefined;
  /** Some value of the route or the strategy is not known yet. */
  open: boolean;
  drainMs: number;
  strategy: Strategy | undefined;
  strategyAt: Spot | undefined;
  /** `open`: given, but wrong or not known yet. */
  profile: Profile | 'open' | undefined;
  /** Which variables are to hold secrets. */
  secretEnv: Tree | undefined;
}

export function readServiceBerth(f: Findings, node: Tree | undefined): ServiceBerth {
  const given: Fields =
    node === undefined
      ? new Map()
      : fields(f, node, {
          what: "a service's x-berth",
          known: ['route', 'drain', 'strategy', 'profile', 'secrets'],
          refused: TOP_ONLY,
        });
  const route = given.get('route');
  const drain = given.get('drain');
  const strategy = given.get('strategy');
  const profile = given.get('profile');
  const secrets = given.get('secrets');
  return {
    secretEnv: secrets === undefined ? undefined : readSecretSettings(f, secrets),
    route: route === undefined ? undefined : readRoute(f, route),
    routeAt: route,
    open:
      isDeferred(strategy) ||
      (route?.kind === 'map' && route.entries.some((entry) => isDeferred(entry.value))),
    drainMs: drain === undefined ? 30_000 : (duration(f, drain) ?? 30_000),
    strategy: strategy === undefined ? undefined : choice(f, strategy, STRATEGIES),
    strategyAt: strategy,
    profile: profile === undefined ? undefined : (choice(f, profile, PROFILES) ?? 'open'),
  };
}

function readSecretSettings(f: Findings, node: Tree): Tree | undefined {
  return fields(f, node, { what: "a service's x-berth.secrets", known: ['env'] }).get('env');
}

const TOP_ONLY: readonly Row[] = ['release', 'bake', 'egress', 'database', 'backup'].map((key) => ({
  key,
  reason: 'it is about the whole tenant; move it to the top-level x-berth',
}));

const SERVICE_ONLY: readonly Row[] = ['route', 'drain', 'strategy', 'secrets'].map((key) => ({
  key,
  reason: 'it is about one service; move it to the x-berth of that service',
}));

function readRoute(f: Findings, node: Tree): Route {
  const given = fields(f, node, { what: 'a route', known: ['port', 'path', 'subdomain', 'health'] });
  const portNode = given.get('port');
  const pathNode = given.get('path');
  const subdomainNode = given.get('subdomain');
  const healthNode = given.get('health');
  if (portNode === undefined && node.kind === 'map')
    f.error(node, 'has no port: the container port that speaks HTTP');
  const port = portNode === undefined ? undefined : integer(f, portNode, 1, 65_535);
  const path =
    pathNode === undefined
      ? undefined
      : text(
          f,
          pathNode,
          'a path that begins with / and holds letters, digits and /_.~-, but no empty part, . or ..',
          /^(?!.*\/(\/|\.\.?(\/|$)))\/[A-Za-z0-9/_.~-]{0,199}$/,
        );
  const subdomain =
    subdomainNode === undefined
      ? undefined
      : text(
          f,
          subdomainNode,
          'one lower-case DNS label such as api',
          /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/,
        );
  const health =
    healthNode === undefined
      ? undefined
      : text(
          f,
          healthNode,
          'a path that begins with / and holds letters, digits and /_.~?=&-',
          /^\/[A-Za-z0-9/_.~?=&-]{0,199}$/,
        );
  return {
    port: port ?? 1,
    path: path ?? '/',
    ...(subdomain === undefined ? {} : { subdomain }),
    health: health ?? '/',
  };
}

/** What the whole template says under `x-berth`. */
export interface TopBerth {
  release:
    { service: string; command: string[]; timeoutMs: number; irreversible: boolean; at: Tree } | undefined;
  bakeMs: number;
  profile: Profile | 'open';
  /** Absent: the default. */
  egress: Egress | undefined;
  database: DatabaseRead | undefined;
}

export function readTopBerth(f: Findings, node: Tree | undefined): TopBerth {
  const given: Fields =
    node === undefined
      ? new Map()
      : fields(f, node, {
          what: 'the top-level x-berth',
          known: ['release', 'bake', 'profile', 'egress', 'database', 'backup'],
          refused: SERVICE_ONLY,
        });
  const backup = given.get('backup');
  if (backup !== undefined) f.warn(backup, 'has no effect yet');
  const release = given.get('release');
  const bake = given.get('bake');
  const profile = given.get('profile');
  const egress = given.get('egress');
  const database = given.get('database');
  return {
    release: release === undefined ? undefined : readRelease(f, release),
    bakeMs: bake === undefined ? 60_000 : (duration(f, bake) ?? 60_000),
    profile: profile === undefined ? 'restricted' : (choice(f, profile, PROFILES) ?? 'open'),
    egress: egress === undefined ? undefined : readEgress(f, egress),
    database: database === undefined ? undefined : readDatabase(f, database),
  };
}

function readRelease(f: Findings, node: Tree): TopBerth['release'] {
  const given = fields(f, node, {
    what: 'release',
    known: ['service', 'command', 'timeout', 'irreversible'],
  });
  const serviceNode = given.get('service');
  const commandNode = given.get('command');
  const timeoutNode = given.get('timeout');
  const irreversibleNode = given.get('irreversible');
  if (node.kind === 'map' && serviceNode === undefined)
    f.error(node, 'has no service: the one whose image the command runs in');
  if (node.kind === 'map' && commandNode === undefined) f.error(node, 'has no command');
  const service = serviceNode === undefined ? undefined : text(f, serviceNode, 'the name of a service');
  const command = commandNode === undefined ? undefined : readCommand(f, commandNode);
  if (commandNode !== undefined && command?.length === 0 && !isOpenList(commandNode))
    f.error(commandNode, 'must not be empty');
  const timeoutMs = timeoutNode === undefined ? undefined : duration(f, timeoutNode, 1);
  const irreversible = irreversibleNode !== undefined && boolean(f, irreversibleNode) === true;
  if (service === undefined || serviceNode === undefined || command === undefined || command.length === 0)
    return undefined;
  return { service, command, timeoutMs: timeoutMs ?? 600_000, irreversible, at: serviceNode };
}

function isOpenList(node: Tree): boolean {
  return node.kind === 'list' && node.items.some(isDeferred);
}

/** The release command as the spec has it. */
export function releaseOf(top: TopBerth): TenantSpec['release'] {
  if (top.release === undefined) return undefined;
  const { service, command, timeoutMs, irreversible } = top.release;
  return { service, command, timeoutMs, ...(irreversible ? { irreversible } : {}) };
}
