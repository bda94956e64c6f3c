import type { Rollout, RolloutPlan, RolloutTenant, TenantHistoryShown } from '@berth/shared/api/rollouts';
import type { Change, Host, Release, Tenant, TenantExplain, TenantPlan } from '@berth/shared/api/schemas';
import type { Event, App } from '@berth/shared/api/schemas';
import type { AwsRule } from '@berth/shared/api/enrolment';
import type { Trust } from '@berth/shared/api/oidc';
import type { SecretShown } from '@berth/shared/api/secrets';
import { RolloutPolicy } from '@berth/shared/domain/rollout';
import { counts, traffic } from './rollouts.ts';

/** Everything as long as it may be, or as long as it is in real life: what must still fit a terminal. */

export const NOW = Date.parse('2026-11-20T12:00:00Z');
export const TENANT = 'a-customer-with-a-long-name-of-40-letter';
export const OTHER = 'another-customer-whose-name-is-no-shorte';
export const APP = 'an-app-that-was-given-a-name-of-40-lette';
export const POOL = 'eu-central-1-dedicated-hosts-large-a-b-c';
export const HOST = 'h_0123456789abcdef';
export const HOST_NAME = 'ip-10-128-200-100.eu-central-1.compute.internal.example-ab.com';
export const DIGEST = `sha256:${'0123456789abcdef'.repeat(4)}`;
export const IMAGE = `123456789012.dkr.ecr.eu-central-1.amazonaws.com/team/platform/shop-frontend:2026.11.20-build.12345@${DIGEST}`;
export const DOMAIN = `${TENANT}.checkout.shop-of-the-customers.eu-central-1.apps.example.com`;
export const TAG = `contract=${'enterprise-'.repeat(6)}9`;
export const REASON =
  'The error budget of the checkout is spent for this month, and the people of the finance department have asked that nothing moves before their audit ends.';
export const WHO = 'token:t_0123456789ab deploys-of-the-main-branch-by-the-build-pipeline-of-the-shop-te';
export const SERVICE = 'web-frontend-with-a-name-of-40-letters-a';
export const VARIABLE =
  'A_VARIABLE_WHOSE_NAME_HAS_BEEN_CHOSEN_WITH_CARE_AND_IS_THEREFORE_RATHER_LONG_FOR_A_TERMINAL';
const LOG = 'a line of a log';
const MIB = 1024 ** 2;

export const tenant = (change: Partial<Tenant> = {}): Tenant => ({
  tenant: TENANT,
  app: APP,
  release: 123,
  generation: 4567,
  state: 'running',
  host: HOST,
  hostName: HOST_NAME,
  pool: POOL,
  domains: [DOMAIN, `www.${DOMAIN}`],
  urls: [`https://${DOMAIN}:8443/`, `https://www.${DOMAIN}:8443/`],
  tags: ['canary', TAG],
  pinned: REASON,
  window: 'Mon-Fri 22:00-04:00 America/Argentina/ComodRivadavia',
  tenancy: 'dedicated',
  egress: ['10.20.0.0/16', '10.30.0.0/16', '172.16.128.0/20', '192.168.100.0/24', '203.0.113.0/24'],
  phase: 'baking',
  live: 4566,
  freshness: 'stale',
  problem: problem(),
  reportedAt: NOW - 90_000,
  createdAt: NOW - 86_400_000,
  updatedAt: NOW - 100_000,
  ...change,
});

export function problem() {
  return {
    code: 'registry_unreachable' as const,
    message: `The registry cannot be reached from this host for ${IMAGE}. Check the network and the name. (connect ETIMEDOUT 203.0.113.7:443)`,
    step: `image ${IMAGE}`,
    service: SERVICE,
    logTail: [LOG],
    at: NOW - 2500,
  };
}

