import { z } from 'zod';
import { DesiredTenant, Tombstone } from '../domain/desired.ts';
import { Digest, HostId, PoolName, TenantName } from '../domain/ids.ts';
import { ERROR_CODES } from '../domain/errors.ts';
import { ProbeReport } from '../domain/probe.ts';
import { SecretName } from '../domain/secret.ts';
import { MOST_STATEMENTS, SignedSigners } from '../domain/signers.ts';
import { TrafficSample } from '../domain/traffic.ts';
import { AgentEvent, HostReport, RemovalRequest, StepView, TenantReport } from './report.ts';

/** Grows when a message changes in a way that an older peer would misread. Both ends refuse what they do not speak. */
export const PROTOCOL_VERSION = 1;
export const SUBPROTOCOL = 'berth.v1';

/** No frame is larger, in either direction; a desired state that is larger comes in parts. */
export const MAX_FRAME_BYTES = 1024 * 1024;
/** Soft size of one part. */
export const PART_BYTES = 256 * 1024;
/** The hello must arrive within this time. */
export const HELLO_TIMEOUT_MS = 10_000;

/** WebSocket close codes, 4000–4999 being the application's. */
export const CLOSE = {
  unauthenticated: 4401,
  /** A newer authenticated session of the same host has taken over. */
  superseded: 4409,
  protocol: 4400,
  silent: 4408,
  goingAway: 1001,
} as const;

/** What the agent signs: bound to this protocol, this host and this one challenge. */
export function challengeText(host: string, nonce: string): string {
  return `berth-agent-connect-v1\n${host}\n${nonce}`;
}

// Coordinator -> agent

export const Challenge = z.strictObject({
  type: z.literal('challenge'),
  protocol: z.int(),
  nonce: z.string().min(32).max(100),
});

export const Welcome = z.strictObject({
  type: z.literal('welcome'),
  protocol: z.int(),
  epoch: z.int(),
  /** `observe`: report, but change nothing, until an operator has confirmed the coordinator's state. */
  mode: z.enum(['apply', 'observe']),
  /** How often to ping, and how long a silence either side bears. */
  heartbeatMs: z.int().min(100),
  timeoutMs: z.int().min(200),
  reconnect: z.strictObject({ baseMs: z.int().min(1), capMs: z.int().min(1) }),
});

/**
 * Desired state, in `parts` messages that follow each other. `base: null` is all of the host's state (and still deletes
 * nothing by leaving it out); a number is a change over that revision.
 */
export const Desired = z.strictObject({
  type: z.literal('desired'),
  epoch: z.int(),
  revision: z.int(),
  base: z.int().nullable(),
  /** Digest of the host's whole state once this is applied. */
  digest: Digest,
  part: z.int().min(1),
  parts: z.int().min(1).max(10_000),
  tenants: z.array(DesiredTenant),
  tombstones: z.array(Tombstone),
  /** Entries that no longer exist at all: tombstones that are done. Never a tenant that runs. */
  forget: z.array(TenantName),
});

export const Mode = z.strictObject({
  type: z.literal('mode'),
  epoch: z.int(),
  mode: z.enum(['apply', 'observe']),
});

export const ReportAck = z.strictObject({ type: z.literal('report.ack'), seq: z.int() });

/** Questions change nothing of the host's tenants. A time-out means unknown. */
export const Question = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('plan'), tenant: DesiredTenant }),
  z.strictObject({
    kind: z.literal('logs'),
    tenant: TenantName,
    service: z.string().nullable(),
    lines: z.int().min(1).max(1000),
  }),
  /** Tries the isolation from inside throw-away tenants, and leaves nothing behind. */
  z.strictObject({ kind: z.literal('probe') }),
  /** Answered when the counts of all requests that were served until it came are on record at the coordinator. */
  z.strictObject({ kind: z.literal('traffic') }),
]);
export type Question = z.infer<typeof Question>;
export const Query = z.strictObject({ type: z.literal('query'), id: z.string().max(60), question: Question });

const SecretPlaceOf = {
  tenant: TenantName,
  name: SecretName,
  version: z.int().min(1),
  id: z.string().regex(/^[0-9a-f]{16}$/),
};

/** Answers `secrets.want`, in as many messages as it takes: each value sealed to the host, or why there is none. */
export const Secrets = z.strictObject({
  type: z.literal('secrets'),
  secrets: z
    .array(
      z.strictObject({
        ...SecretPlaceOf,
        given: z.discriminatedUnion('kind', [
          z.strictObject({ kind: z.literal('sealed'), box: z.base64().max(100_000) }),
          z.strictObject({ kind: z.literal('refused'), message: z.string().max(1000) }),
        ]),
      }),
    )
    .max(200),
});
export type Secrets = z.infer<typeof Secrets>;

