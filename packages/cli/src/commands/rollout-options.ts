import { RolloutPolicy } from '@berth/shared/domain/rollout';
import { parseWaves } from '@berth/shared/domain/waves-text';
import type { Command } from 'commander';
import { z } from 'zod';
import { UsageError } from '../exit-codes.ts';
import { parseCount, parseFactor, parsePercent, parseTags, parseTime } from './parse.ts';

const DEFAULT_WAVES = '5%,25%,100%';

/** The options that say how a rollout goes; `plan` and `start` have the same. */
export function addPolicyOptions(command: Command): Command {
  return command
    .requiredOption('--to <n>', 'the release to move to')
    .option('--waves <list>', 'shares, numbers, tags, @names; :approve asks before one', DEFAULT_WAVES)
    .option('--bake <time>', "how long a wave is watched after its last tenant serves; '2m' unless given")
    .option('--max-failures <n>', 'so many tenants may fail; one more halts the rollout; 0 unless given')
    .option('--on-failure <what>', 'pause or rollback (of that wave); pause unless given')
    .option('--per-host <n>', 'so many tenants of one host at once; 4 unless given')
    .option('--at-once <n>', 'so many tenants in all at once; 20 unless given')
    .option('--order <tags>', 'whose tenants go first, such as tier=free,tier=pro; canaries are always first')
    .option('--error-budget <share>', 'how much the share of 5xx answers may rise; 2% unless given')
    .option('--latency-factor <n>', 'to how many times its past the p95 latency may grow; 1.5 unless given')
    .option('--latency-slack <time>', 'and by how much besides; 50ms unless given')
    .option('--min-requests <n>', 'fewer requests than this are not judged; 50 unless given')
    .option('--move-timeout <time>', 'a tenant that takes longer has failed; 10m unless given');
}

export const PolicyFlags = z.object({
  to: z.string(),
  waves: z.string(),
  bake: z.string().optional(),
  maxFailures: z.string().optional(),
  onFailure: z.string().optional(),
  perHost: z.string().optional(),
  atOnce: z.string().optional(),
  order: z.string().optional(),
  errorBudget: z.string().optional(),
  latencyFactor: z.string().optional(),
  latencySlack: z.string().optional(),
  minRequests: z.string().optional(),
  moveTimeout: z.string().optional(),
});
export type PolicyFlags = z.infer<typeof PolicyFlags>;

/** Fields of a policy as they are typed. */
const OPTIONS: Readonly<Record<string, string>> = {
  waves: '--waves',
  bakeMs: '--bake',
  maxFailures: '--max-failures',
  onFailure: '--on-failure',
  perHost: '--per-host',
  atOnce: '--at-once',
  order: '--order',
  'traffic.errorRate': '--error-budget',
  'traffic.latencyFactor': '--latency-factor',
  'traffic.latencyMs': '--latency-slack',
  'traffic.minRequests': '--min-requests',
  moveTimeoutMs: '--move-timeout',
};

/** The release and the policy that were typed; what was not is as RolloutPolicy says. Errors: UsageError. */
export function policyOf(given: PolicyFlags): { to: number; policy: RolloutPolicy } {
  const to = parseCount(given.to, '--to');
  const waves = parseWaves(given.waves);
  if (!waves.ok)
    throw new UsageError(
      `--waves ${given.waves}: ${waves.error}`,
      waves.error.includes('must rise')
        ? 'Each share counts those before it, as in --waves 5%,25%,100%; see: berth rollout start --help'
        : 'As in --waves canary,5%,25%:approve,100%; see: berth rollout start --help',
    );
  const read = <T>(text: string | undefined, how: (text: string) => T): T | undefined =>
    text === undefined ? undefined : how(text);
  const policy = RolloutPolicy.safeParse(
    known({
      waves: waves.waves,
      bakeMs: read(given.bake, (text) => parseTime(text, '--bake', 0)),
      maxFailures: read(given.maxFailures, (text) => parseCount(text, '--max-failures', 0)),
      onFailure: read(given.onFailure, onFailureOf),
      perHost: read(given.perHost, (text) => parseCount(text, '--per-host')),
      atOnce: read(given.atOnce, (text) => parseCount(text, '--at-once')),
      order: read(given.order, (text) => parseTags(text, '--order')),
      traffic: known({
        errorRate: read(given.errorBudget, (text) => parsePercent(text, '--error-budget')),
        latencyFactor: read(given.latencyFactor, (text) => parseFactor(text, '--latency-factor', 1)),
        latencyMs: read(given.latencySlack, (text) => parseTime(text, '--latency-slack', 0)),
        minRequests: read(given.minRequests, (text) => parseCount(text, '--min-requests')),
      }),
      moveTimeoutMs: read(given.moveTimeout, (text) => parseTime(text, '--move-timeout')),
    }),
  );
  if (policy.success) return { to, policy: policy.data };
  throw new UsageError(
    policy.error.issues
      .map((issue) => {
        const field = issue.path.map(String).join('.');
        return `${OPTIONS[field] ?? field}: ${issue.message}.`;
      })
      .join(' '),
  );
}

function onFailureOf(text: string): RolloutPolicy['onFailure'] {
  const read = RolloutPolicy.shape.onFailure.safeParse(text);
  if (read.success) return read.data;
  throw new UsageError(
    `--on-failure must be pause or rollback, not ${JSON.stringify(text)}.`,
    'pause holds what is not begun; rollback also takes the wave under way back.',
  );
}

/** Without what was not given, so that a default can take its place. */
function known(values: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}