export const changes: Change[] = [
  { path: 'bakeMs', before: '65000', after: '60000' },
  {
    path: 'domains',
    before: JSON.stringify([DOMAIN]),
    after: JSON.stringify([DOMAIN, `www.${DOMAIN}`]),
  },
  { path: 'operator-egress', before: null, after: JSON.stringify(tenant().egress) },
  { path: `services.${SERVICE}.image`, before: IMAGE, after: IMAGE.replace('12345', '12346') },
  { path: `services.${SERVICE}.environment.${VARIABLE}`, before: REASON, after: `${REASON} ${REASON}` },
  { path: `services.${SERVICE}.limits.memoryBytes`, before: '268435456', after: '402653184' },
  { path: `services.${SERVICE}.healthcheck.startPeriodMs`, before: '500', after: '90500' },
  {
    path: `services.${SERVICE}.volumes`,
    before: '[]',
    after: JSON.stringify([
      { readOnly: false, target: '/var/lib/the-data-of-the-customer', volume: 'the-data-of-the-customer' },
    ]),
  },
];

const steps: TenantExplain['steps'] = [
  { kind: 'image.ensure', title: `image ${IMAGE}`, state: 'failed', startedAt: 1, ms: 30_000 },
  {
    kind: 'containers.start',
    title: `start ${SERVICE}, ${SERVICE}, ${SERVICE} of generation 4567`,
    state: 'todo',
    startedAt: null,
    ms: null,
  },
];

export const plan: TenantPlan = {
  tenant: TENANT,
  effect: 'new-generation',
  fromGeneration: 4566,
  toGeneration: 4567,
  changes,
  warnings: [
    { line: 0, column: 0, path: `variables.${VARIABLE}`, message: `is not used; did you mean ${VARIABLE}S?` },
  ],
  steps,
  stepsFrom: 'agent',
};

export const explained: TenantExplain = {
  tenant: TENANT,
  verdict: `${TENANT} is blocked at step image ${IMAGE}: ${problem().message} Generation 4566 still serves.`,
  phase: 'blocked',
  host: { host: HOST, name: HOST_NAME, state: 'offline', lastSeenAt: NOW - 600_000 },
  generation: 4567,
  live: 4566,
  freshness: 'stale',
  steps,
  problem: problem(),
  retryAt: NOW + 8000,
  containers: [
    {
      id: 'c',
      name: `berth-${TENANT}-g4567-${SERVICE}-12`,
      service: SERVICE,
      replica: 12,
      generation: 4567,
      role: 'colour',
      state: 'running',
      health: 'unhealthy',
      address: '198.19.176.5',
    },
  ],
  attempt: {
    rollout: 77,
    release: 124,
    at: NOW - 7_200_000,
    became: 'taken-back',
    reason: problem().message,
  },
  advice: [`Check that ${HOST_NAME} reaches the registry, and that ${IMAGE} was pushed to it.`],
};

export const app: App = {
  app: APP,
  release: 124,
  tenants: 12_345,
  frozen: REASON,
  current: 123,
  createdAt: NOW - 86_400_000,
  updatedAt: NOW - 28_000,
};

export const release: Release = {
  app: APP,
  release: 124,
  digest: '0123456789abcdef'.repeat(4),
  services: [SERVICE, 'worker-with-a-name-that-is-long-as-well', 'scheduler-of-the-recurring-jobs'],
  labels: {
    commit: '0123456789abcdef0123456789abcdef01234567',
    branch: 'refs/heads/a-feature-branch',
    build: '57',
  },
  images: 'as-named',
  createdAt: NOW,
  createdBy: WHO,
};

export const releaseDetail = {
  ...release,
  images: 'pinned' as const,
  compose: 'name: shop\nservices: {}',
  envFiles: { 'config/environments/production/defaults-of-all-customers.env': '12 KB' },
  pins: { [SERVICE]: { image: IMAGE.split('@')[0] ?? '', digest: DIGEST, reference: IMAGE } },
  variables: { [VARIABLE]: REASON },
  signatures: [{ key: 'the-key-of-the-build-pipeline-2026', fingerprint: `SHA256:${'0aZ9'.repeat(10)}abc` }],
};

