import { connect } from 'node:net';
import { openBait } from './bait.ts';
import { BerthError } from '@berth/shared/domain/errors';
import type { Egress } from '@berth/shared/domain/egress';
import type { ProbeReport, ProbeRow } from '@berth/shared/domain/probe';
import type { ExecuteDeps } from '../context.ts';
import type { NetworkBase } from '../network/base.ts';
import { fileAttempts, kernelAttempts, lookup, shut, udpEcho, works, type Attempt } from './attempts.ts';
import { diskRow, forksRow, memoryRow, unboundRows } from './hogs.ts';
import { makeImage } from './image.ts';
import { rowsOf, runAttempts } from './run.ts';
import { hostTargets, type HostTargets } from './targets.ts';
import {
  beyondOf,
  makeRooms,
  startBeyond,
  startInmate,
  sweep,
  type BeyondAddresses,
  type Inmate,
  type ProbeTenant,
  type Room,
} from './world.ts';

export interface Prober {
  /**
   * Tries from inside throw-away tenants what no tenant may do, and takes everything away again. Errors: `conflict` while
   * another probe runs, `unavailable`, `docker_unavailable`, `timeout`.
   */
  probe(signal: AbortSignal): Promise<ProbeReport>;
  /** Takes away what a probe left that was killed. */
  sweep(signal: AbortSignal): Promise<void>;
}

const LIMIT_MS = 55_000;
const SWEEP_MS = 30_000;

export function createProber(deps: ExecuteDeps, base: NetworkBase): Prober {
  let running: Promise<unknown> | null = null;

  const probe = async (outer: AbortSignal): Promise<ProbeReport> => {
    const { clock } = deps;
    const at = clock.now();
    const limit = AbortSignal.timeout(LIMIT_MS);
    const signal = AbortSignal.any([outer, limit]);
    try {
      await sweep(deps, base, signal);
      return { at, rows: await tryAll(deps, base, signal), ms: clock.now() - at };
    } catch (thrown) {
      if (outer.aborted || !limit.aborted) throw thrown;
      throw new BerthError('timeout', `The probe did not end within ${LIMIT_MS / 1000} s and was given up.`, {
        cause: thrown,
      });
    } finally {
      await sweep(deps, base, AbortSignal.timeout(SWEEP_MS)).catch(() => undefined);
    }
  };

  return {
    async probe(signal) {
      if (running !== null) throw new BerthError('conflict', 'A probe is running on this host already.');
      const made = probe(signal);
      running = made;
      try {
        return await made;
      } finally {
        running = null;
      }
    },
    sweep: (signal) => (running === null ? sweep(deps, base, signal) : Promise.resolve()),
  };
}

