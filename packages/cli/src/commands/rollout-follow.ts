import type { Rollout, RolloutTenant } from '@berth/shared/api/rollouts';
import type { Event } from '@berth/shared/api/schemas';
import { BerthError } from '@berth/shared/domain/errors';
import { isOver } from '@berth/shared/domain/rollout';
import type { Context } from '../context.ts';
import { Ended, EXIT } from '../exit-codes.ts';
import { duration, timestamp } from '../output/format.ts';
import { createScreen, type Screen } from '../output/screen.ts';
import { clean, type Style } from '../output/style.ts';
import { watchRollout } from '../rollout-watch.ts';
import { lastLinesOf } from './last-lines.ts';
import { allPages } from './pages.ts';
import { actsTable } from './rollout-acts.ts';
import { rolloutEventLine, TenantDetails } from './rollout-event-line.ts';
import { countsText, names, rolloutView, stateLine, tenantsTable, wavesTable } from './rollout-view.ts';
import {
  asksFor,
  awaitedLines,
  skippedText,
  stateText,
  waitsForWindow,
  whyOf,
  whyOfWave,
} from './rollout-words.ts';

/**
 * `rest`: until it is over or waits for a person or a window; `end`: until it is over or was halted by a failure, since
 * then nothing more happens by itself.
 */
export type FollowTo = 'rest' | 'end';

/**
 * Shows a rollout as it goes: a table that is redrawn on a terminal, a line per change elsewhere, JSON lines with --json
 * (each an event, or the rollout when its state changed). Throws Ended(1) when it was halted, rolled back or aborted, or
 * when `to` is `rest` and it is not known how it goes on since the watching ended.
 */
export async function followRollout(context: Context, first: Rollout, to: FollowTo): Promise<void> {
  const { output, signal } = context;
  const show =
    output.format === 'json'
      ? jsonLines(context)
      : output.stdout.isTTY === true
        ? liveTable(context)
        : changeLines(context);
  const rests = (rollout: Rollout): boolean =>
    isOver(rollout.state) || isHalted(rollout) || (to === 'rest' && waitsForSomebody(rollout));
  let rollout = first;
  try {
    for await (const news of watchRollout({
      api: context.api(),
      rollout: first,
      until: rests,
      signal,
      clock: context.clock,
    })) {
      if (news.kind === 'away' || news.kind === 'back') {
        show.clear();
        output.note(output.errorStyle.yellow(NEWS[news.kind]));
        continue;
      }
      if (news.kind === 'rollout') rollout = news.rollout;
      await show.take(news.kind === 'event' ? news.event : null, rollout);
    }
  } finally {
    show.clear();
  }
  if (signal.aborted) {
    output.print(`No longer watching; the rollout goes on. See: berth rollout status ${rollout.rollout}`);
    if (to === 'rest') throw new Ended(EXIT.failed);
    return;
  }
  await sayEnd(context, rollout);
  if (endedBadly(rollout)) throw new Ended(EXIT.failed);
}

const NEWS = {
  away: 'the coordinator does not answer; trying again (the tenants go on)',
  back: 'the coordinator is back',
} as const;

function isHalted({ state }: Rollout): boolean {
  return state.kind === 'paused' && state.by === 'failure';
}

function waitsForSomebody(rollout: Rollout): boolean {
  const { kind } = rollout.state;
  return (
    kind === 'paused' ||
    kind === 'waiting' ||
    waitsForWindow(rollout) ||
    (kind === 'running' && asksFor(rollout) !== undefined)
  );
}

function endedBadly({ state }: Rollout): boolean {
  return state.kind === 'paused' || state.kind === 'rolled-back' || state.kind === 'aborted';
}

