import { BerthError } from '@berth/shared/domain/errors';
import { Domain } from '@berth/shared/domain/ids';
import { Ipv4, type Site } from '@berth/shared/domain/network';
import { Route } from '@berth/shared/domain/spec';
import { atLeast, type NginxVersion } from '../../system/nginx-version.ts';
import {
  CONFIG_HOST,
  MAINTENANCE_ADDRESS,
  NOTHING_ROUTED,
  NOWHERE_ADDRESS,
  REQUESTS_FORMAT,
  REQUESTS_INCLUDE,
  UNROUTED_ADDRESS,
  VERIFY_ADDRESS,
} from '../../system/nginx.ts';

export interface EmitSettings {
  listenAddress: string;
  httpPort: number;
  internalPort: number;
  /** Workers' user; null for Nginx's own default. */
  user: string | null;
  version: NginxVersion;
  /** Where large bodies are put down: below the prefix, or where the distribution's Nginx does it. */
  temporary: 'own' | 'built-in';
  /** Told on the verify listener, so that a reload can be seen to have happened. */
  digest: string;
}

/** Where unknown hosts lead, and unknown paths of known ones; no virtual address is a word. */
const NOWHERE = 'nowhere';
const NO_ROUTE = 'noroute';
const UNKNOWN = 'return 421 "This host name is not served here.\\n";';
const UNROUTED = `return 404 "${NOTHING_ROUTED}\\n";`;

/** One line of a map: exactly this host (and path) leads to this virtual address. */
interface Way {
  path: string;
  virtual: string;
}

/**
 * The whole configuration from typed parts. Every string that came from outside is checked again here, so that nothing
 * a person typed can end a directive. Throws `ingress_invalid`.
 */
export function emitNginx(sites: readonly Site[], settings: EmitSettings): string {
  const hosts = waysByHost(sites);
  const virtuals = [...new Set(sites.map((site) => site.virtual))].sort();
  return [
    ...head(settings),
    ...hostMap(hosts),
    `upstream ${NOWHERE} { server ${NOWHERE_ADDRESS}:${settings.internalPort} max_fails=0; }`,
    `upstream ${NO_ROUTE} { server ${UNROUTED_ADDRESS}:${settings.internalPort} max_fails=0; }`,
    ...virtuals.map((virtual) => upstream(virtual, poolSize(virtuals.length), settings.version)),
    ...servers(settings),
    '}',
    '',
  ].join('\n');
}

/** Hosts in order, each with its paths, the longest first. Two owners of one place are an error. */
export function waysByHost(sites: readonly Site[]): ReadonlyMap<string, readonly Way[]> {
  const found = new Map<string, Map<string, string>>();
  for (const site of sites) {
    const virtual = checked(Ipv4.safeParse(site.virtual), 'virtual address', site.virtual, site.tenant);
    const path = checked(Route.shape.path.safeParse(site.path), 'path', site.path, site.tenant);
    for (const raw of site.hosts) {
      const host = checked(Domain.safeParse(raw), 'domain', raw, site.tenant);
      if (host === CONFIG_HOST) throw invalid(`The domain ${host} is kept for Berth itself.`);
      const ways = found.get(host) ?? new Map<string, string>();
      const key = path === '/' ? '/' : path.replace(/\/+$/, '');
      const before = ways.get(key);
      if (before !== undefined && before !== virtual)
        throw invalid(`Two services claim ${host}${key}; the second belongs to tenant ${site.tenant}.`);
      ways.set(key, virtual);
      found.set(host, ways);
    }
  }
  const sorted = new Map<string, readonly Way[]>();
  for (const host of [...found.keys()].sort()) {
    const ways = [...(found.get(host) ?? [])].map(([path, virtual]) => ({ path, virtual }));
    ways.sort((a, b) => b.path.length - a.path.length || (a.path < b.path ? -1 : 1));
    sorted.set(host, ways);
  }
  return sorted;
}

const TEMPORARY = [
  'client_body_temp_path tmp/body;',
  'proxy_temp_path tmp/proxy;',
  'fastcgi_temp_path tmp/fastcgi;',
  'uwsgi_temp_path tmp/uwsgi;',
  'scgi_temp_path tmp/scgi;',
];

function head(settings: EmitSettings): string[] {
  return [
    '# Written by Berth; changes made here are lost.',
    ...(settings.user === null
      ? []
      : [`user ${settings.user}${settings.user === 'nobody' ? ' nogroup' : ''};`]),
    'worker_processes auto;',
    'worker_rlimit_nofile 65536;',
    // WebSockets of old workers are cut after this long; until then a reload costs nobody a connection. A new tenant
    // means a reload, so this is long; an old worker shares most of its memory with the new ones.
    'worker_shutdown_timeout 1h;',
    'pid nginx.pid;',
    'error_log error.log warn;',
    'events { worker_connections 16384; }',
    'http {',
    'access_log off;',
    `log_format ${REQUESTS_FORMAT} escape=none "$berth_site $status $msec $request_time $upstream_header_time";`,
    'server_tokens off;',
    'default_type text/plain;',
    // What a proxied request needs does not fit into the default of 4 KB.
    'request_pool_size 8k;',
    'client_max_body_size 100m;',
    ...(settings.temporary === 'own' ? TEMPORARY : []),
    'keepalive_timeout 65s;',
    'keepalive_requests 100000;',
    // An old worker that is told to go gives its idle clients this long to send what is on its way.
    ...(atLeast(settings.version, [1, 27, 4]) ? ['keepalive_min_timeout 2s;'] : []),
    'reset_timedout_connection on;',
    'tcp_nodelay on;',
    'map_hash_bucket_size 512;',
    'map_hash_max_size 32768;',
    'server_names_hash_bucket_size 512;',
    'proxy_http_version 1.1;',
    'proxy_connect_timeout 5s;',
    'proxy_send_timeout 300s;',
    'proxy_read_timeout 300s;',
    'proxy_set_header Host $http_host;',
    'proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;',
    'proxy_set_header X-Forwarded-Proto $scheme;',
    // Host says it already; what a client claims here must not pass.
    'proxy_set_header X-Forwarded-Host "";',
    'proxy_set_header Upgrade $http_upgrade;',
    'proxy_set_header Connection $berth_connection;',
    'map $http_upgrade $berth_connection { default upgrade; "" ""; }',
  ];
}