/**
 * Whose releases the host's pool runs: the statements that this host has not, the newest last; none where there is none.
 * Only sent to an agent whose hello has shown the fact `poolSigners`, before any desired state.
 */
export const Signers = z.strictObject({
  type: z.literal('signers'),
  pool: PoolName,
  chain: z.array(SignedSigners).max(MOST_STATEMENTS),
});
export type Signers = z.infer<typeof Signers>;

export const ToAgent = z.discriminatedUnion('type', [
  Signers,
  Challenge,
  Welcome,
  Desired,
  Mode,
  ReportAck,
  Query,
  Secrets,
]);
export type ToAgent = z.infer<typeof ToAgent>;

// Agent -> coordinator

export const Hello = z.strictObject({
  type: z.literal('hello'),
  protocol: z.int(),
  host: HostId,
  /** Ed25519 over challengeText, base64. */
  signature: z.string().max(200),
  agentVersion: z.string().max(60),
  bootId: z.string().max(60),
  epoch: z.int(),
  revision: z.int(),
  digest: Digest,
  capacity: z.strictObject({ memoryBytes: z.number(), cpus: z.number(), diskBytes: z.number() }),
  facts: z.record(z.string().max(40), z.string().max(200)),
  /** Where this host's Nginx answers HTTP, for people: address and port. */
  ingress: z.strictObject({ address: z.string().max(100), port: z.int() }),
});
export type Hello = z.infer<typeof Hello>;

export const DesiredAck = z.strictObject({
  type: z.literal('desired.ack'),
  epoch: z.int(),
  revision: z.int(),
  digest: Digest,
});
export const DesiredReject = z.strictObject({
  type: z.literal('desired.reject'),
  epoch: z.int(),
  revision: z.int(),
  reason: z.enum(['stale_epoch', 'stale_revision', 'gap', 'digest_mismatch', 'unwritable']),
  message: z.string().max(1000),
});

/** At least once, in order of `seq`; coalesced per tenant. */
export const Report = z.strictObject({
  type: z.literal('report'),
  seq: z.int(),
  tenants: z.array(TenantReport).max(500),
  removals: z.array(RemovalRequest).max(100),
  events: z.array(AgentEvent).max(500),
  traffic: z.array(TrafficSample).max(500).default([]),
  host: HostReport.nullable(),
});
export type Report = z.infer<typeof Report>;

export const Answer = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('plan'), steps: z.array(StepView) }),
  z.strictObject({
    kind: z.literal('logs'),
    lines: z.array(z.strictObject({ service: z.string(), line: z.string().max(4000) })),
  }),
  z.strictObject({ kind: z.literal('probe'), report: ProbeReport }),
  z.strictObject({ kind: z.literal('traffic') }),
  z.strictObject({ kind: z.literal('error'), code: z.enum(ERROR_CODES), message: z.string().max(1000) }),
]);
export type Answer = z.infer<typeof Answer>;
export const QueryResult = z.strictObject({
  type: z.literal('query.result'),
  id: z.string().max(60),
  answer: Answer,
});

/**
 * Versions that the host has to have and has not. Only sent by an agent whose hello has shown a sealing key, of tenants
 * that are desired on it.
 */
export const SecretsWant = z.strictObject({
  type: z.literal('secrets.want'),
  want: z.array(z.strictObject(SecretPlaceOf)).min(1).max(200),
});
export type SecretsWant = z.infer<typeof SecretsWant>;

/** What a hello's facts say of whose releases the host runs, where it is not what they said. Answers `signers`. */
export const SignersFacts = z.strictObject({
  /** Which statement of its pool holds, as `standingOf` has it; `none`. */
  poolSigners: z.string().max(80),
  /** Names and hints at the keys of what holds here, where signatures are required. */
  releaseSigners: z.string().max(200).optional(),
  releaseKeys: z.string().max(200).optional(),
  /** Who requires it: the host's own configuration goes before its pool. */
  releaseRule: z.enum(['host', 'pool']).optional(),
  /** Why what the coordinator sent last does not hold here. */
  signersRefused: z.string().max(200).optional(),
});
export type SignersFacts = z.infer<typeof SignersFacts>;
export const SignersAck = z.strictObject({ type: z.literal('signers.ack'), facts: SignersFacts });
export type SignersAck = z.infer<typeof SignersAck>;

export const FromAgent = z.discriminatedUnion('type', [
  SignersAck,
  SecretsWant,
  Hello,
  DesiredAck,
  DesiredReject,
  Report,
  QueryResult,
]);
export type FromAgent = z.infer<typeof FromAgent>;