/** How it stands when nothing more is watched, and what can be done. */
async function sayEnd(context: Context, rollout: Rollout): Promise<void> {
  const { output, clock } = context;
  const { style } = output;
  const { rollout: id, state } = rollout;
  const took = duration((rollout.endedAt ?? clock.now()) - rollout.createdAt);
  const sign = endedBadly(rollout) ? style.red('✗') : state.kind === 'completed' ? style.green('✓') : '…';
  const why = whyOf(state);
  const wave = asksFor(rollout);
  output.print(
    `${sign} rollout ${id} of ${rollout.app} to release ${rollout.to}: ${stateText(state, style)}${why === null ? '' : `: ${why}`} (${took})`,
  );
  output.print(`  ${countsText(rollout)}`);
  const unjudged = rollout.waves.filter(
    (each) => each.state.kind === 'passed' && each.state.judged.startsWith('not judged'),
  );
  if (unjudged.length > 0)
    output.print(
      style.yellow(
        `  not judged by requests: wave ${unjudged.map((each) => each.wave).join(', ')}; why: berth rollout status ${id}`,
      ),
    );
  if (state.kind === 'running' && wave !== undefined)
    output.print(
      `  wave ${wave.wave} asks for approval${whyOfWave(wave.state) === null ? '' : `: ${whyOfWave(wave.state)}`}\n  Let it begin: berth rollout approve ${id}`,
    );
  const awaited =
    waitsForWindow(rollout) || state.kind === 'waiting' ? awaitedLines(rollout, clock.now()) : [];
  for (const line of awaited) output.print(`  ${line}`);
  if (waitsForWindow(rollout))
    output.print(
      `  Nobody of wave ${rollout.wave} can be moved now; it goes on by itself when somebody can.\n  Follow it: berth rollout watch ${id}\n  Without them: berth rollout approve ${id}`,
    );
  if (isHalted(rollout) && output.format !== 'json') {
    const lines = await lastLinesOf(context, id);
    if (lines !== '') output.print(lines.replaceAll(/^/gm, '  '));
  }
  // A wave that went back is moved again or not at all.
  const again = rollout.waves.some((one) => one.state.kind === 'rolled-back')
    ? 'retry'
    : `resume ${id}, retry`;
  if (state.kind === 'paused')
    output.print(
      `  What failed: berth rollout status ${id}\n  Then one of: berth rollout ${again} ${id}, rollback ${id}, abort ${id}`,
    );
  if (state.kind === 'waiting') output.print(`  Follow it to its end: berth rollout watch ${id}`);
}

interface Shower {
  take(event: Event | null, rollout: Rollout): Promise<void>;
  /** Takes away what is drawn in place, before a line that stays. */
  clear(): void;
}

function jsonLines({ output }: Context): Shower {
  let told = '';
  return {
    take: (event, rollout) => {
      if (event !== null) {
        output.jsonLine(event);
        return Promise.resolve();
      }
      const key = standing(rollout);
      if (key !== told) output.jsonLine(rollout);
      told = key;
      return Promise.resolve();
    },
    clear: () => {},
  };
}

/** All of a rollout that makes a line of its own when it changes; counts follow from the events. */
function standing(rollout: Rollout): string {
  const { state, held, wave, waves } = rollout;
  return JSON.stringify([
    state,
    heldApartFromTime(held),
    wave,
    waitsForWindow(rollout),
    waves.map((one) => [one.state, one.traffic?.verdict]),
  ]);
}

/** What holds a rollout, without how long it still does: that is something else every minute. */
function heldApartFromTime(held: string | null): string | null {
  return held?.replaceAll(/\d+ (s|min|h|d)\b/g, '') ?? null;
}

function changeLines({ output, clock }: Context): Shower {
  let held: string | null = null;
  let begun = false;
  return {
    take: (event, rollout) => {
      if (event !== null) output.print(rolloutEventLine(event, output.style));
      else if (!begun)
        output.print(
          `rollout ${rollout.rollout} of ${rollout.app} to release ${rollout.to}: ${stateLine(rollout, output.style)}`,
        );
      // That a wave asks for approval is a line of its own already.
      const now = asksFor(rollout) === undefined ? heldApartFromTime(rollout.held) : null;
      if (now !== null && now !== held && rollout.held !== null)
        output.print(`${output.style.dim(timestamp(clock.now()))}  held: ${clean(rollout.held)}`);
      held = now;
      begun = true;
      return Promise.resolve();
    },
    clear: () => {},
  };
}