export const host: Host = {
  host: HOST,
  name: HOST_NAME,
  pool: POOL,
  scheduling: 'cordoned',
  connection: 'offline',
  lastSeenAt: NOW - 600_000,
  agentVersion: '0.1.0',
  tenants: 123,
  dedicatedTo: TENANT,
  capacity: { memoryBytes: 524_288 * MIB, cpus: 192 },
  reserved: { memoryBytes: 262_144.5 * MIB, cpus: 147.35 },
  revision: 123_456,
  ackedRevision: 123_450,
  ingress: { address: '198.18.100.200', port: 8443 },
  facts: {
    os: 'Amazon Linux 2023.6.20261101 with a kernel 6.1.115-126.197.amzn2023.x86_64 and much else to say',
    releaseSigners: 'the-key-of-the-build-pipeline-2026, the-key-of-the-second-build-pipeline-2026',
  },
  report: {
    memoryTotalBytes: 524_288 * MIB,
    memoryAvailableBytes: 100_000 * MIB,
    diskTotalBytes: 4_000_000 * MIB,
    diskAvailableBytes: 3_000_000 * MIB,
    cpus: 192,
    docker: 'up',
    nginx: 'down',
    containers: 789,
    orphans: [TENANT, OTHER, `${TENANT}-2`],
  },
  instance: 'i-0123456789abcdef0 in account 123456789012, region eu-central-1',
  createdAt: NOW,
};

const looked = {
  before: traffic(100_000, 40, 500),
  after: traffic(10_000, 300, 1200),
  verdict: {
    kind: 'bad' as const,
    why: 'errors rose from 0.5% to 12% and the p95 latency from 49 ms to 295 ms, and neither may',
  },
};

const waves = RolloutPolicy.parse({
  waves: [
    { target: { kind: 'tag', tag: 'canary' } },
    { target: { kind: 'tag', tag: TAG } },
    { target: { kind: 'tenants', tenants: [TENANT, OTHER] }, approval: 'ask' },
    { target: { kind: 'share', percent: 12.5 } },
    { target: { kind: 'share', percent: 100 } },
  ],
  bakeMs: 5_400_000,
});

export const rollout = (change: Partial<Rollout> = {}): Rollout => ({
  rollout: 7,
  app: APP,
  to: 124,
  policy: waves,
  state: { kind: 'paused', by: 'failure', reason: `Wave 2: 12 tenants failed. ${REASON}` },
  held: REASON,
  awaits: {
    tenants: 12,
    first: [{ tenant: TENANT, reason: 'window', window: tenant().window, opensAt: NOW + 7_300_000 }],
  },
  wave: 2,
  waves: waves.waves.map((spec, index) => ({
    wave: index + 1,
    spec,
    state:
      index === 0
        ? {
            kind: 'passed',
            at: NOW,
            judged: 'not judged: 12 requests since the move; 50 are needed to judge it',
          }
        : index === 1
          ? { kind: 'failed', at: NOW, why: REASON }
          : { kind: 'awaiting-approval', why: REASON },
    counts: counts({
      pending: 100,
      moving: 20,
      failed: 12,
      skipped: 1234,
      live: 2345,
      returned: 1200,
      stuck: 3,
    }),
    traffic: looked,
  })),
  counts: counts({ pending: 100, moving: 20, failed: 12, skipped: 1234, live: 2345, returning: 3, stuck: 1 }),
  failures: 13,
  startedBy: WHO,
  createdAt: NOW - 5_400_000,
  updatedAt: NOW,
  endedAt: null,
  acts: [
    { at: NOW - 60_000, by: null, what: 'asked', wave: 1, why: REASON },
    { at: NOW - 50_000, by: WHO, what: 'approved', wave: 1, why: null },
    { at: NOW - 40_000, by: null, what: 'halted', wave: 2, why: `Wave 2: 12 tenants failed. ${REASON}` },
    { at: NOW - 30_000, by: null, what: 'wave-rolled-back', wave: 2, why: null },
    { at: NOW - 20_000, by: WHO, what: 'retried', wave: 2, why: REASON },
  ],
  afterEvent: 0,
  ...change,
});

