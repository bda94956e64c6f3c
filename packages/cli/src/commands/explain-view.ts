import type { RolloutAttempt, TenantExplain } from '@berth/shared/api/schemas';
import { unreachable } from '@berth/shared/domain/errors';
import type { StepView } from '@berth/shared/protocol/report';
import { databaseText } from './database-view.ts';
import { ago, duration, phaseWord, shortDigests, timestamp } from '../output/format.ts';
import { logLines, type Output } from '../output/output.ts';
import { clean, type Style } from '../output/style.ts';
import { table } from '../output/table.ts';

/**
 * "Why isn't it running?" for a person: the verdict first, the container's last words at the end. `since`: when the
 * generation first met what is in its way, if that is known.
 */
export function explainView(
  answer: TenantExplain,
  output: Pick<Output, 'style'>,
  now: number,
  since: number | null = null,
): string {
  const { style } = output;
  const blocks: string[] = [style.bold(clean(answer.verdict))];

  const host = `host ${clean(answer.host.name)}: ${hostText(answer, style, now)}`;
  const generation = `generation ${answer.generation} wanted, ${answer.live ?? 'none'} live`;
  blocks.push(
    `${host}\n${generation}, ${phaseWord(answer.phase)}${answer.freshness === 'stale' ? ' (last word before the host went away)' : ''}`,
  );

  const { problem } = answer;
  if (problem !== null) {
    const service = problem.service === null ? '' : ` (${clean(problem.service)})`;
    const lines = [
      `${style.red(troubleWord(answer))} ${style.bold(shortDigests(clean(problem.step)))}${service}, ${whenText(problem.at, since, now)}:`,
    ];
    lines.push(`  ${clean(problem.message)} ${style.dim(`[${problem.code}]`)}`);
    if (answer.retryAt !== null) {
      lines.push(
        answer.retryAt > now ? `  tried again in ${duration(answer.retryAt - now)}` : '  being tried again',
      );
    }
    blocks.push(lines.join('\n'));
  }
  if (answer.steps.length > 0) {
    const returned =
      answer.live !== null &&
      answer.live !== answer.generation &&
      answer.steps.every((step) => step.state === 'done');
    const what = answer.phase === 'failed' && returned ? 'steps of the way back' : 'steps';
    blocks.push(`${what}\n${answer.steps.map((step) => stepLine(step, style)).join('\n')}`);
  }
  if (answer.containers.length > 0) {
    const rows = answer.containers.map((one) => [
      clean(one.name),
      clean(one.service),
      String(one.generation),
      clean(one.state),
      one.health === 'unhealthy' ? style.red(one.health) : one.health,
      clean(one.address),
    ]);
    const shown = table(['CONTAINER', 'SERVICE', 'GEN', 'STATE', 'HEALTH', 'ADDRESS'], rows, style);
    const note =
      problem === null &&
      answer.containers.some((one) => one.health === 'starting' && one.generation === answer.live)
        ? `\n${style.dim("starting: passed Berth's own check before the switch; Docker's first check is still to come")}`
        : '';
    blocks.push(`${shown}${note}`);
  }
  if (answer.database !== undefined) blocks.push(`database ${databaseText(answer.database)}`);
  if (answer.attempt !== null) blocks.push(attemptText(answer.attempt, style));
  if (answer.advice.length > 0) {
    blocks.push(`what to do\n${answer.advice.map((line) => `  - ${clean(line)}`).join('\n')}`);
  }
  if (problem !== null && problem.logTail.length > 0) {
    blocks.push(`last log lines\n${logLines(problem.logTail, style)}`);
  }
  return blocks.join('\n\n');
}

/** What the last rollout tried with it in vain, and where there is more about it. */
function attemptText({ rollout, release, at, became, reason }: RolloutAttempt, style: Style): string {
  const when = timestamp(at);
  const words = {
    'taken-back': `tried release ${release} at ${when} and took it back`,
    returning: `tried release ${release} and takes it back since ${when}`,
    'not-begun': `could not begin release ${release} at ${when}`,
    stays: `tried release ${release}, which failed at ${when} and was not taken back`,
    stuck: `tried release ${release} and could not take it back at ${when}`,
  }[became];
  return `${style.yellow(`rollout ${rollout}`)} ${words}: ${clean(reason)}\n${style.dim(`  more: berth rollout status ${rollout}`)}`;
}

/** What the problem did: what is blocked is tried again, what failed was given up, and what serves is in trouble. */
function troubleWord({ phase, live, generation }: TenantExplain): string {
  if (phase === 'failed') return live === generation ? 'trouble at' : 'failed at';
  return phase === 'returning' ? 'went bad at' : 'blocked at';
}

/** `for 3 min, last tried 12 s ago`, or only `12 s ago`. */
function whenText(at: number, since: number | null, now: number): string {
  return since === null || at - since < 1000
    ? ago(at, now)
    : `for ${duration(now - since)}, last tried ${ago(at, now)}`;
}

function hostText(answer: TenantExplain, style: Style, now: number): string {
  switch (answer.host.state) {
    case 'online':
      return style.green('online');
    case 'offline':
      return style.red(`offline, seen ${ago(answer.host.lastSeenAt, now)}`);
    case 'never-seen':
      return style.red('never seen');
    default:
      return unreachable(answer.host.state);
  }
}

export function stepLine(step: StepView, style: Style): string {
  const time = step.ms === null ? '' : ` ${style.dim(duration(step.ms))}`;
  return `  ${sign(step.state, style)} ${shortDigests(clean(step.title))}${time}`;
}

function sign(state: StepView['state'], style: Style): string {
  switch (state) {
    case 'done':
      return style.green('✓');
    case 'failed':
      return style.red('✗');
    case 'running':
      return style.cyan('▸');
    case 'waiting':
      return style.yellow('…');
    case 'todo':
      return style.dim('·');
    default:
      return unreachable(state);
  }
}
