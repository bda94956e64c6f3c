import { fields } from './fields.ts';
import type { Fields } from './fields.ts';
import type { Findings, Spot } from './findings.ts';
import { NETWORK_KEYS } from './ignored.ts';
import type { Tree } from './positions.ts';
import { integer, isDeferred, items, quote, scalar, show, text } from './values.ts';

/** The container ports of a service's `ports`, as a hint for a route. */
export interface PortsFound {
  at: Spot;
  /** TCP ports that could speak HTTP, without doubles. */
  http: number[];
  /** Some port is only known once variables are filled in. */
  open: boolean;
}

/** Ports that are published for something other than plain HTTP; no route is derived from them. */
const NOT_HTTP = new Set([22, 25, 53, 443, 465, 587, 993, 1883, 3306, 5432, 5672, 6379, 8443, 11211, 27017]);

/** Reads `ports`, which publish nothing here. */
export function readPorts(f: Findings, node: Tree): PortsFound | undefined {
  const found: PortsFound = { at: node, http: [], open: false };
  const all = items(f, node);
  for (const item of all) {
    const port = item.kind === 'map' ? readLongPort(f, item, found) : readShortPort(f, item, found);
    if (port !== undefined && !NOT_HTTP.has(port) && !found.http.includes(port)) found.http.push(port);
  }
  if (all.length === 0) return undefined;
  f.warn(
    node,
    'is not published: Berth routes by domain, and x-berth.route says which service and port answers',
  );
  return found;
}

/** `80`, `8080:80`, `127.0.0.1:8080:80/tcp`, `3000-3005:3000-3005`. */
function readShortPort(f: Findings, item: Tree, found: PortsFound): number | undefined {
  if (isDeferred(item) && item.kind === 'scalar') {
    const last = /:([0-9]{1,5})(\/tcp)?$/.exec(item.text);
    if (last === null) found.open = true;
    return last === null ? undefined : Number(last[1]);
  }
  const what = 'a port such as 8080:80';
  const value = text(
    f,
    item,
    what,
    /^(([0-9.]+|\[[0-9a-fA-F:]+\]):)?([0-9-]*:)?[0-9]{1,5}(-[0-9]{1,5})?(\/(tcp|udp|sctp))?$/,
  );
  const match = value === undefined ? null : /([0-9]{1,5})(-[0-9]{1,5})?(\/(tcp|udp|sctp))?$/.exec(value);
  if (match === null) return undefined;
  const port = Number(match[1]);
  if (port < 1 || port > 65_535) {
    f.error(item, `must be ${what}, not ${show(item)}`);
    return undefined;
  }
  return (match[4] ?? 'tcp') === 'tcp' && match[2] === undefined ? port : undefined;
}

function readLongPort(f: Findings, item: Tree, found: PortsFound): number | undefined {
  const given = fields(f, item, {
    what: 'a port',
    known: ['target', 'published', 'protocol', 'mode', 'host_ip', 'name', 'app_protocol'],
  });
  const target = given.get('target');
  if (target === undefined) {
    f.error(item, 'has no target');
    return undefined;
  }
  found.open ||= isDeferred(target);
  const protocol = given.get('protocol');
  const tcp = protocol === undefined || (protocol.kind === 'scalar' && protocol.text === 'tcp');
  const port = integer(f, target, 1, 65_535);
  return tcp ? port : undefined;
}

/** `network_mode` and `networks` of a service: every tenant has one network of its own. */
export function checkNetworks(f: Findings, service: Fields, declared: ReadonlySet<string>): void {
  const mode = service.get('network_mode');
  if (mode !== undefined) checkNetworkMode(f, mode);
  const networks = service.get('networks');
  if (networks === undefined) return;
  f.warn(
    networks,
    'has no effect: each tenant has its own network, and all its services are on it under their own names',
  );
  const known = (name: string, at: Spot, shown: string): void => {
    if (name !== 'default' && !declared.has(name))
      f.error(at, `the network ${shown} is not declared under the top-level networks`);
  };
  if (networks.kind !== 'map') {
    for (const item of items(f, networks)) {
      const name = text(f, item, 'the name of a network');
      if (name !== undefined) known(name, item, show(item));
    }
    return;
  }
  for (const entry of networks.entries) {
    known(entry.key, entry, quote(entry.key));
    if (entry.value.kind === 'scalar' && entry.value.value === null) continue;
    const given = fields(f, entry.value, { what: 'a network', known: NETWORK_KEYS });
    const aliases = given.get('aliases');
    if (aliases !== undefined)
      f.warn(
        aliases,
        'has no effect: services reach each other by service name; use that name instead of the alias',
      );
  }
}

function checkNetworkMode(f: Findings, node: Tree): void {
  const mode = scalar(f, node, 'a network mode');
  if (mode === undefined) return;
  if (mode.text === 'bridge' || mode.text === 'default') {
    f.warn(node, 'has no effect: each tenant has its own network');
  } else if (mode.text === 'host') {
    f.error(
      node,
      "refused because it lets a tenant reach the host's network; remove it, and route with x-berth.route",
    );
  } else if (mode.text === 'none') {
    f.error(node, "refused because every service is on its tenant's network; remove it");
  } else {
    f.error(
      node,
      `refused because ${show(node)} joins a network that is not the tenant's own; remove it: services reach each other by name`,
    );
  }
}

/** The top-level `networks`; returns the declared names. */
export function readNetworks(f: Findings, node: Tree): ReadonlySet<string> {
  const names = new Set<string>();
  if (node.kind !== 'map') {
    f.error(node, 'must be a mapping');
    return names;
  }
  for (const entry of node.entries) {
    names.add(entry.key);
    if (entry.value.kind === 'scalar' && entry.value.value === null) continue;
    const external = fields(f, entry.value, { what: 'a network', known: NETWORK_KEYS }).get('external');
    if (external !== undefined && !(external.kind === 'scalar' && external.text === 'false')) {
      f.error(
        external,
        "refused because an external network reaches beyond the tenant; give the other side's address as a variable",
      );
    }
  }
  if (node.entries.length > 0)
    f.warn(node, 'has no effect: each tenant has its own network, which all its services share');
  return names;
}

/** The top-level `volumes`; returns the declared names. */
export function readVolumes(f: Findings, node: Tree): ReadonlySet<string> {
  const names = new Set<string>();
  if (node.kind !== 'map') {
    f.error(node, 'must be a mapping');
    return names;
  }
  for (const entry of node.entries) {
    names.add(entry.key);
    if (entry.value.kind === 'scalar' && entry.value.value === null) continue;
    const given = fields(f, entry.value, {
      what: 'a volume',
      known: ['driver', 'external'],
      ignored: [
        { key: 'name', reason: 'Berth names the volumes, since every tenant has its own' },
        { key: 'labels', reason: 'Berth labels the volumes' },
      ],
      refused: [
        { key: 'driver_opts', reason: 'it can mount a path of the host or a network share; remove it' },
      ],
    });
    const external = given.get('external');
    if (external !== undefined && !(external.kind === 'scalar' && external.text === 'false')) {
      f.error(
        external,
        "refused because an external volume is not the tenant's own; remove it: each tenant gets its own volume",
      );
    }
    const driver = given.get('driver');
    const name = driver === undefined ? undefined : scalar(f, driver, 'local');
    if (driver !== undefined && name !== undefined && name.text !== 'local') {
      f.error(
        driver,
        `the volume driver ${show(driver)} is refused because hosts have no volume plug-ins; remove it or use local`,
      );
    }
  }
  return names;
}
