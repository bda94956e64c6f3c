import { connect } from 'node:net';
import { BerthError } from '@berth/shared/domain/errors';
import type { ProbeReport, ProbeRow } from '@berth/shared/domain/probe';
import type { ExecuteDeps } from '../context.ts';
import type { NetworkBase } from '../network/base.ts';
import { readAddresses } from './addresses.ts';
import { controlAttempts, policiesOf, reachAttempts } from './aims.ts';
import { programsOf, type Attempt } from './attempt.ts';
import { fileAttempts, kernelAttempts } from './kernel.ts';
import { openBait } from './bait.ts';
import { diskRow, forksRow, memoryRow, unboundRows, type Neighbour } from './hogs.ts';
import { LIFE_S, makeImage } from './image.ts';
import { paceOf, UNKNOWN_PACE, type Pace } from './pace.ts';
import { udpEcho } from './reach.ts';
import { rowsOf } from './rows.ts';
import { runAttempts } from './run.ts';
import { lookAround } from './standing.ts';
import { hostTargets, lasting } from './targets.ts';
import { beyondOf, makeRooms, startBeyond, startInmate, sweep, type Inmate, type Room } from './world.ts';

export interface Prober {
  /**
   * Tries from inside throw-away tenants what no tenant may do, and takes everything away again. Errors: `conflict` while
   * another probe runs, `unavailable`, `docker_unavailable`, `timeout`.
   */
  probe(signal: AbortSignal): Promise<ProbeReport>;
  /** Takes away what a probe left that was killed. */
  sweep(signal: AbortSignal): Promise<void>;
}

/** On an idle host it takes some fifteen seconds. */
const LIMIT_MS = 150_000;
/** After so long nothing is tried again. */
const TRYING_MS = 90_000;
/** As long may the other tenant keep silent under a hog. */
const NEIGHBOUR_MS = 10_000;
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
  const { clock, system } = deps;
  const { docker, config } = system;
  const giveUpTryingAt = clock.now() + TRYING_MS;
  const earlier = await readAddresses(signal);
  const rooms = await makeRooms(deps, base, signal);
  const { probe_a: own, probe_b: other } = rooms;
  const bait = await openBait();
  try {
    const addresses = lasting(earlier, await readAddresses(signal));
    const targets = await hostTargets(config, own.network.gateway, bait, addresses);
    const beyond = beyondOf(config.agent);
    const control = controlAttempts(config, rooms);
    const attempts = [
      ...reachAttempts(config, rooms, targets, beyond),
      ...kernelAttempts(targets.pid),
      ...fileAttempts(),
    ];
    const policies = policiesOf(beyond);
    const all = [...control, ...attempts, ...policies.flatMap((each) => each.attempts)];
    await makeImage(deps, [...programsOf(all), udpEcho('udp-echo', 8080)], signal);

    const start = (room: Room, index: number, inmate: Inmate): Promise<string> =>
      startInmate(deps, room, index, inmate, signal);
    const sleeping = ['timeout', '-s', 'KILL', String(LIFE_S), 'sleep', String(LIFE_S)];
    const [root, nobody, forker, glutton, neighbour, machine] = await Promise.all([
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

    const inmates = { own: nobody, other: neighbour, beyond: machine, near: beyond.near };
    const run = async (some: readonly Attempt[], pace: Pace): Promise<void> => {
      const conditions = {
        containers: { root, nobody },
        pace,
        look: () => lookAround(deps, inmates, signal),
        hasTime: () => clock.now() < giveUpTryingAt,
      };
      rows.push(...rowsOf(some, await runAttempts(deps, some, conditions, signal)));
    };
    const began = clock.now();
    await run(control, UNKNOWN_PACE);
    const pace = paceOf(clock.now() - began);
    await run(attempts, pace);
    for (const { policy, attempts: some } of policies) {
      await base.allowBridge(own.network.bridge, policy);
      await run(some, pace);
    }

    const doing = (): Promise<Neighbour> =>
      neighbourOf(deps, [other.address(0), 8080], [own.address(1), 8080], signal);
    rows.push(await diskRow(deps, { hog: glutton, pace }, signal));
    rows.push(await memoryRow(deps, { hog: glutton, neighbour: doing, pace }, signal));
    rows.push(await forksRow(deps, { hog: forker, neighbour: doing, pace }, signal));
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

type Address = readonly [address: string, port: number];

/** How the other tenant does, and, when it keeps silent, whether that says anything: `control` is of the hog's own tenant. */
async function neighbourOf(
  { clock, sleep }: ExecuteDeps,
  other: Address,
  control: Address,
  signal: AbortSignal,
): Promise<Neighbour> {
  for (const end = clock.now() + NEIGHBOUR_MS; clock.now() < end; await sleep(250, signal))
    if (await answers(...other)) return 'answers';
  return (await answers(...control)) ? 'silent' : 'slow host';
}

/** Says whether what the attempts aim at is really there; without that, that nothing was reached means nothing. */
async function baitRow(deps: ExecuteDeps, there: readonly Address[], signal: AbortSignal): Promise<ProbeRow> {
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

function answers(address: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port, timeout: 2_000 });
    const end = (yes: boolean) => (): void => {
      socket.destroy();
      resolve(yes);
    };
    socket.on('connect', end(true));
    socket.on('timeout', end(false));
    socket.on('error', end(false));
  });
}