/** Tenants in the table at most; a terminal has only so many lines. */
const MOST_ROWS = 12;
/** Tenants are asked for again after so many times of what asking took, so that a large wave costs little. */
const REST_FACTOR = 10;

function liveTable(context: Context): Shower {
  const { output, clock, signal } = context;
  const api = context.api();
  const screen: Screen = createScreen(output.stdout);
  let tenants: readonly RolloutTenant[] = [];
  let wave = 0;
  let due = -Infinity;
  const look = async (rollout: Rollout): Promise<void> => {
    const began = clock.now();
    if (began < due && wave === rollout.wave) return;
    wave = rollout.wave;
    // Of a rollout that goes on only the wave under way changes; else any tenant may.
    const query = rollout.state.kind === 'running' && wave >= 1 ? { wave } : {};
    try {
      tenants = await allPages((page) =>
        api.rolloutTenants({ params: { rollout: rollout.rollout }, query: { ...page, ...query } }, signal),
      );
    } catch (thrown) {
      // The table is a courtesy: the watch itself says when nobody answers.
      if (!signal.aborted && !(thrown instanceof BerthError)) throw thrown;
    }
    due = clock.now() + REST_FACTOR * (clock.now() - began);
  };
  return {
    take: async (event, rollout) => {
      if (event !== null) {
        const progress = TenantDetails.safeParse(event.details).data?.progress;
        if (progress?.kind === 'failed' || progress?.kind === 'stuck')
          screen.say(output.folded(rolloutEventLine(event, output.style)));
        return;
      }
      await look(rollout);
      screen.draw(output.folded(frame(rollout, tenants, output.style, clock.now())));
    },
    clear: () => screen.clear(),
  };
}

function frame(rollout: Rollout, tenants: readonly RolloutTenant[], style: Style, now: number): string {
  const took = style.dim(duration((rollout.endedAt ?? now) - rollout.createdAt));
  const lines = [
    `${style.bold(`rollout ${rollout.rollout}`)}  ${rollout.app} to release ${rollout.to}  ${stateLine(rollout, style)}  ${took}`,
    countsText(rollout),
  ];
  if (rollout.held !== null) lines.push(style.yellow(`held: ${clean(rollout.held)}`));
  const baking = rollout.waves.flatMap(({ wave, state }) => {
    if (state.kind !== 'baking') return [];
    const left = Math.max(0, state.until - now);
    return left === 0 && rollout.state.kind === 'running'
      ? [`wave ${wave} was watched; the last of its counts are on their way`]
      : [`wave ${wave} is watched for another ${duration(left)}`];
  });
  lines.push(...baking, '', wavesTable(rollout, style));
  const underWay = tenants.filter(
    ({ progress }) => progress.kind === 'moving' || progress.kind === 'returning',
  );
  const table = tenantsTable(underWay.map(withShortHost), style, now, MOST_ROWS, {
    goes: 'on',
    spare: 'HOST',
  });
  if (table !== null) lines.push('', table);
  const skipped = tenants.flatMap(({ tenant, progress }) =>
    progress.kind === 'skipped' ? [`${tenant} (${skippedText(progress.reason)})`] : [],
  );
  if (skipped.length > 0) lines.push('', `skipped: ${names(skipped)}`);
  return lines.join('\n');
}

/** What is redrawn has little room, and the domain of a host says nothing here: `ip-10-0-1-23.compute.internal`. */
function withShortHost(tenant: RolloutTenant): RolloutTenant {
  const [first = ''] = tenant.hostName.split('.');
  return /[a-z]/i.test(first) ? { ...tenant, hostName: first } : tenant;
}

/** A rollout with the tenants somebody has to know of, for `status`. */
export function statusView(
  rollout: Rollout,
  tenants: readonly RolloutTenant[],
  style: Style,
  now: number,
): string {
  const table = tenantsTable(tenants, style, now, 50, { goes: isOver(rollout.state) ? 'over' : 'on' });
  const parts = [rolloutView(rollout, style, now), actsTable([rollout], style), table];
  return parts.filter((part) => part !== null).join('\n\n');
}