async function tryAll(deps: ExecuteDeps, base: NetworkBase, signal: AbortSignal): Promise<ProbeRow[]> {
  const { docker, config } = deps.system;
  const rooms = await makeRooms(deps, base, signal);
  const { probe_a: own, probe_b: other } = rooms;
  const bait = await openBait();
  try {
    const targets = await hostTargets(config, own.network.gateway, bait);
    const beyond = beyondOf(config.agent);
    const attempts = [
      ...reachAttempts(deps, rooms, targets, beyond),
      ...kernelAttempts(targets.pid),
      ...fileAttempts(),
    ];
    const policies = policiesOf(beyond);
    const all = [...attempts, ...policies.flatMap((each) => each.attempts)];
    await makeImage(deps, [...all, udpEcho('udp-echo', 8080)], signal);

    const start = (room: Room, index: number, inmate: Inmate): Promise<string> =>
      startInmate(deps, room, index, inmate, signal);
    const sleeping = ['timeout', '-s', 'KILL', '90', 'sleep', '90'];
    const [root, nobody, forker, glutton, neighbour] = await Promise.all([
      start(own, 0, { name: 'root', command: sleeping }),
      start(own, 1, { name: 'nobody', command: ['/probe/serve'], user: '65534:65534' }),
      start(own, 2, { name: 'forker', command: sleeping, pids: 64 }),
      start(own, 3, { name: 'glutton', command: sleeping }),
      start(other, 0, { name: 'web', command: ['/probe/serve'] }),
      startBeyond(deps, signal),
    ]);
    // What is to be found shut must be there: the host itself reaches all of it.
    const there = [
      [own.address(1), 8080],
      [other.address(0), 8080],
      [beyond.listed, 8080],
      [beyond.linkLocal, 8080],
      [own.network.gateway, bait.tcp],
    ] as const;
    const rows = [await baitRow(deps, there, signal)];

    const run = async (some: readonly Attempt[]): Promise<void> => {
      rows.push(...rowsOf(some, await runAttempts(deps, { root, nobody }, some, signal)));
    };
    await run(attempts);
    for (const { policy, attempts: some } of policies) {
      await base.allowBridge(own.network.bridge, policy);
      await run(some);
    }

    const unharmed = (): Promise<boolean> => answers(other.address(0), 8080);
    rows.push(await diskRow(deps, glutton, signal));
    rows.push(await memoryRow(deps, glutton, unharmed, signal));
    rows.push(await forksRow(deps, forker, unharmed, signal));
    const after = await docker.inspectContainer(neighbour, { signal });
    const alive = after?.state === 'running' && !after.oomKilled;
    rows.push({
      area: 'limits',
      tried: 'the other tenant after all of this',
      expected: 'runs as before',
      seen: alive ? 'runs as before' : 'it has ended',
      verdict: alive ? 'held' : 'open',
    });
    return [...rows, ...unboundRows()];
  } finally {
    bait.close();
  }
}

/** Says whether what the attempts aim at is really there; without that, that nothing was reached means nothing. */
async function baitRow(
  deps: ExecuteDeps,
  there: readonly (readonly [string, number])[],
  signal: AbortSignal,
): Promise<ProbeRow> {
  let missing: string[] = [];
  for (let left = 50; left > 0; left -= 1) {
    const up = await Promise.all(there.map(([address, port]) => answers(address, port)));
    missing = there.filter((_, index) => up[index] === false).map(([address]) => address);
    if (missing.length === 0) break;
    await deps.sleep(100, signal);
  }
  return {
    area: 'network',
    tried: 'the host itself, to what is tried below',
    expected: 'reached',
    seen: missing.length === 0 ? 'all of it answers' : `no answer from ${missing.join(', ')}`,
    verdict: missing.length === 0 ? 'held' : 'broken',
  };
}

