import { CHAIN_START, chainHash, type AuditFacts } from '@berth/shared/domain/audit';
import type { Rollout } from '@berth/shared/api/rollouts';
import type { PoolSignersShown } from '@berth/shared/api/signers';
import type { Answers } from './fake-api.ts';
import * as long from './long.ts';
import * as databases from './long-databases.ts';

/**
 * `view`: also in a pipe no line is wider than 80. `sentences`: it says a sentence or two, which are folded on a terminal
 * only. `others`: what it prints is read by programs, or is what others wrote.
 */
export type Prints = 'view' | 'sentences' | 'others';

export interface Case {
  /** What is typed after `berth` and the command, with words that begin with a quote kept together. */
  argv: readonly string[];
  prints: Prints;
  answers: Answers;
  /** Sentences among a view's lines, which are whole in a pipe. */
  but?: RegExp;
}

const view = (argv: readonly string[], answers: Answers, but?: RegExp): Case => ({
  argv,
  prints: 'view',
  answers,
  ...(but === undefined ? {} : { but }),
});
const says = (argv: readonly string[], answers: Answers): Case => ({ argv, prints: 'sentences', answers });
const others = (argv: readonly string[], answers: Answers): Case => ({ argv, prints: 'others', answers });

const { TENANT, APP, POOL, HOST, NOW, REASON, VARIABLE, IMAGE } = long;
const changed = () => ({
  tenant: TENANT,
  generation: 4567,
  host: HOST,
  afterEvent: 0,
  result: 'changed' as const,
});
const { database } = databases;
const shown: Answers = {
  showTenant: () => ({ ...long.tenant(), database }),
  explainTenant: () => ({ ...long.explained, database }),
};
const variables = { [VARIABLE]: REASON, SHORT: 'x' };
const rollouts: Answers = {
  showRollout: () => long.rollout(),
  listRollouts: () => ({ items: [long.rollout()], next: null }),
  rolloutTenants: () => ({ items: long.rolloutTenants, next: null }),
};
/** Under way when it is asked of first, and over when it is asked of again. */
function goesOnOnce(): () => Rollout {
  let asked = 0;
  return () => {
    asked += 1;
    return asked % 2 === 1 ? long.rollout({ state: { kind: 'running' } }) : ended;
  };
}
const ended = long.rollout({ state: { kind: 'rolled-back', reason: REASON }, endedAt: NOW });
const hosts: Answers = { showHost: () => long.host, listHosts: () => ({ items: [long.host], next: null }) };
const status = {
  version: '0.1.0-rc.12+build.20261120',
  epoch: 12,
  mode: 'observe' as const,
  modeReason: `The database says that its last change was at 2026-11-19, and agents know of later ones. ${REASON}`,
  store: 'postgres' as const,
  startedAt: NOW - 86_400_000,
  apps: 12,
  hosts: { total: 1234, online: 1233 },
  tenants: { total: 123_456, settled: 120_000, moving: 3000, failed: 12, blocked: 34, paused: 410 },
  lastEvent: 1,
};
const keys = {
  current: `aws-kms:arn:aws:kms:eu-central-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef`,
  keys: [
    { key: 'local:41f6a1d2c0b1c9aa', versions: 12, problem: REASON },
    {
      key: 'aws-kms:arn:aws:kms:eu-central-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef',
      versions: 123_456,
      problem: null,
    },
  ],
  problem: REASON,
  closed: Array.from({ length: 23 }, (_, n) => ({
    tenant: n === 0 ? null : TENANT,
    name: 'STRIPE_WEBHOOK_SIGNING_KEY',
    key: 'local:41f6a1d2c0b1c9aa',
    versions: 12,
  })),
};
const facts: AuditFacts = {
  id: 1,
  at: NOW,
  actor: long.WHO,
  action: 'tenant.secrets-set',
  subject: long.DOMAIN,
  requestId: 'r',
  before: null,
  after: null,
};
const record = { ...facts, hash: chainHash(CHAIN_START.hash, facts) };
const audit: Answers = {
  listAudit: ({ query }) => ({
    items: Number(query['after'] ?? 0) >= 1 ? [] : [record],
    head: { number: 1, hash: record.hash },
  }),
};
const token = {
  id: 't_0123456789abcdef',
  name: 'deploys of the main branch by the build pipeline of the shop',
  role: 'operator' as const,
  scope: { apps: [APP, 'shop'], pools: [POOL], tenants: [TENANT, long.OTHER] },
  createdAt: NOW,
  expiresAt: NOW + 86_400_000,
  lastUsedAt: NOW - 34_000,
};