function hostMap(hosts: ReadonlyMap<string, readonly Way[]>): string[] {
  const lines = ['map $host $berth_site {', `default ${NOWHERE};`];
  const pathMaps: string[] = [];
  let count = 0;
  for (const [host, ways] of hosts) {
    const [only] = ways;
    if (ways.length === 1 && only?.path === '/') {
      lines.push(`${host} ${only.virtual};`);
      continue;
    }
    count += 1;
    lines.push(`${host} $berth_path_${count};`);
    pathMaps.push(`map $uri $berth_path_${count} {`, `default ${NO_ROUTE};`, ...ways.map(pathLine), '}');
  }
  return [...lines, '}', ...pathMaps];
}

/** A prefix ends at a slash: `/api` is `/api` and `/api/x`, not `/apix`. The first match wins, so the longest come first. */
function pathLine(way: Way): string {
  if (way.path === '/') return `~^/ ${way.virtual};`;
  return `"~^${way.path.replace(/[.~-]/g, (character) => `\\${character}`)}(?:/|$)" ${way.virtual};`;
}

/**
 * An upstream is named as its address: `proxy_pass http://$berth_site` finds it and with it the pooled connections, while
 * `http://$berth_site:80` is the bare address and a new connection each time.
 */
function upstream(virtual: string, pool: number, version: NginxVersion): string {
  // Without an age a busy connection would stay with the old colour for ever; then its number of requests must do.
  const age = atLeast(version, [1, 19, 10]) ? 'keepalive_time 1s;' : 'keepalive_requests 200;';
  return `upstream ${virtual} { server ${virtual}:80 max_fails=0; keepalive ${pool}; ${age} keepalive_timeout 1s; }`;
}

/** Each place in a pool costs 330 bytes whether it is used or not: 100 MB with 5,000 tenants and 64 places each. */
function poolSize(upstreams: number): number {
  return upstreams <= 1_000 ? 64 : 16;
}

function servers(settings: EmitSettings): string[] {
  const listen = settings.listenAddress.includes(':')
    ? `[${settings.listenAddress}]`
    : settings.listenAddress;
  const site = (target: string): string[] => [
    `location / { proxy_pass http://${target}; error_page 502 504 @away; }`,
    'location @away { add_header Retry-After 5 always; return 502 "This service is not available at the moment.\\n"; }',
  ];
  return [
    `server { listen ${listen}:${settings.httpPort} default_server backlog=4096; server_name _;`,
    REQUESTS_INCLUDE,
    ...site('$berth_site'),
    '}',
    `server { listen ${VERIFY_ADDRESS}:${settings.internalPort} default_server; server_name _;`,
    `if ($berth_site = ${NOWHERE}) { ${UNKNOWN} }`,
    `if ($berth_site = ${NO_ROUTE}) { ${UNROUTED} }`,
    ...site('$berth_site:80'),
    '}',
    `server { listen ${VERIFY_ADDRESS}:${settings.internalPort}; server_name ${CONFIG_HOST};`,
    `location / { return 200 "${settings.digest}"; }`,
    '}',
    `server { listen ${NOWHERE_ADDRESS}:${settings.internalPort} default_server; server_name _;`,
    `location / { ${UNKNOWN} }`,
    '}',
    // A pooled connection to these pages would go on showing them after the tenant, or its route, has come back.
    `server { listen ${UNROUTED_ADDRESS}:${settings.internalPort} default_server; server_name _; keepalive_timeout 0;`,
    `location / { add_header Cache-Control no-store always; ${UNROUTED} }`,
    '}',
    `server { listen ${MAINTENANCE_ADDRESS}:${settings.internalPort} default_server; server_name _; keepalive_timeout 0;`,
    'location / { add_header Retry-After 60 always; add_header Cache-Control no-store always; return 503 "This service is paused for maintenance. Please come back soon.\\n"; }',
    '}',
  ];
}

function checked(
  result: { success: true; data: string } | { success: false },
  what: string,
  value: string,
  tenant: string,
): string {
  if (result.success) return result.data;
  throw invalid(
    `Tenant ${tenant} has a ${what} that Nginx must not be given: ${JSON.stringify(value.slice(0, 80))}.`,
  );
}

function invalid(message: string): BerthError {
  return new BerthError('ingress_invalid', message);
}