function reachAttempts(
  { system: { config } }: ExecuteDeps,
  { probe_a: own, probe_b: other }: Record<ProbeTenant, Room>,
  targets: HostTargets,
  beyond: BeyondAddresses,
): Attempt[] {
  const mine = { what: 'another container of the same tenant', address: own.address(1) };
  const theirs = { what: 'another tenant’s container', address: other.address(0) };
  const name = `${config.agent}-${other.network.tenant}-web`;
  const attempts: Attempt[] = [
    works('own-tcp', 'network', 'tcp', { ...mine, port: 8080 }),
    works('own-udp', 'network', 'udp', { ...mine, port: 8080 }),
    works('own-icmp', 'network', 'icmp', { ...mine, port: 0 }),
    lookup('own-name', 'the name of an own container', `${config.agent}-${own.network.tenant}-nobody`, 'own'),
    shut('other-tcp', 'network', 'tcp', { ...theirs, port: 8080 }),
    shut('other-udp', 'network', 'udp', { ...theirs, port: 8080 }),
    shut('other-icmp', 'network', 'icmp', { ...theirs, port: 0 }),
    lookup('other-name', 'the name of another tenant’s container', name, 'stranger'),
    lookup('other-svc', 'the service name of another tenant', 'web', 'stranger'),
    shut('other-gw', 'network', 'icmp', {
      what: 'another tenant’s gateway',
      address: other.network.gateway,
      port: 0,
    }),
    shut('virtual', 'network', 'tcp', {
      what: 'a virtual address',
      address: firstOf(config.virtualCidr),
      port: 80,
    }),
  ];
  for (const [index, address] of [
    '169.254.169.254',
    '169.254.170.2',
    '169.254.170.23',
    '169.254.1.1',
  ].entries()) {
    const what = index === 0 ? 'the metadata service' : 'link-local';
    attempts.push(shut(`meta${index}`, 'metadata', 'tcp', { what, address, port: 80 }));
  }
  attempts.push(
    shut('meta-near', 'metadata', 'tcp', {
      what: 'link-local, where somebody answers,',
      address: beyond.linkLocal,
      port: 8080,
    }),
    shut('meta6', 'metadata', 'tcp', { what: 'the metadata service', address: 'fd00:ec2::254', port: 80 }),
    shut('meta-dns', 'metadata', 'udp', {
      what: 'the metadata service',
      address: '169.254.169.254',
      port: 53,
    }),
  );
  for (const [a, address] of targets.addresses.entries()) {
    const what = address === own.network.gateway ? 'the host (own gateway)' : 'the host';
    for (const port of targets.tcp)
      attempts.push({
        ...shut(`host${a}t${port}`, 'host', 'tcp', { what, address, port }),
        group: `${what} ${address}, ${targets.tcp.length} TCP ports`,
      });
    for (const port of targets.udp)
      attempts.push({
        ...shut(`host${a}u${port}`, 'host', 'udp', { what, address, port }),
        group: `${what} ${address}, ${targets.udp.length} UDP ports`,
      });
    attempts.push(shut(`host${a}i`, 'host', 'icmp', { what, address, port: 0 }));
  }
  for (const [index, address] of targets.ipv6.entries())
    attempts.push(shut(`host6${index}`, 'host', 'tcp', { what: 'the host', address, port: 22 }));
  return attempts;
}

interface Policy {
  policy: Egress;
  attempts: readonly Attempt[];
}

/** Each policy with what it must let through and what not; the machine beyond the host answers at all of it. */
function policiesOf({ listed, unlisted, privately, linkLocal }: BeyondAddresses): Policy[] {
  const rows = (name: string, policy: Egress, reached: string[], not: string[]): Policy => {
    const named = (attempt: Attempt): Attempt => ({ ...attempt, tried: `${name}: ${attempt.tried}` });
    const at = (what: string, address: string): { what: string; address: string; port: number } => ({
      what,
      address,
      port: 8080,
    });
    // A datagram's answer comes from the first address of the machine, whichever was asked.
    const kindsOf = (address: string): ('tcp' | 'udp')[] => (address === listed ? ['tcp', 'udp'] : ['tcp']);
    const whatOf = (address: string): string =>
      address === linkLocal
        ? 'link-local'
        : address === privately
          ? 'a private address'
          : 'an address beyond';
    const id = (address: string, kind: string): string => `e-${name}-${address}-${kind}`;
    return {
      policy,
      attempts: [
        ...reached.flatMap((to) =>
          kindsOf(to).map((kind) => named(works(id(to, kind), 'egress', kind, at(whatOf(to), to)))),
        ),
        ...not.flatMap((to) =>
          kindsOf(to).map((kind) => named(shut(id(to, kind), 'egress', kind, at(whatOf(to), to)))),
        ),
      ],
    };
  };
  const none = rows('none', 'none', [], [listed, privately, linkLocal]);
  return [
    rows('internet', 'internet', [listed, privately], [linkLocal]),
    rows('public', 'public', [listed], [privately, linkLocal]),
    rows('ranges', [`${listed}/32`, '169.254.0.0/16'], [listed], [unlisted, privately, linkLocal]),
    {
      ...none,
      attempts: [
        ...none.attempts,
        lookup('e-dns', 'none: looking up a name outside', 'example.com', 'outside'),
      ],
    },
  ];
}

function answers(address: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port, timeout: 1_000 });
    const end = (yes: boolean) => (): void => {
      socket.destroy();
      resolve(yes);
    };
    socket.on('connect', end(true));
    socket.on('timeout', end(false));
    socket.on('error', end(false));
  });
}

function firstOf(cidr: string): string {
  return (cidr.split('/')[0] ?? '').replace(/\d+$/, '1');
}
