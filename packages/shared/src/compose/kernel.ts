import { z } from 'zod';
import type { Profile, ServiceSpec } from '../domain/spec.ts';
import type { Fields } from './fields.ts';
import { fields } from './fields.ts';
import type { Findings } from './findings.ts';
import type { Tree } from './positions.ts';
import { nearest } from './suggest.ts';
import { boolean, integer, isDeferred, mapping, pairs, scalar, show, size, text, items } from './values.ts';

const ULIMITS = 'core cpu data fsize locks memlock msgqueue nofile nproc rss rttime sigpending stack'.split(
  ' ',
);

/** What the `compatible` profile gives: Docker's default set without NET_RAW and MKNOD. */
const COMPATIBLE_CAPABILITIES =
  'AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL NET_BIND_SERVICE SETFCAP SETGID SETPCAP SETUID SYS_CHROOT'.split(
    ' ',
  );

type KernelKeys = 'shmSizeBytes' | 'ulimits' | 'sysctls' | 'extraHosts';

/** Settings that the kernel applies to the container alone. */
export function readKernel(f: Findings, given: Fields): Pick<ServiceSpec, KernelKeys> {
  const shm = given.get('shm_size');
  const shmSizeBytes = shm === undefined ? undefined : size(f, shm);
  const ulimits = given.get('ulimits');
  const sysctls = given.get('sysctls');
  const extraHosts = given.get('extra_hosts');
  return {
    ...(shmSizeBytes === undefined ? {} : { shmSizeBytes }),
    ulimits: ulimits === undefined ? {} : readUlimits(f, ulimits),
    sysctls: sysctls === undefined ? {} : readSysctls(f, sysctls),
    extraHosts: extraHosts === undefined ? {} : readExtraHosts(f, extraHosts),
  };
}

function readUlimits(f: Findings, node: Tree): ServiceSpec['ulimits'] {
  const result: ServiceSpec['ulimits'] = {};
  for (const entry of mapping(f, node)?.entries ?? []) {
    if (entry.key === 'nice' || entry.key === 'rtprio') {
      f.error(
        entry,
        'refused because it lets a tenant take the processor from others, whatever cpus says; remove it',
      );
      continue;
    }
    if (!ULIMITS.includes(entry.key)) {
      const near = nearest(entry.key, ULIMITS);
      f.error(
        entry,
        `\`${entry.key.slice(0, 80)}\` is not a ulimit${near === undefined ? '' : `; did you mean \`${near}\`?`}`,
      );
      continue;
    }
    const { value } = entry;
    if (value.kind !== 'map') {
      const both = integer(f, value, -1, Number.MAX_SAFE_INTEGER);
      if (both !== undefined) result[entry.key] = { soft: both, hard: both };
      continue;
    }
    const given = fields(f, value, { what: 'a ulimit', known: ['soft', 'hard'] });
    const softNode = given.get('soft');
    const hardNode = given.get('hard');
    if (softNode === undefined || hardNode === undefined) {
      f.error(entry, 'needs both soft and hard');
      continue;
    }
    const soft = integer(f, softNode, -1, Number.MAX_SAFE_INTEGER);
    const hard = integer(f, hardNode, -1, Number.MAX_SAFE_INTEGER);
    if (soft === undefined || hard === undefined) continue;
    if (hard !== -1 && (soft === -1 || soft > hard))
      f.error(softNode, 'the soft limit is above the hard limit');
    result[entry.key] = { soft, hard };
  }
  return result;
}

function readSysctls(f: Findings, node: Tree): Record<string, string> {
  const result = new Map<string, string>();
  for (const { key, shown, value, node: at } of pairs(f, node)) {
    if (!/^(net\.[a-z0-9_.-]+|kernel\.shm[a-z_]+)$/.test(key)) {
      f.error(
        at,
        `the sysctl ${shown} is refused because it changes the whole host; only net.* and kernel.shm* belong to a container`,
      );
    } else if (value === undefined) {
      f.error(at, `the sysctl ${shown} needs a value`);
    } else {
      result.set(key, value);
    }
  }
  return Object.fromEntries(result);
}

function readExtraHosts(f: Findings, node: Tree): Record<string, string> {
  const result = new Map<string, string>();
  for (const { key, value, deferred, node: at } of pairs(f, node, ['=', ':'])) {
    const address = value?.trim().replace(/^\[(.*)\]$/, '$1') ?? '';
    if (!/^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$/.test(key.trim())) {
      if (!deferred) f.error(at, 'must begin with a host name');
    } else if (deferred) {
      continue;
    } else if (address === 'host-gateway') {
      f.error(
        at,
        'refused because host-gateway lets a tenant reach the host; give the address of the other side',
      );
    } else if (z.ipv4().safeParse(address).success || z.ipv6().safeParse(address).success) {
      result.set(key.trim(), address);
    } else {
      f.error(at, `must name one IP address, such as db.internal=10.0.0.5, not ${show(at)}`);
    }
  }
  return Object.fromEntries(result);
}

/** Keys that ask for more or fewer rights, judged by the profile. `profile` is undefined when it is not known yet. */
export function checkRights(f: Findings, given: Fields, profile: Profile | undefined): void {
  const readOnly = given.get('read_only');
  if (readOnly !== undefined) checkReadOnly(f, readOnly, profile);
  const capabilities = given.get('cap_add');
  for (const item of capabilities === undefined ? [] : items(f, capabilities)) {
    const found = scalar(f, item, 'the name of a capability');
    if (found !== undefined) checkCapability(f, item, found.text, profile);
  }
  const options = given.get('security_opt');
  for (const item of options === undefined ? [] : items(f, options)) {
    const option = text(f, item);
    if (option === undefined || /^no-new-privileges([:=]true)?$/.test(option)) continue;
    f.error(
      item,
      `refused because ${show(item)} weakens the container's confinement; only no-new-privileges:true may stand here`,
    );
  }
}

function checkReadOnly(f: Findings, node: Tree, profile: Profile | undefined): void {
  const readOnly = boolean(f, node);
  if (readOnly === undefined || profile === undefined || isDeferred(node)) return;
  if (readOnly && profile !== 'restricted') {
    f.warn(node, `has no effect: x-berth.profile \`${profile}\` makes the root file system writable`);
  }
  if (!readOnly && profile === 'restricted') {
    f.error(
      node,
      'the root file system is read-only by default; to write to it use x-berth.profile: writable',
    );
  }
}

function checkCapability(f: Findings, item: Tree, name: string, profile: Profile | undefined): void {
  const capability = name.toUpperCase().replace(/^CAP_/, '');
  if (!COMPATIBLE_CAPABILITIES.includes(capability)) {
    f.error(
      item,
      `refused because ${show(item)} lets a tenant reach beyond its container; x-berth.profile: compatible gives ` +
        `${COMPATIBLE_CAPABILITIES.join(', ')}`,
    );
  } else if (profile !== undefined && profile !== 'compatible') {
    f.error(item, `${show(item)} comes with x-berth.profile: compatible; use that instead of cap_add`);
  }
}
