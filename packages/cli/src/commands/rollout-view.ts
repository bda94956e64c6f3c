import type { Rollout, RolloutPlan, RolloutTenant } from '@berth/shared/api/rollouts';
import { whoText } from '@berth/shared/domain/actor';
import { isOver, type RolloutPolicy } from '@berth/shared/domain/rollout';
import { waveText } from '@berth/shared/domain/waves-text';
import { duration, exactDuration, shortDigests, timestamp } from '../output/format.ts';
import { clean, type Style } from '../output/style.ts';
import { fields, fits, table } from '../output/table.ts';
import { fieldChange } from './change-words.ts';
import {
  errorsText,
  p95Text,
  progressText,
  stateText,
  totalOf,
  verdictText,
  waveStateText,
  whyOf,
  whyOfTenant,
  whyOfWave,
} from './rollout-words.ts';

/** The waves of a plan with their tenants; up to `most` of each wave one by one, with what changes. */
export function rolloutPlanView(plan: RolloutPlan, style: Style, most: number): string {
  const moved = plan.waves.reduce((sum, wave) => sum + wave.tenants.length, 0);
  if (moved === 0) {
    // The waves have nobody to show; why is among the warnings, which come once.
    const head = `${style.bold(plan.app)} to release ${plan.to}: nobody has to move`;
    return [head, ...plan.warnings.map((warning) => style.yellow(`warning: ${clean(warning)}`))].join('\n');
  }
  const lines = [
    `${style.bold(plan.app)} to release ${plan.to}: ${count(moved, 'tenant')} in ${count(plan.waves.length, 'wave')}`,
  ];
  /** Whose changes were shown, by what they are: most tenants of an app change alike. */
  const shown = new Map<string, string>();
  plan.waves.forEach((wave, index) => {
    const { spec, tenants } = wave;
    const asks = spec.approval === 'ask' ? style.yellow(', asks for approval') : '';
    lines.push(
      '',
      `wave ${index + 1}  ${waveText({ ...spec, approval: 'none' })}  ${count(tenants.length, 'tenant')}${asks}`,
    );
    for (const one of tenants.slice(0, most)) {
      const now = one.now.kind === 'skipped' ? `  ${progressText(one.now, style)}` : '';
      lines.push(
        `  ${one.tenant}  ${style.dim(one.hostName)}  release ${one.fromRelease} → ${plan.to}${now}`,
      );
      if (one.error !== null) lines.push(`    ${style.red(`would fail: ${clean(one.error)}`)}`);
      if (one.changes === null || one.changes.length === 0) continue;
      const changes = one.changes.map((change) => `    ${fieldChange(change, style, 4)}`).join('\n');
      const like = shown.get(changes);
      lines.push(like === undefined ? changes : style.dim(`    the same changes as ${like}`));
      if (like === undefined) shown.set(changes, one.tenant);
    }
    const rest = tenants.slice(most);
    if (rest.length > 0)
      lines.push(style.dim(`  and ${rest.length} more: ${names(rest.map((one) => one.tenant))}`));
    const failing = rest.filter((one) => one.error !== null);
    if (failing.length > 0) lines.push(style.red(`  would fail: ${names(failing.map((one) => one.tenant))}`));
  });
  if (plan.untouched.length > 0) lines.push('', `untouched: ${names(plan.untouched)}`);
  if (plan.warnings.length > 0) lines.push('');
  for (const warning of plan.warnings) lines.push(style.yellow(`warning: ${clean(warning)}`));
  return lines.join('\n');
}

/** What a rollout keeps to, in one line. */
export function policyText(policy: RolloutPolicy): string {
  const { traffic } = policy;
  return [
    `bake ${exactDuration(policy.bakeMs)}`,
    `at most ${policy.perHost} at once on a host and ${policy.atOnce} in all`,
    `${policy.maxFailures} may fail, then ${policy.onFailure}`,
    `5xx may rise by ${Number((traffic.errorRate * 100).toFixed(3))}%`,
    `p95 may grow ${traffic.latencyFactor} times and ${traffic.latencyMs} ms`,
  ].join(', ');
}

/** A rollout as it stands: its state, what holds it, and its waves. */
export function rolloutView(rollout: Rollout, style: Style, now: number): string {
  const rows: [string, string][] = [
    ['rollout', `${style.bold(String(rollout.rollout))}, ${rollout.app} to release ${rollout.to}`],
    ['state', stateLine(rollout, style)],
  ];
  if (rollout.held !== null) rows.push(['held', style.yellow(clean(rollout.held))]);
  rows.push(
    ['tenants', countsText(rollout)],
    ['failures', `${rollout.failures} (${rollout.policy.maxFailures} allowed)`],
    ['policy', policyText(rollout.policy)],
    ['started', `${timestamp(rollout.createdAt)} by ${clean(whoText(rollout.startedBy))}`],
    [rollout.endedAt === null ? 'so far' : 'took', duration((rollout.endedAt ?? now) - rollout.createdAt)],
  );
  return `${fields(rows, style)}\n\n${wavesTable(rollout, style)}`;
}

export function stateLine(rollout: Rollout, style: Style): string {
  const why = whyOf(rollout.state);
  return `${stateText(rollout.state, style)}${why === null ? '' : `: ${why}`}`;
}

