import type { RolloutAttempt, TenantExplain } from '@berth/shared/api/schemas';
import type { ErrorCode } from '@berth/shared/domain/errors';
import type { TenantReport } from '@berth/shared/protocol/report';
import type { EpochRecord } from './fleet-store.ts';
import type { HostView, TenantView } from './records.ts';
import { ago, tenantShown } from './views.ts';

export interface ExplainInput {
  tenant: TenantView;
  host: HostView;
  report: TenantReport | null;
  epoch: EpochRecord;
  attempt: RolloutAttempt | null;
  now: number;
}

/** Why a tenant runs or does not, from what is known; pure. The first reason that holds everything up is the verdict. */
export function explain({ tenant, host, report, epoch, attempt, now }: ExplainInput): TenantExplain {
  const shown = tenantShown(tenant);
  const current = report !== null && report.generation === tenant.generation ? report : null;
  const words = verdict({ tenant, host, report: current, epoch, attempt, now });
  return {
    tenant: tenant.tenant,
    verdict: words.verdict,
    phase: shown.phase,
    host: { host: host.host, name: host.name, state: host.connection, lastSeenAt: host.lastSeenAt },
    generation: tenant.generation,
    live: shown.live,
    freshness: shown.freshness,
    steps: current?.steps ?? [],
    problem: current?.problem ?? null,
    retryAt: current?.retryAt ?? null,
    containers: report?.containers ?? [],
    attempt,
    advice: [...words.advice, ...signersAdvice(host)],
  };
}

/** A host that keeps to other signers than are handed out here may refuse whatever comes next. */
function signersAdvice({ name, pool, facts }: HostView): string[] {
  const refused = facts['signersRefused'];
  if (refused === undefined) return [];
  return [
    `Host ${name} refuses what it was sent of its pool's signers: ${refused} See "berth pool signers show ${pool}".`,
  ];
}

interface Words {
  verdict: string;
  advice: string[];
}

function verdict(input: ExplainInput): Words {
  const { tenant, host, report, epoch, now } = input;
  const name = tenant.tenant;
  if (host.connection === 'never-seen') {
    return {
      verdict: `${name} waits: host ${host.name} was enrolled but its agent has never connected.`,
      advice: [`Start the agent on ${host.name} and see that it reaches this coordinator.`],
    };
  }
  if (host.connection === 'offline') {
    const since = host.lastSeenAt === null ? '' : ` (last heard of ${ago(host.lastSeenAt, now)})`;
    const serving =
      report?.live === null || report === null
        ? ''
        : ` Its containers go on without the coordinator; generation ${report.live} served when it was last heard of.`;
    return {
      verdict: `Host ${host.name} is offline${since}, so nothing about ${name} can change now.${serving}`,
      advice: [
        `See whether ${host.name} is up and its agent runs ("berth host show ${host.host}"); it takes up what it missed by itself.`,
      ],
    };
  }
  if (epoch.mode === 'observe') {
    return {
      verdict: `The coordinator only observes (${epoch.reason ?? 'no reason recorded'}), so no agent changes anything.`,
      advice: ['Compare "berth status" with what should be, then confirm the state to let agents apply it.'],
    };
  }
  if (report === null) {
    if (host.ackedEpoch !== epoch.epoch || host.ackedRevision < host.revision) {
      return {
        verdict: `${name} waits: host ${host.name} has not acknowledged its newest state (revision ${host.revision}, acknowledged ${host.ackedRevision}).`,
        advice: [
          `If this lasts, look at the agent's log on ${host.name}: its state directory may not be writable.`,
        ],
      };
    }
    return {
      verdict: `${name} waits for the first report of generation ${tenant.generation} from host ${host.name}.`,
      advice: [],
    };
  }
  return ofReport(input, report);
}

