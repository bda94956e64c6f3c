import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { cpus, hostname, release, totalmem } from 'node:os';
import type { Logger } from 'pino';
import { VERSION } from '@berth/shared/domain/version';
import { createAnswers } from './answers.ts';
import { hostConfigOf, type AgentConfig } from './config.ts';
import { createReceiver } from './desired/receive.ts';
import { createVet } from './desired/vet.ts';
import { openCredentials } from './system/registries.ts';
import { createExecutor } from './execute/executor.ts';
import { createJoining } from './joining.ts';
import { createLink, type Link } from './link/link.ts';
import type { HelloFacts } from './link/handlers.ts';
import { createGate } from './loop/gate.ts';
import { createLoop, type Loop } from './loop/loop.ts';
import type { Failpoint, Reports, Statuses } from './loop/ports.ts';
import { createObserver } from './observe/observer.ts';
import { createOutbox, type Outbox } from './report/outbox.ts';
import { openState, type AgentState } from './state/open.ts';
import { realSleep } from './system/clock.ts';
import { readDisk } from './system/host-facts.ts';
import { createSystem } from './system/system.ts';
import { createTrafficCounter, type TrafficCounter } from './traffic/counter.ts';

const clock = { now: (): number => Date.now() };

export interface Context {
  state: AgentState;
  loop: Loop;
  link: Link;
  /** Counts requests, once all is prepared. */
  traffic: TrafficCounter;
  /** Binds this host at the coordinator when it is not bound yet. */
  enrol(signal: AbortSignal): Promise<string>;
  /** Puts the kernel's tables in place. Errors: `conflict` when the address ranges are in use. */
  prepare(signal: AbortSignal): Promise<void>;
  close(): void;
}

/** Everything an agent is made of, wired; nothing runs yet. Errors: `state_unwritable`. */
export async function createContext(
  config: AgentConfig,
  log: Logger,
  failpoint: Failpoint,
): Promise<Context> {
  const joining = createJoining(config, clock, log, (ms) => wait(ms));
  const copied = await joining.settle();
  const state = await openState(config.stateDir, { clock });
  const system = createSystem(hostConfigOf(config));
  const executor = createExecutor({
    system,
    clock,
    sleep: realSleep,
    credentials: openCredentials(config.registries, clock),
  });
  const observer = createObserver({
    system,
    clock,
    sleep: realSleep,
    restoreBase: (signal) => executor.ensureNetworkBase(signal),
  });
  const outbox = createOutbox();
  const reports = reportsTo(outbox);
  const traffic = createTrafficCounter({
    system,
    statuses: () => state.statuses.all(),
    tell: (sample) => outbox.traffic(sample),
    incomplete: (message, lost) =>
      reports.event({
        at: clock.now(),
        tenant: null,
        generation: null,
        kind: 'host.counts_incomplete',
        message,
        details: { lost },
      }),
    clock,
    sleep: realSleep,
    log,
  });
  const loop = createLoop({
    settings: config,
    observer,
    execute: executor.execute,
    statuses: heardBy(state.statuses, traffic),
    lost: state.lost,
    reports,
    gate: createGate(config.concurrency),
    clock,
    failpoint,
    log,
    vet: createVet(config.releases),
    desired: state.desired.current(),
    mode: state.desired.mode(),
    sweepMs: config.sweepMs,
  });
  const facts = await helloFacts(config);
  const link = createLink({
    url: config.coordinator.url,
    state,
    outbox,
    facts: () => facts,
    answer: createAnswers(loop, observer),
    clock,
    random: Math.random,
    log,
    receiver: () =>
      createReceiver({
        store: state.desired,
        log,
        onDesired: (next, changed) => loop.desire(next, changed),
        onUnwritable: (refused, changed, why) => loop.refuse(refused, changed, why),
        onMode: (mode) => loop.setMode(mode),
        onNewEpoch() {
          loop.repeatReports();
          traffic.repeat();
        },
      }),
  });
  for (const path of state.quarantined) {
    log.error({ path }, 'A state file could not be read and was set aside; what it held is rebuilt.');
    outbox.event({
      id: `${randomBytes(8).toString('hex')}`,
      at: clock.now(),
      tenant: null,
      generation: null,
      kind: 'host.state_quarantined',
      message:
        `The state file ${path} could not be read; it was set aside and what it held is rebuilt.`.slice(
          0,
          1000,
        ),
      details: {},
    });
  }
  if (copied !== null) {
    reports.event({
      at: clock.now(),
      tenant: null,
      generation: null,
      kind: 'host.state_quarantined',
      message:
        `This host's disk is a copy of another's. What belongs to that one was set aside in ${copied}.`.slice(
          0,
          1000,
        ),
      details: {},
    });
  }
  return {
    state,
    loop,
    link,
    traffic,
    secrets,
    enrol: (signal) => joining.enrol(state.identity, signal),
    async prepare(signal) {
      await executor.ensureNetworkBase(signal);
      await traffic.prepare(signal);
    },
    close: () => system.close(),
  };
}

/** A switch is told to the counter as it happens, before it is on disk: each request belongs to one colour. */
function heardBy(statuses: Statuses, traffic: TrafficCounter): Statuses {
  return {
    all: () => statuses.all(),
    save(status) {
      traffic.note(status);
      return statuses.save(status);
    },
    remove(tenant) {
      traffic.forget(tenant);
      return statuses.remove(tenant);
    },
  };
}

/** Events get an id that no other start of this agent gives. */
function reportsTo(outbox: Outbox): Reports {
  const start = randomBytes(8).toString('hex');
  let count = 0;
  return {
    tenant: (report) => outbox.tenant(report),
    removal: (request) => outbox.removal(request),
    host: (report) => outbox.host(report),
    event(event) {
      count += 1;
      outbox.event({ ...event, id: `${start}-${count}` });
    },
  };
}

async function helloFacts(config: AgentConfig): Promise<HelloFacts> {
  const disk = await readDisk(config.stateDir);
  return {
    agentVersion: VERSION,
    bootId: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
    capacity: {
      memoryBytes: Math.max(0, totalmem() - config.reserve.memoryBytes),
      cpus: cpus().length,
      diskBytes: disk.totalBytes,
    },
    facts: {
      kernel: release(),
      node: process.version,
      hostname: hostname().slice(0, 200),
      ...signersOf(config),
    },
    ingress: { address: config.nginx.listenAddress, port: config.nginx.httpPort },
  };
}

/** Whose signatures this host asks for, so that nobody sends it what it will refuse. */
function signersOf({ releases }: AgentConfig): { releaseSigners?: string } {
  if (!releases.requireSignature) return {};
  return {
    releaseSigners: releases.keys
      .map((each) => each.name)
      .join(', ')
      .slice(0, 200),
  };
}