/** The waves with their counts and rates, and below what there is to say of some of them: sentences fit in no column. */
export function wavesTable(rollout: Rollout, style: Style): string {
  const told = whyOf(rollout.state) ?? '';
  const over = isOver(rollout.state);
  // Whoever went back has not failed: that is a column of its own, where there is somebody to tell of.
  const gone = (['returned', 'stuck'] as const).filter((kind) =>
    rollout.waves.some(({ counts }) => counts[kind] > 0),
  );
  const bad = (tenants: number): string => (tenants === 0 ? '0' : style.red(String(tenants)));
  const notes: string[] = [];
  const rows = rollout.waves.map(({ wave, spec, state, counts, traffic }) => {
    const why = whyOfWave(state);
    // What halted the rollout is said above already.
    const verdict = traffic?.verdict;
    // A wave that has passed was judged, and `why` says how; of one that failed it may say so too.
    const known =
      verdict === undefined ||
      state.kind === 'passed' ||
      (verdict.kind !== 'good' && `${told} ${why}`.includes(clean(verdict.why)));
    const parts = [
      known ? null : verdictText(verdict, style),
      why !== null && told.includes(why) ? null : why,
    ];
    const note = parts.filter((part) => part !== null).join('; ');
    if (note !== '') notes.push(`wave ${wave}: ${note}`);
    return [
      String(wave),
      waveText({ ...spec, approval: 'none' }),
      over && (state.kind === 'moving' || state.kind === 'baking')
        ? style.dim('ended')
        : over && state.kind === 'pending'
          ? style.dim('not begun')
          : waveStateText(state, style),
      `${counts.live + counts.moved} of ${totalOf(counts)}`,
      String(counts.moving + counts.returning),
      bad(counts.failed),
      ...gone.map((kind) => bad(counts[kind])),
      counts.skipped === 0 ? '0' : style.yellow(String(counts.skipped)),
      errorsText(traffic),
      p95Text(traffic),
    ];
  });
  const left = gone.map((kind) => kind.toUpperCase());
  const head = ['WAVE', 'WHO', 'STATE', 'SERVE IT', 'UNDER WAY', 'FAILED', ...left, 'SKIPPED', '5XX', 'P95'];
  return [leanTable(head, rows, style), ...notes].join('\n');
}

/** Columns in which nobody is are left out where there is no room for them, and then the one that can be spared. */
function leanTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  style: Style,
  spare?: string,
): string {
  if (fits(head, rows, style)) return table(head, rows, style);
  const tells = head.map((_, column) => rows.some((row) => !['', '0'].includes(row[column] ?? '')));
  const lean = (cells: readonly string[]): string[] => cells.filter((_, column) => tells[column] === true);
  const leaner = lean(head).indexOf(spare ?? '');
  if (leaner < 0 || fits(lean(head), rows.map(lean), style)) return table(lean(head), rows.map(lean), style);
  const without = (cells: readonly string[]): string[] => lean(cells).toSpliced(leaner, 1);
  return table(without(head), rows.map(without), style);
}

/** The tenants somebody has to know of: under way, failed, gone back, skipped. Null when there are none. */
export function tenantsTable(
  tenants: readonly RolloutTenant[],
  style: Style,
  now: number,
  most: number,
  { goes, spare }: { goes: 'on' | 'over'; spare?: 'HOST' },
): string | null {
  const told = tenants.filter(({ progress }) => !['pending', 'live', 'moved'].includes(progress.kind));
  if (told.length === 0) return null;
  /** Who is where they are for the same reason: it is said once. */
  const notes = new Map<string, string[]>();
  const rows = told.slice(0, most).map((one) => {
    const { progress } = one;
    const note = [
      one.traffic === null ? null : verdictText(one.traffic.verdict, style),
      whyOfTenant(progress),
    ]
      .filter((part) => part !== null)
      .join('; ')
      .replaceAll('\n', ' ');
    if (note !== '') notes.set(note, [...(notes.get(note) ?? []), one.tenant]);
    const since = 'since' in progress ? progress.since : 'at' in progress ? progress.at : null;
    return [
      one.tenant,
      String(one.wave),
      one.hostName,
      progress.kind === 'returning' ? style.red(returningText(one, goes)) : progressText(progress, style),
      since === null ? '' : duration(now - since),
      errorsText(one.traffic),
      p95Text(one.traffic),
      one.step === null ? '' : shortDigests(clean(one.step)),
    ];
  });
  const head = ['TENANT', 'WAVE', 'HOST', 'STATE', 'FOR', '5XX', 'P95', 'STEP'];
  const more = told.length > most ? `\n${style.dim(`and ${told.length - most} more`)}` : '';
  const why = [...notes].map(([note, of]) => `${names(of)}: ${note}`);
  return [`${leanTable(head, rows, style, spare)}${more}`, ...why].join('\n');
}

/** One on a host that is offline has not heard of it: it is back when its agent says so. */
function returningText({ connection }: RolloutTenant, goes: 'on' | 'over'): string {
  if (connection === 'offline') return UNHEARD;
  return goes === 'over' ? SENT_BACK : 'returning';
}

/** What is under way when a rollout ends is not followed any more: its own plan takes it back. */
const SENT_BACK = 'sent back';
const UNHEARD = 'returning (host offline)';

export function countsText({ counts, unheard = 0, state }: Rollout): string {
  const total = totalOf(counts);
  const parts = [`${counts.live + counts.moved} of ${total} serve it`];
  for (const kind of ['moving', 'returning', 'failed', 'returned', 'stuck', 'skipped', 'pending'] as const)
    if (kind === 'returning') {
      const heard = counts.returning - unheard;
      if (heard > 0) parts.push(`${heard} ${isOver(state) ? SENT_BACK : kind}`);
      if (unheard > 0) parts.push(`${unheard} ${UNHEARD}`);
    } else if (counts[kind] > 0) parts.push(`${counts[kind]} ${kind}`);
  return parts.join(', ');
}

/** Names, the first dozen of them. */
export function names(all: readonly string[], most = 12): string {
  const first = all.slice(0, most).join(', ');
  return all.length > most ? `${first} and ${all.length - most} more` : first;
}

export function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}