function ofReport({ tenant, host, now }: ExplainInput, report: TenantReport): Words {
  const name = tenant.tenant;
  const running = report.steps.find((step) => step.state === 'running');
  const stays =
    report.live === null
      ? 'Nothing serves.'
      : report.live === tenant.generation
        ? `Generation ${report.live} serves.`
        : `Generation ${report.live} still serves.`;
  switch (report.phase) {
    case 'settled':
      return {
        verdict: `${name} runs: generation ${tenant.generation} serves and nothing is left to do.`,
        advice: [],
      };
    case 'baking':
      return {
        verdict: report.containers.some((each) => each.generation !== tenant.generation)
          ? `${name} runs: generation ${tenant.generation} serves; the one before is kept for instant return until its bake time has passed.`
          : `${name} runs: generation ${tenant.generation} serves; it is settled once its bake time has passed.`,
        advice: [],
      };
    case 'waiting':
      return { verdict: `${name} waits on host ${host.name}; nothing has begun yet. ${stays}`, advice: [] };
    case 'moving':
      return {
        verdict: `${name} is on the way to generation ${tenant.generation}${running === undefined ? '' : `: ${running.title}`}. ${stays}`,
        advice: [],
      };
    case 'returning':
      return {
        verdict: report.containers.some((each) => each.generation !== tenant.generation)
          ? `${name} is going back to the generation before${because(report)}.`
          : `Generation ${tenant.generation} of ${name} is being taken away again${because(report)}. There is none before it to go back to.`,
        advice: adviceOn(report, host, tenant),
      };
    case 'failed':
      return {
        verdict:
          report.live === tenant.generation
            ? `Generation ${tenant.generation} of ${name} serves, but something is wrong${because(report)}.${again(report, now)}`
            : `Generation ${tenant.generation} of ${name} failed${because(report)}. ${stays}${again(report, now)}`,
        advice: adviceOn(report, host, tenant),
      };
    case 'blocked':
      return {
        verdict: `${name} is blocked${because(report)}. ${stays}${again(report, now)}`,
        advice: adviceOn(report, host, tenant),
      };
    case 'paused':
      return {
        verdict:
          tenant.state === 'paused'
            ? `${name} is paused: its containers are stopped and visitors see a maintenance page.`
            : `${name} was paused and is about to come back.`,
        advice: tenant.state === 'paused' ? [`Bring it back with "berth tenant resume ${name}".`] : [],
      };
    case 'removing':
    case 'removed':
      return { verdict: `${name} is being removed; its volumes stay on host ${host.name}.`, advice: [] };
    default:
      return assertNever(report.phase);
  }
}

function assertNever(value: never): never {
  throw new Error(`unexpected phase ${JSON.stringify(value)}`);
}

function again({ retryAt }: TenantReport, now: number): string {
  if (retryAt === null) return '';
  return ` It is tried again ${retryAt <= now ? 'now' : `in ${Math.ceil((retryAt - now) / 1000)} s`}.`;
}

function because(report: TenantReport): string {
  const { problem } = report;
  if (problem === null) return '';
  const where = problem.service === null ? '' : `, service ${problem.service}`;
  return ` at step ${problem.step}${where}: ${problem.message.replace(/\.$/, '')}`;
}

function adviceOn(
  report: TenantReport,
  host: HostView,
  { app, release }: Pick<TenantView, 'app' | 'release'>,
): string[] {
  const { problem, tenant } = report;
  if (problem === null) return [];
  const again = `"berth tenant restart ${tenant}" tries again.`;
  const service = problem.service ?? 'the service';
  const look =
    problem.logTail.length > 0
      ? `Look at the log lines of ${service} below`
      : `${service} left no log lines; look at its command and its health check`;
  const known: Partial<Record<ErrorCode, string[]>> = {
    release_outcome_unknown: [
      'Look at what the release command changes: whether it finished is not known, and a migration that is run twice may do harm.',
      `Then say "berth tenant release-outcome ${tenant} --succeeded", or "--run-again" to have it run once more.`,
    ],
    image_not_found: [
      'Check the image name and tag in the Compose file and the variables in it; was it pushed to the registry?',
      again,
    ],
    image_pull_failed: [
      'Check that the host may pull from the registry (its credentials), then try again.',
      again,
    ],
    registry_unreachable: [`Check that ${host.name} reaches the registry; Berth tries again by itself.`],
    health_failed: [
      `${look}: it started but its health check never passed.`,
      `If it only needs longer, raise healthcheck.start_period of ${service}.`,
      again,
    ],
    container_failed: [`${look}: it ended by itself.`, again],
    crash_loop: [`${look}: it ends again and again.`, again],
    release_not_signed: [
      host.facts['releaseRule'] === 'pool'
        ? `${host.name} goes by what it has pinned of its pool's signers: "berth pool signers show ${host.pool}". See who signed this one: "berth release show".`
        : `${host.name} decides by its own configuration whose releases it runs. See who signed this one: "berth release show".`,
      `Sign it with "berth release sign ${app} ${release} -f compose.yaml --key ci.key" where your keys are; it says what else it needs. Then ${again}`,
    ],
    memory_short: [
      `Free memory on ${host.name}: pause or remove tenants, lower memory reservations, or add a host.`,
      'It is tried again by itself when memory is free.',
    ],
    disk_short: [`Free disk space on ${host.name}: old images and logs are the usual cause.`],
    release_command_failed: [
      `The release command (migration) failed${problem.logTail.length > 0 ? '; its last log lines are below' : ' and left no log lines'}. Fix it and make a new release.`,
    ],
    verify_failed: [
      'The new version did not answer well through Nginx; see the route health path in the Compose file.',
      again,
    ],
    route_failed: [
      `The kernel's route map on ${host.name} could not be changed; see "berth host show ${host.host}".`,
    ],
    ingress_invalid: [`Nginx on ${host.name} refused the new configuration; the one before still serves.`],
    docker_unavailable: [`Docker on ${host.name} does not answer; it is tried again by itself.`],
    state_unwritable: [`The agent on ${host.name} cannot write its state directory: check its disk.`],
    address_exhausted: [
      `Host ${host.name} has no tenant addresses left: give its agent a larger range, or use another host.`,
    ],
  };
  return known[problem.code] ?? [again];
}