export const rolloutTenants: RolloutTenant[] = (
  [
    {
      kind: 'failed',
      generation: 4567,
      at: NOW - 5000,
      problem: problemOf(),
      stays: 'its release command is marked irreversible',
    },
    { kind: 'moving', generation: 4567, since: NOW - 3000 },
    { kind: 'returning', generation: 4567, since: NOW - 3000, why: REASON, cause: 'rollback' },
    { kind: 'skipped', reason: 'window' },
    { kind: 'pending' },
  ] as const
).map((progress, position) => ({
  tenant: position % 2 === 0 ? TENANT : OTHER,
  wave: 2,
  position,
  host: HOST,
  hostName: HOST_NAME,
  connection: 'offline',
  fromRelease: 123,
  progress,
  step: `wait until ${SERVICE} of generation 4567 is healthy`,
  traffic: looked,
}));

function problemOf() {
  return { code: problem().code, message: problem().message };
}

export const rolloutPlan: RolloutPlan = {
  app: APP,
  to: 124,
  waves: waves.waves.map((spec) => ({
    spec,
    tenants: [TENANT, OTHER].map((name) => ({
      tenant: name,
      host: HOST,
      hostName: HOST_NAME,
      fromRelease: 123,
      now: { kind: 'skipped', reason: 'window' },
      changes,
      error: problem().message,
    })),
  })),
  untouched: [TENANT, OTHER, `${TENANT.slice(0, 30)}-3`],
  warnings: [REASON],
};

export const history: TenantHistoryShown[] = [
  {
    at: NOW,
    by: WHO,
    what: 'returning',
    release: 123,
    generation: 4567,
    rollout: 77,
    ms: 90_000,
    message: `Rollout 77 takes it back from release 124 to 123. ${REASON}`,
    hold: 'offline',
  },
];

export const secret: SecretShown = {
  name: VARIABLE.slice(0, 60),
  version: 123,
  state: 'pending',
  from: `aws-secretsmanager:arn:aws:secretsmanager:eu-central-1:123456789012:secret:prod/${TENANT}/stripe-AbCdEf#key@AWSCURRENT`,
  services: [SERVICE, 'worker'],
  versions: [{ version: 123, createdAt: NOW - 90_000, createdBy: WHO, from: null }],
};

export const rule: AwsRule = {
  account: '123456789012',
  regions: ['eu-central-1', 'eu-west-1', 'us-gov-west-1', 'ap-southeast-2', 'sa-east-1', 'ca-central-1'],
  roles: ['berth-host-of-the-production-environment-with-a-long-name-for-it', 'berth-host'],
  images: [
    'ami-0123456789abcdef0',
    'ami-0123456789abcdef1',
    'ami-0123456789abcdef2',
    'ami-0123456789abcdef3',
  ],
  tags: { 'aws:autoscaling:groupName': 'the-hosts-of-the-production-environment-in-frankfurt', env: 'prod' },
  maxAgeMs: 900_000,
};

export const trust: Trust = {
  id: 'o_0123456789ab',
  issuer: 'https://token.actions.githubusercontent.com',
  audience: 'https://berth.platform.eu-central-1.internal.example.com',
  repository: 'a-company-with-a-long-name/the-repository-of-the-shop-*',
  ref: 'refs/heads/release/2026-11-20-with-everything-that-was-asked-for',
  environment: 'production in Frankfurt, with the approval of two people',
  apps: [APP, 'shop'],
  ttlMs: 900_000,
  createdAt: NOW,
  createdBy: WHO,
};

export const event = (change: Partial<Event> = {}): Event => ({
  id: 1,
  at: NOW,
  kind: 'tenant.blocked',
  tenant: TENANT,
  app: APP,
  host: HOST,
  generation: 4567,
  message: problem().message,
  details: { problem: problem() },
  ...change,
});