/** The name of a pair of keys in the directory that commands run in. */
export const KEY = 'the-key-of-the-second-build-pipeline-2026';
const signers: PoolSignersShown = {
  pool: POOL,
  current: {
    version: 123,
    required: true,
    keys: long.releaseDetail.signatures.map(({ key, fingerprint }) => ({ name: key, fingerprint })),
    signedBy: [KEY, `${KEY}-b`],
    at: NOW,
  },
  next: 124,
  hosts: (['goes-by', 'own', 'behind', 'refuses', 'cannot'] as const).map((state) => ({
    host: HOST,
    name: long.HOST_NAME,
    state,
    version: 122,
    refused: state === 'refuses' ? REASON : null,
  })),
};

/** A run of every command that prints something for people, by its words. */
export const CASES: Readonly<Record<string, Case>> = {
  status: view([], { status: () => status, secretKeys: () => keys }),
  events: says([], { listEvents: () => ({ items: [long.event()], last: 1 }) }),

  'app apply': says(['-f', 'compose.yaml'], {
    applyApp: () => ({
      app: APP,
      release: 2,
      result: 'created',
      warnings: [{ line: 8, column: 12, path: 'services.web.ports', message: REASON }],
    }),
  }),
  'app list': view([], { listApps: () => ({ items: [long.app], next: null }) }),
  'app show': view([APP], {
    showApp: () => long.app,
    listReleases: () => ({ items: [long.release], next: null }),
  }),
  'app freeze': says([APP, '--reason', REASON], { freezeApp: () => long.app }),
  'app unfreeze': says([APP], { unfreezeApp: () => long.app }),
  'app set': view([APP, '--var', 'A=1'], { setApp: () => ({ app: APP, result: 'changed', variables }) }),
  'app delete': says([APP, '-y'], { deleteApp: () => ({ result: 'ok' }) }),

  'release create': view(
    [APP, '-f', 'compose.yaml'],
    {
      createRelease: () => ({
        app: APP,
        release: 124,
        result: 'created',
        pins: long.releaseDetail.pins,
        warnings: [],
      }),
    },
    /^an-app.* created/,
  ),
  'release list': view([APP], { listReleases: () => ({ items: [long.release, long.release], next: null }) }),
  'release show': view([APP, '124'], { showRelease: () => long.releaseDetail }),
  'release diff': view([APP, '123', '124'], {
    diffReleases: () => ({
      app: APP,
      from: 123,
      to: 124,
      compared: 'template',
      changes: long.changes
        .filter(({ path }) => path.startsWith('services.'))
        .map((change) => ({
          ...change,
          group: 'other' as const,
          service: long.SERVICE,
          path: change.path.split('.').slice(2).join('.'),
        })),
    }),
  }),
  'release keygen': others(['--out', 'the-key-of-the-build-pipeline-2026.key'], {}),

  'tenant create': view(
    [TENANT, '--app', APP, '--domain', long.DOMAIN, '--pool', POOL, '--var', `${VARIABLE}=x`, '--no-wait'],
    { ...shown, createTenant: changed },
    /^Accepted: /,
  ),
  'tenant set': view(
    [TENANT, '--var', 'A=1', '--no-wait'],
    {
      ...shown,
      planTenant: () => long.plan,
      changeTenant: changed,
    },
    /^Accepted: /,
  ),
  'tenant plan': view([TENANT, '--var', 'A=1'], { ...shown, planTenant: () => long.plan }),
  'tenant pause': says([TENANT, '--no-wait'], { ...shown, pauseTenant: changed }),
  'tenant resume': says([TENANT, '--no-wait'], { ...shown, resumeTenant: changed }),
  'tenant restart': says([TENANT], { ...shown, restartTenant: changed }),
  'tenant delete': says([TENANT, '-y', '--no-wait'], { ...shown, deleteTenant: changed }),
  'tenant rollback': says([TENANT, '-y', '--no-wait'], {
    ...shown,
    tenantHistory: () => ({ items: long.history }),
    rollbackTenant: changed,
  }),
  'tenant history': view([TENANT], { tenantHistory: () => ({ items: [...long.history, ...long.history] }) }),
  'tenant release-outcome': says([TENANT, '--succeeded', '--no-wait'], { ...shown, decideRelease: changed }),
  'tenant pin': says([TENANT, '--reason', REASON], { setTenant: () => long.tenant() }),
  'tenant unpin': says([TENANT], { setTenant: () => long.tenant() }),
  'tenant tag': says([TENANT, 'canary'], { setTenant: () => long.tenant() }),
  'tenant window': says([TENANT, 'daily 01:00-05:00 UTC'], { setTenant: () => long.tenant() }),
  'tenant secret set': says([TENANT, 'KEY', '--from', 'aws-ssm:/prod/key'], {
    setSecrets: () => ({ tenant: TENANT, secrets: [{ name: 'KEY', version: 2 }] }),
    listSecrets: () => ({ items: [{ ...long.secret, name: 'KEY' }] }),
  }),
  'tenant secret list': view([TENANT], { listSecrets: () => ({ items: [long.secret, long.secret] }) }),
  'tenant secret remove': says([TENANT, VARIABLE, '-y'], {
    removeSecret: () => ({ result: 'ok', versions: 12 }),
  }),
  'tenant list': view([], {
    listTenants: () => ({ items: [long.tenant(), long.tenant({ tenant: long.OTHER })], next: null }),
  }),
  'tenant show': view([TENANT], shown),
  'tenant config': view([TENANT], {
    tenantConfig: () => ({
      values: [
        { name: VARIABLE, value: REASON, source: 'template-default' },
        { name: 'EMPTY', value: '', source: 'unset' },
        { name: 'REGISTRY', value: IMAGE, source: 'builtin' },
      ],
    }),
  }),
  'tenant explain': view([TENANT], shown),
  'tenant logs': others([TENANT], { tenantLogs: () => ({ lines: [{ service: 'web', line: REASON }] }) }),

  'secret rotate-key': says(['-y'], {
    rotateSecretKey: () => ({ before: null, current: keys.current, rewrapped: 123_456, failed: [REASON] }),
  }),
  'secret keys': says([], { secretKeys: () => keys }),

  'database add': says([databases.SERVER, '--url-file', 'server.url'], {
    setDatabaseServer: () => databases.check,
  }),
  'database list': view([], { listDatabaseServers: () => ({ items: [databases.server] }) }),
  'database show': view(
    [databases.SERVER],
    { showDatabaseServer: () => databases.server },
    /^To delete one for good/,
  ),
  'database check': says([databases.SERVER], { checkDatabaseServer: () => databases.check }),
  'database remove': says([databases.SERVER, '-y'], { removeDatabaseServer: () => ({ result: 'ok' }) }),
  'database drop-tenant': says([TENANT, '--yes-delete'], { dropTenantDatabase: () => databases.database }),

  'rollout plan': view([APP, '--to', '124'], { planRollout: () => long.rolloutPlan }),
  'rollout start': view([APP, '--to', '124', '-y', '--no-follow'], {
    planRollout: () => long.rolloutPlan,
    startRollout: () => long.rollout(),
  }),
  'rollout list': view([], rollouts),
  'rollout status': view(['7'], rollouts),
  'rollout watch': says(['7'], { ...rollouts, showRollout: goesOnOnce() }),
  'rollout history': view([APP], rollouts),
  'rollout pause': view(['7'], { ...rollouts, pauseRollout: () => long.rollout() }),
  'rollout resume': view(['7'], { ...rollouts, resumeRollout: () => long.rollout() }),
  'rollout approve': view(['7'], { ...rollouts, approveRollout: () => long.rollout() }),
  'rollout retry': view(['7'], { ...rollouts, retryRollout: () => long.rollout() }),
  'rollout abort': view(['7', '-y'], { ...rollouts, abortRollout: () => long.rollout() }),
  'rollout rollback': view(['7', '-y'], { ...rollouts, rollbackRollout: () => long.rollout() }),

  'host list': view([], hosts),
  'host show': view([HOST], hosts),
  'host join-token': says(['--pool', POOL], {
    createJoinToken: () => ({ token: `berth_join_${'a'.repeat(43)}`, pool: POOL, expiresAt: NOW }),
  }),
  'host cordon': says([HOST], { cordonHost: () => long.host }),
  'host uncordon': says([HOST], { uncordonHost: () => long.host }),
  'host reenrol': says([HOST, '-y'], {
    ...hosts,
    reenrolHost: () => ({ host: HOST, instance: 'i-0123456789abcdef0', until: NOW }),
  }),
  'host probe': view([HOST], {
    probeHost: () => ({
      at: NOW,
      ms: 15_500,
      rows: [
        {
          area: 'metadata',
          tried:
            'the metadata service of the instance at 169.254.169.254 and fd00:ec2::254, with a token and without',
          expected: 'not reached, whatever is sent',
          seen: `no answer within 2 s, with "connect EHOSTUNREACH 169.254.169.254:80" from ${long.HOST_NAME}`,
          verdict: 'open',
        },
        { area: 'limits', tried: 'a fork bomb', expected: 'bounded', seen: 'it ended', verdict: 'held' },
      ],
    }),
  }),
  'host remove': says([HOST, '-y'], { ...hosts, removeHost: () => ({ result: 'ok' }) }),

  'pool list': view([], {
    listPools: () => ({
      items: [{ pool: POOL, hosts: 123, tenants: 12_345, variables: [VARIABLE, 'REGION', 'ZONE'] }],
      next: null,
    }),
  }),
  'pool show': view([POOL], {
    showPool: () => ({ pool: POOL, hosts: 123, tenants: 12_345, variables, join: { aws: long.rule } }),
  }),
  'pool join': view(
    [POOL, '--aws-account', '123456789012', '--region', 'eu-central-1', '--role', 'berth-host'],
    { setPoolJoin: () => ({ pool: POOL, aws: long.rule, result: 'changed' }) },
  ),
  'pool set': view([POOL, '--var', 'A=1'], { setPool: () => ({ pool: POOL, result: 'changed', variables }) }),

  'pool signers show': view([POOL], { showPoolSigners: () => signers }),
  'pool signers set': says([POOL, '--key', `${KEY}.pub`, '--sign-with', `${KEY}.key`], {
    showPoolSigners: () => signers,
    setPoolSigners: () => ({ ...signers, result: 'changed' }),
  }),
  'pool signers clear': says([POOL, '--sign-with', `${KEY}.key`], {
    showPoolSigners: () => signers,
    setPoolSigners: () => ({ ...signers, result: 'changed' }),
  }),

  'audit list': view(['--limit', '1'], audit),
  'audit verify': says([], audit),
  'audit export': others([], audit),
  'audit head': says([], audit),

  'token create': says([token.name, '--role', 'operator', '--app', APP], {
    createToken: () => ({ ...token, token: `berth_api_${'a'.repeat(43)}` }),
  }),
  'token list': view([], { listTokens: () => ({ items: [token, token] }) }),
  'token revoke': says([token.id, '-y'], { revokeToken: () => ({ result: 'ok' }) }),
  'oidc trust add': says(
    [
      '--audience',
      long.trust.audience,
      '--repository',
      long.trust.repository,
      '--ref',
      long.trust.ref,
      '--app',
      APP,
    ],
    { addTrust: () => long.trust },
  ),
  'oidc trust list': view([], { listTrust: () => ({ items: [long.trust, long.trust] }) }),
  'oidc trust remove': says([long.trust.id, '-y'], { removeTrust: () => ({ result: 'ok' }) }),
  'coordinator confirm-epoch': says([], { confirmEpoch: () => status }),
};

/** Commands that are not run here, and why. */
export const NOT_RUN: Readonly<Record<string, string>> = {
  up: 'starts daemons; what it prints are sentences, seen in the end-to-end tests',
  down: 'removes what is on this machine',
  coordinator: 'becomes the daemon, which prints JSON',
  agent: 'becomes the daemon, which prints JSON',
  doctor: 'looks at this machine; its view is rendered below from checks',
  login: 'writes a login file and says one sentence',
  'release sign': 'prints what `release create --sign-key` prints, and a text that is signed as it is',
  'token exchange': 'prints a token and one sentence',
};
