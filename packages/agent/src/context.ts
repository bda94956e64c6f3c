import { wantedIn } from '@berth/shared/domain/desired';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { cpus, hostname, release, totalmem } from 'node:os';
import type { Logger } from 'pino';
import { messageOf } from '@berth/shared/domain/errors';
import type { HostEventKind } from '@berth/shared/domain/events';
import type { SignersFacts } from '@berth/shared/protocol/messages';
import { VERSION } from '@berth/shared/domain/version';
import { SEALING_FACT } from '@berth/shared/secrets/sealed';
import { createAnswers } from './answers.ts';
import { hostConfigOf, type AgentConfig } from './config.ts';
import { createReceiver } from './desired/receive.ts';
import { createSigners } from './desired/signers.ts';
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
import { createResolve, kmsWrap } from './secrets/references.ts';
import { createHostSecrets, type HostSecrets } from './secrets/secrets.ts';
import { openState, type AgentState } from './state/open.ts';
import { askAws } from './system/aws.ts';
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
  secrets: HostSecrets;
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
  const { kms, ...aws } = config.secrets;
  const secrets = createHostSecrets({
    dir: system.paths.secretsDir,
    identity: state.identity,
    wrap: kms === undefined ? null : kmsWrap(askAws, { ...aws, key: kms.key }),
    resolve: createResolve(askAws, aws),
    clock,
    log,
    // Nothing changed, but what waited for them is tried at once.
    onCame: (tenants) => loop.desire(state.desired.current(), tenants),
  });
  system.secrets.listenTo((tenant) => secrets.valuesOf(tenant));
  const executor = createExecutor({
    system,
    secrets,
    drained: (tenant, at) => traffic.drained(tenant, at),
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
  const onHost = (kind: HostEventKind, message: string, details: Record<string, unknown>): void =>
    reports.event({
      at: clock.now(),
      tenant: null,
      generation: null,
      kind,
      message: message.slice(0, 1000),
      details,
    });
  const signers = createSigners({
    rules: config.releases,
    pool: config.releases.pool ?? (config.join?.kind === 'aws' ? config.join.pool : null),
    store: state.signers,
    log,
    pinned({ signers: { pool, version, required } }, message) {
      log.info({ pool, version, required }, message);
      onHost('host.signers_pinned', message, { pool, version, required });
    },
    refused(why, message) {
      log.error({ why }, message);
      onHost('host.signers_refused', message, { why });
    },
    changed() {
      const current = state.desired.current();
      loop.desire(current, Object.keys(current.tenants));
    },
  });
  const loop = createLoop({
    settings: config,
    observer,
    execute: executor.execute,
    statuses: heardBy(state.statuses, traffic, secrets),
    lost: state.lost,
    reports,
    gate: createGate(config.concurrency),
    clock,
    failpoint,
    log,
    vet: signers.vet,
    desired: state.desired.current(),
    mode: state.desired.mode(),
    sweepMs: config.sweepMs,
  });
  const facts = await helloFacts(config);
  const link = createLink({
    url: config.coordinator.url,
    state,
    outbox,
    facts: async () => factsWith(facts, signers.facts(), await sealingFact(secrets, log)),
    secrets,
    signers: (message) => signers.receive(message),
    answer: createAnswers({ loop, observer, prober: executor.prober, traffic, outbox }),
    clock,
    random: Math.random,
    log,
    receiver: () =>
      createReceiver({
        store: state.desired,
        log,
        onDesired(next, changed) {
          const tenants = changed.flatMap((tenant) => wantedIn(next, tenant) ?? []);
          // A value that cannot be asked for now is asked for by the step that needs it.
          void secrets.prefetch(tenants).catch(() => undefined);
          loop.desire(next, changed);
        },
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
      // What a probe left that was killed. Nobody waits for it: Docker may be down, and then the next probe does it.
      void executor.prober.sweep(signal).catch((thrown: unknown) => {
        if (!signal.aborted)
          log.warn({ err: messageOf(thrown) }, 'What a probe may have left could not be cleared away yet.');
      });
      await traffic.prepare(signal);
      for (const problem of await secrets.restore(signal)) {
        log.error({}, problem);
        reports.event({
          at: clock.now(),
          tenant: null,
          generation: null,
          kind: 'host.secrets_unavailable',
          message: problem.slice(0, 1000),
          details: {},
        });
      }
      await secrets.prefetch(Object.values(state.desired.current().tenants));
    },
    close: () => system.close(),
  };
}

/** A switch is told to the counter as it happens, before it is on disk: each request belongs to one colour. */
function heardBy(statuses: Statuses, traffic: TrafficCounter, secrets: HostSecrets): Statuses {
  return {
    all: () => statuses.all(),
    save(status) {
      traffic.note(status);
      return statuses.save(status);
    },
    async remove(tenant) {
      traffic.forget(tenant);
      await secrets.forget(tenant);
      await statuses.remove(tenant);
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

/** Null, and a word in the log, when the key cannot be had: then no secrets come, and all else goes on. */
async function sealingFact(secrets: HostSecrets, log: Logger): Promise<string | null> {
  try {
    return await secrets.fact();
  } catch (thrown) {
    log.error({ err: thrown }, messageOf(thrown));
    return null;
  }
}

/** A coordinator gives secrets to who shows a key to seal them to. */
function factsWith(facts: HelloFacts, signing: SignersFacts, sealing: string | null): HelloFacts {
  const said = Object.fromEntries(
    Object.entries(signing).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
  const sealed = sealing === null ? {} : { [SEALING_FACT]: sealing };
  return { ...facts, facts: { ...facts.facts, ...said, ...sealed } };
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
    },
    ingress: { address: config.nginx.listenAddress, port: config.nginx.httpPort },
  };
}
